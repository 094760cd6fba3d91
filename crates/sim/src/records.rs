//! What a run tells the host: the records that a kernel writes to its console.

use reveille::Outcome as Told;
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
        entry_level: None,
        boot_hw_id: control.world.topology.cpus()[0].hw_id.0,
        counter_ns: Some(0),
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
    let (present, online) = (masks.present.snapshot().count(), masks.online.snapshot().count());
    records.push(Record::Done {
        asked: present.min(control.world.settings.options.max_cpus.max(1)).max(online) as u32,
        online: online as u32,
        prepare_ns: first_kick.unwrap_or(0),
        bringup_ns: first_kick.zip(last_online).map_or(0, |(kick, online)| online.saturating_sub(kick)),
        passed: true,
    });
    records
}

fn of_cpu(control: &Control<'_, '_>, cpu: &reveille::Cpu) -> Record<String> {
    let masks = &control.smp().masks;
    let told = control.world.state().outcomes[cpu.index.get()];
    let online = masks.online.contains(cpu.index);
    let complete = online && control.hotplug.state(cpu.index) == control.hotplug.steps().online();
    let (outcome, reason) = match told {
        _ if complete => (Outcome::Online, None),
        Told::Hung(_) | Told::Stuck { .. } => (Outcome::Stuck, Some(told.to_string())),
        Told::Failed(_) | Told::Busy(_) | Told::Step(_) => (Outcome::Failed, Some(told.to_string())),
        Told::TimedOut(_) | Told::InFlight(_) => (Outcome::TimedOut, Some(told.to_string())),
        // It was taken down since, or to where it is held.
        Told::Online if online => (Outcome::Online, Some(format!("held at {}", held_at(control, cpu)))),
        Told::Online | Told::NotAsked => (Outcome::NotAsked, None),
    };
    Record::Cpu {
        index: cpu.index.get() as u32,
        hw_id: cpu.hw_id.0,
        possible: masks.possible.contains(cpu.index),
        present: masks.present.contains(cpu.index),
        online,
        active: masks.active.contains(cpu.index),
        outcome,
        reason,
        lost_events: 0,
    }
}

fn held_at(control: &Control<'_, '_>, cpu: &reveille::Cpu) -> &'static str {
    control.hotplug.steps().name(control.hotplug.state(cpu.index))
}
