//! A CPU's part of the interrupt controller.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{steps, trace};

use super::{EIO, fail, order};
use crate::arch::spans;
use crate::hotplug::STEPS;

#[distributed_slice(STEPS)]
static IRQCHIP: Step<'static> = Step::new(Section::Starting, order::IRQ, "irqchip:starting")
    .startup(&irqchip_starting_cpu)
    .teardown(&irqchip_dying_cpu);

fn irqchip_starting_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(spans::interrupt_controller_starting());
    steps::irqchip_starting(cpu).map_err(|reason| fail(cpu, EIO, reason))
}

/// Interrupts of devices that come to this CPU go to another.
fn irqchip_dying_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    steps::irqchip_dying(cpu);
    Ok(())
}
