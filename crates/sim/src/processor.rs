//! A CPU's life, from its first instruction until it is off: what a kernel's entry code and idle thread do.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use reveille::hotplug::{Hotplug, Verdict};
use reveille::{ContextId, CpuIndex, Stage};
use reveille_trace_format::{ONLINE, Phase};

use crate::fault::FaultKind;
use crate::fiber::{Pause, suspend};
use crate::firmware::SwitchedOff;
use crate::world::{Parking, Power, World};

/// Why a thread of control of a CPU ends.
struct Parks;

/// The stage of a CPU that has claimed its kick, and the one from which on it goes through its STARTING steps.
const CLAIMED: Stage = Stage(1);
const STARTING: Stage = Stage(2);

/// How a CPU has ended what it was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It found nobody waiting for it, or could not come online.
    Nobody,
    /// Its enable method switched it off.
    Dead,
}

/// The whole life of `cpu`, from its start on.
pub(crate) fn live(world: &World<'_>, hotplug: Hotplug<'_>, cpu: CpuIndex, context: u32) -> Left {
    {
        let mut state = world.state();
        let processor = &mut state.processors[cpu.get()];
        processor.running += 1;
        processor.power = Power::On;
        processor.off_at = None;
    }
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let Parks = come_up_and_idle(world, hotplug, cpu, context);
        world.step_aside();
        match world.settings.parking {
            Parking::Off => world.power_off(cpu),
            Parking::Asleep => {}
        }
    }));
    world.state().processors[cpu.get()].running -= 1;
    match ended {
        Ok(()) => Left::Nobody,
        Err(payload) if payload.is::<SwitchedOff>() => Left::Dead,
        Err(payload) => resume_unwind(payload),
    }
}

fn come_up_and_idle(world: &World<'_>, hotplug: Hotplug<'_>, cpu: CpuIndex, context: u32) -> Parks {
    // The entry code: registers only, and the record of the CPU that the context names, compared with this one's id.
    world.trace(cpu, Phase::Begin, "secondary_entry", None);
    world.step_aside();
    let own_id = world.topology.cpus()[cpu.get()].hw_id;
    let record = ContextId::from_raw(context).and_then(|context| world.topology.cpus().get(context.cpu().get()));
    let (Some(context), Some(true)) = (ContextId::from_raw(context), record.map(|record| record.hw_id == own_id))
    else {
        return Parks;
    };
    let Ok(arrival) = world.smp().claim(context) else { return Parks };
    world.use_memory(cpu);
    arrival.stage(CLAIMED);
    world.trace(cpu, Phase::Begin, "secondary_start_kernel", None);
    world.step_aside();
    if let Some(time) = world.fault(cpu, |kind| if let FaultKind::Slow(time) = kind { Some(time) } else { None }) {
        crate::world::pause(time);
    }
    if world.has_fault(cpu, FaultKind::Features) {
        hotplug.fail(arrival);
        return Parks;
    }
    arrival.stage(STARTING);
    world.trace(cpu, Phase::Begin, "notify_cpu_starting", None);
    let started = hotplug.starting(&arrival);
    world.trace(cpu, Phase::End, "notify_cpu_starting", None);
    world.step_aside();
    if started.is_err() {
        hotplug.fail(arrival);
        return Parks;
    }
    if hotplug.come_online(arrival).is_err() {
        return Parks;
    }
    world.trace(cpu, Phase::Instant, ONLINE, None);
    idle(world, hotplug, cpu)
}

/// The idle thread and the hotplug thread in one.
fn idle(world: &World<'_>, hotplug: Hotplug<'_>, cpu: CpuIndex) -> Parks {
    world.step_aside();
    if world.has_fault(cpu, FaultKind::Deaf) {
        world.sleep(cpu);
    }
    loop {
        match hotplug.thread(cpu) {
            Verdict::Sleep => world.sleep(cpu),
            Verdict::Die => {
                world.step_aside();
                hotplug.take_cpu_down(cpu);
                world.step_aside();
                if hotplug.die(&world.topology.cpus()[cpu.get()], world).is_err() {
                    return Parks;
                }
                world.use_memory(cpu);
                world.step_aside();
            }
        }
    }
}

/// The hotplug thread of the boot CPU, which neither comes nor goes.
pub(crate) fn boot_thread(world: &World<'_>, hotplug: Hotplug<'_>) {
    while hotplug.thread(CpuIndex::BOOT) == Verdict::Sleep {
        world.sleep(CpuIndex::BOOT);
    }
    world.violation("the boot CPU is told to die");
}

/// A CPU stops where it is, for ever.
pub(crate) fn stop() {
    suspend(Pause::Stopped);
}
