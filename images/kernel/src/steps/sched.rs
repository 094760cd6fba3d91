//! A CPU's place in scheduling: when it takes threads and calls, and when others may move threads to it.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::cpus::SMP;
use reveille_runtime::{ipi, thread, trace};

use super::{EBUSY, order};
use crate::hotplug::STEPS;
use crate::names::name;

#[distributed_slice(STEPS)]
static STARTING: Step<'static> = Step::new(Section::Starting, order::SCHED_STARTING, "sched:starting")
    .startup(&sched_cpu_starting)
    .teardown(&sched_cpu_dying);

#[distributed_slice(STEPS)]
static ACTIVE: Step<'static> = Step::new(Section::Online, order::SCHED_ACTIVE, "sched:active")
    .startup(&sched_cpu_activate)
    .teardown(&sched_cpu_deactivate);

fn sched_cpu_starting(_: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::sched_cpu_starting);
    ipi::open_calls();
    thread::open_queue();
    Ok(())
}

/// Threads that may run elsewhere go, and calls that were accepted are made. From here on others are refused.
fn sched_cpu_dying(_: CpuIndex) -> Result<(), StepError> {
    thread::migrate_away();
    ipi::close_calls();
    Ok(())
}

fn sched_cpu_activate(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::sched_cpu_activate);
    SMP.masks.active.insert(cpu);
    Ok(())
}

/// The last active CPU stays: there would be no place for threads to go.
fn sched_cpu_deactivate(cpu: CpuIndex) -> Result<(), StepError> {
    if SMP.masks.active.snapshot().count() == 1 {
        return Err(EBUSY);
    }
    SMP.masks.active.remove(cpu);
    Ok(())
}
