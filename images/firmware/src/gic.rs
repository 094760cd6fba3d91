//! The GICv3, set up for a non-secure world: every interrupt is in its group, but for two of each CPU that bring it to EL3: an SGI, which
//! wakes it when it is off, and its secure timer's.

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{
    GicCpuInterface, GicDistributor, GicRedistributor, GicRedistributorIterator, Group, SecureIntGroup, SgiTarget,
    SgiTargetGroup,
};
use arm_gic::{IntId, InterruptGroup, UniqueMmioPointer};
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use reveille_devices::devicetree;

use crate::{memory_map, timer};

/// The SGI that wakes a CPU, in Group 0: Arm recommends 8 to 15 for the secure world.
const WAKE_SGI: u32 = 15;
/// The interrupt of the secure timer, 29: Arm's Base System Architecture gives it this place.
const TIMER: IntId = IntId::ppi(13);
/// From here on numbers say why there is no interrupt.
const FIRST_SPECIAL: u32 = 1020;
const HIGHEST_PRIORITY: u8 = 0;

/// Sets up the distributor and all redistributors. What differs from CPU to CPU beyond that, each CPU does itself in `reset.S`.
///
/// # Errors
/// What is missing or lies where it is not expected.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let node = devicetree::find_node(fdt, |node| node.is_compatible("arm,gic-v3"));
    let node = node.ok_or("the devicetree has no arm,gic-v3")?;
    let mut regions = devicetree::physical_regions(fdt, node);
    let distributor = regions.next().ok_or("the GIC has no distributor")?;
    let distributor = memory_map::device::<Gicd>(&distributor)?;
    // SAFETY: mapped as a device, and nobody else uses it yet.
    let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(distributor) });
    distributor.configure_default_settings();
    distributor.enable_affinity_routing_non_secure(true);
    // The next stage has the groups of its own off until it wants them.
    distributor.enable_group1_non_secure(false);
    distributor.enable_group0(true);

    let count = devicetree::u32_property(node, "#redistributor-regions").unwrap_or(1);
    for region in regions.take(count as usize) {
        let first = memory_map::device::<GicrSgi>(&region)?;
        // SAFETY: the whole region is mapped as a device, and nobody else uses it yet.
        let redistributors = unsafe { GicRedistributorIterator::new(first) };
        for mut redistributor in redistributors.map_err(|_| "no redistributor where the GIC has one")? {
            init_redistributor(&mut redistributor).map_err(|_| "a redistributor refuses the wake-up")?;
        }
    }
    Ok(())
}

fn init_redistributor(redistributor: &mut GicRedistributor<'_>) -> Result<(), arm_gic::gicv3::GicError> {
    redistributor.configure_default_settings();
    // An error says that it is awake already.
    let _ = redistributor.mark_core_awake();
    for own in [IntId::sgi(WAKE_SGI), TIMER] {
        redistributor.set_group(own, Group::Secure(SecureIntGroup::Group0))?;
        redistributor.set_interrupt_priority(own, HIGHEST_PRIORITY)?;
        redistributor.enable_interrupt(own, true)?;
    }
    Ok(())
}

/// Wakes the CPU with this affinity, if it is off; if it is on its way there, it will not sleep.
pub fn wake(affinity: u64) {
    let [aff0, aff1, aff2, _, aff3, ..] = affinity.to_le_bytes();
    let target = SgiTarget::List { affinity3: aff3, affinity2: aff2, affinity1: aff1, target_list: 1 << (aff0 & 0xf) };
    // SAFETY: a barrier: what was written before is visible before the interrupt is.
    unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
    GicCpuInterface::send_sgi(IntId::sgi(WAKE_SGI), target, SgiTargetGroup::Group0).expect("the wake-up is an SGI");
}

/// Takes the interrupts of this CPU that are the firmware's: its timer's, which is quiet from here on, and wake-ups that came when it ran
/// already.
pub fn take_interrupts() {
    while let Some(interrupt) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group0) {
        // Another group has one: it is the next stage's, and stays pending.
        if u32::from(interrupt) >= FIRST_SPECIAL {
            break;
        }
        if interrupt == TIMER {
            timer::stop();
        }
        GicCpuInterface::end_interrupt(interrupt, InterruptGroup::Group0);
    }
}
