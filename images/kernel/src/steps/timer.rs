//! A CPU's timer.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{steps, trace};

use super::{EIO, fail, order};
use crate::arch::spans;
use crate::hotplug::STEPS;

#[distributed_slice(STEPS)]
static TIMER: Step<'static> = Step::new(Section::Starting, order::TIMER, "clockevents:starting")
    .startup(&timer_starting_cpu)
    .teardown(&timer_dying_cpu);

fn timer_starting_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(spans::TIMER_STARTING);
    steps::timer_starting(cpu).map_err(|reason| fail(cpu, EIO, reason))
}

fn timer_dying_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    steps::timer_dying(cpu);
    Ok(())
}
