//! A CPU's timer.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::arch::timer;
use reveille_runtime::{interrupt_controller, trace};

use super::{EIO, fail, hw_id, order};
use crate::arch::spans;
use crate::hotplug::STEPS;

#[distributed_slice(STEPS)]
static TIMER: Step<'static> = Step::new(Section::Starting, order::TIMER, "clockevents:starting")
    .startup(&timer_starting_cpu)
    .teardown(&timer_dying_cpu);

fn timer_starting_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(spans::TIMER_STARTING);
    interrupt_controller::enable_timer(hw_id(cpu)).map_err(|reason| fail(cpu, EIO, reason))
}

fn timer_dying_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    timer::stop();
    interrupt_controller::disable_timer(hw_id(cpu));
    Ok(())
}
