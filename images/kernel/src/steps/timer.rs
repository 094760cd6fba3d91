//! A CPU's timer.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::arch::timer;
use reveille_runtime::{interrupt_controller, trace};

use super::{EIO, fail, hw_id, order};
use crate::hotplug::STEPS;
use crate::names::name;

#[distributed_slice(STEPS)]
static TIMER: Step<'static> = Step::new(Section::Starting, order::TIMER, "clocksource/arm/arch_timer:starting")
    .startup(&arch_timer_starting_cpu)
    .teardown(&arch_timer_dying_cpu);

fn arch_timer_starting_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::arch_timer_starting_cpu);
    interrupt_controller::enable_timer(hw_id(cpu)).map_err(|reason| fail(cpu, EIO, reason))
}

fn arch_timer_dying_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    timer::stop();
    interrupt_controller::disable_timer(hw_id(cpu));
    Ok(())
}
