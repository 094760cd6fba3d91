//! What a run tells the host: the records that a kernel writes to its console.

use reveille::rendezvous::State;
use reveille_trace_format::{KICK, ONLINE, Outcome, Record, SCHEMA};

use crate::control::Control;
use crate::world::Traced;

/// The name of the image: there is none, and every report says so.
const IMAGE: &str = "simulated";

/// Everything, when nothing happens any more.
pub(crate) fn of(control: &Control<'_, '_>) -> Vec<Record<String>> {
    let mut records = vec![Record::Boot {
        schema: SCHEMA,
        image: IMAGE.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        entry_level: 1,
        boot_hw_id: control.world.topology.cpus()[0].hw_id.0,
    }];
    let cpus = control.world.topology.cpus();
    records.extend(cpus.iter().map(|cpu| of_cpu(control, cpu)));
    let state = control.world.state();
    let events = |cpu: usize| state.processors[cpu].trace.iter().map(move |event| (cpu, *event));
    let all = || (0..cpus.len()).flat_map(events);
    records.extend(all().map(|(cpu, Traced { ns, phase, name, target })| Record::Event {
        cpu: cpu as u32,
        ns,
        phase,
        name: name.into(),
        target: target.map(|target| target as u32),
    }));
    let first_kick = all().filter(|(_, event)| event.name == KICK).map(|(_, event)| event.ns).min();
    let last_online = all().filter(|(_, event)| event.name == ONLINE).map(|(_, event)| event.ns).max();
    let masks = &control.smp().masks;
    let (asked, online) = (masks.present.snapshot().count() as u32, masks.online.snapshot().count() as u32);
    records.push(Record::Done {
        asked,
        online,
        prepare_ns: first_kick.unwrap_or(0),
        bringup_ns: first_kick.zip(last_online).map_or(0, |(kick, online)| online.saturating_sub(kick)),
        passed: true,
    });
    records
}

fn of_cpu(control: &Control<'_, '_>, cpu: &reveille::Cpu) -> Record<String> {
    let masks = &control.smp().masks;
    let claim = control.smp().claim_word(cpu.index).state();
    let steps = control.hotplug.steps();
    let state = control.hotplug.state(cpu.index);
    let outcome = match claim {
        _ if masks.online.contains(cpu.index) => Outcome::Online,
        State::Stuck | State::Dead | State::Claimed | State::Online => Outcome::Stuck,
        State::Abandoned | State::Kicked => Outcome::TimedOut,
        State::Offline => Outcome::NotAsked,
    };
    let complete = outcome == Outcome::Online && state == steps.online();
    let reason = format!("it is {claim:?}, at the step {}", steps.name(state));
    Record::Cpu {
        index: cpu.index.get() as u32,
        hw_id: cpu.hw_id.0,
        possible: masks.possible.contains(cpu.index),
        present: masks.present.contains(cpu.index),
        online: masks.online.contains(cpu.index),
        active: masks.active.contains(cpu.index),
        outcome,
        reason: (!complete && outcome != Outcome::NotAsked).then_some(reason),
        lost_events: 0,
    }
}
