//! A CPU's part of the interrupt controller.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{interrupt_controller, trace};

use super::{EIO, fail, hw_id, order};
use crate::hotplug::STEPS;
use crate::names::name;

#[distributed_slice(STEPS)]
static GIC: Step<'static> = Step::new(Section::Starting, order::IRQ, "irqchip/arm/gic:starting")
    .startup(&gic_starting_cpu)
    .teardown(&gic_dying_cpu);

fn gic_starting_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let is_bcm2836 = interrupt_controller::name() == "bcm2836";
    let _span = trace::span(if is_bcm2836 { name::bcm2836_cpu_starting } else { name::gic_starting_cpu });
    interrupt_controller::init_this_cpu(hw_id(cpu)).map_err(|reason| fail(cpu, EIO, reason))
}

/// Interrupts of devices that come to this CPU go to another.
fn gic_dying_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    interrupt_controller::migrate_shared();
    interrupt_controller::disable_this_cpu(hw_id(cpu));
    Ok(())
}
