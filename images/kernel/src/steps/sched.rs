//! A CPU's place in scheduling: when it takes threads and calls, and when others may move threads to it.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{steps, trace};

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
    steps::sched_starting();
    Ok(())
}

fn sched_cpu_dying(_: CpuIndex) -> Result<(), StepError> {
    steps::sched_dying();
    Ok(())
}

fn sched_cpu_activate(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::sched_cpu_activate);
    steps::activate(cpu);
    Ok(())
}

/// The last active CPU stays.
fn sched_cpu_deactivate(cpu: CpuIndex) -> Result<(), StepError> {
    if steps::deactivate(cpu) { Ok(()) } else { Err(EBUSY) }
}
