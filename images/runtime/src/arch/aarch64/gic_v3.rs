//! Arm's GICv3 as the devicetree's `arm,gic-v3` describes it.

use alloc::vec::Vec;
use core::ptr::NonNull;

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{
    GicCpuInterface, GicDistributor, GicRedistributor, GicRedistributorIterator, SgiTarget, SgiTargetGroup,
};
use arm_gic::{IntId, InterruptGroup, Trigger, UniqueMmioPointer};
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use reveille::{CpuIndex, HwId};
use safe_mmio::field;

use super::interrupt_controllers::map;
use super::timer;
use crate::interrupt_controller::{Interrupt, InterruptController};
use crate::ipi::Ipi;
use crate::lock::IrqLock;
use crate::{cpus, devicetree};

/// What the devicetree calls it.
pub(super) const COMPATIBLE: &str = "arm,gic-v3";
const PRIORITY: u8 = 0x80;
const LOWEST_PRIORITY: u8 = 0xff;

/// The controller, with the redistributor of every CPU that the machine can have.
pub struct GicV3 {
    distributor: IrqLock<GicDistributor<'static>>,
    /// By affinity, ascending.
    redistributors: Vec<(HwId, NonNull<GicrSgi>)>,
}

// SAFETY: the redistributors stay where they are, and each is used by the CPU only that it belongs to.
unsafe impl Send for GicV3 {}
// SAFETY: as above.
unsafe impl Sync for GicV3 {}

impl GicV3 {
    /// Finds the controller in the devicetree, and sets it up as [`GicV3::new`] does.
    ///
    /// # Errors
    /// What is missing or cannot be mapped.
    pub fn init(fdt: &Fdt<'_>) -> Result<Self, &'static str> {
        let node = devicetree::find_node(fdt, |node| node.is_compatible(COMPATIBLE));
        Self::new(fdt, node.ok_or("the devicetree has no arm,gic-v3")?)
    }

    /// Resets the distributor of the controller that `node` describes, and notes the redistributors of all regions by their
    /// GICR_TYPER.
    ///
    /// # Errors
    /// What is missing or cannot be mapped.
    pub(super) fn new(fdt: &Fdt<'_>, node: FdtNode<'_>) -> Result<Self, &'static str> {
        let mut regions = devicetree::physical_regions(fdt, node);
        let distributor = regions.next().ok_or("the GIC has no distributor")?;
        let distributor = map::<Gicd>(distributor.start, distributor.len())?;
        // SAFETY: mapped as device memory just now, and nobody else uses the distributor.
        let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(distributor) });
        distributor.configure_default_settings();

        let mut redistributors = Vec::new();
        // The regions behind the redistributors' are the CPU interfaces' of a GICv2, which nobody uses here.
        let count = devicetree::u32_property(node, "#redistributor-regions").unwrap_or(1);
        for region in regions.take(count as usize) {
            let first = map::<GicrSgi>(region.start, region.len())?;
            // SAFETY: the whole region is mapped as device memory.
            let frames = unsafe { GicRedistributorIterator::new(first) }
                .map_err(|_| "no redistributor where the GIC has one")?;
            let stride = if frames_are_v4(first) { 2 } else { 1 };
            for (position, frame) in frames.enumerate() {
                // SAFETY: the iterator has just been there.
                let address = unsafe { first.add(position * stride) };
                redistributors.push((HwId(frame.typer().core_mpidr()), address));
            }
        }
        redistributors.sort_unstable_by_key(|&(hw_id, _)| hw_id);
        Ok(Self { distributor: IrqLock::new(distributor), redistributors })
    }
}

/// Whether redistributors have two more frames each, for virtual LPIs.
fn frames_are_v4(first: NonNull<GicrSgi>) -> bool {
    // SAFETY: mapped as device memory; the pointer is used for one read.
    let redistributor = GicRedistributor::new(unsafe { UniqueMmioPointer::new(first) });
    redistributor.typer().virtual_lpis_supported()
}

impl GicV3 {
    /// The address of the redistributor of the CPU with the id `hw_id`.
    #[must_use]
    pub fn redistributor_address(&self, hw_id: HwId) -> Option<usize> {
        let place = self.redistributors.binary_search_by_key(&hw_id, |&(hw_id, _)| hw_id).ok()?;
        Some(self.redistributors[place].1.addr().get())
    }

    /// The redistributor of this CPU, which has the id `hw_id`.
    fn redistributor(&self, hw_id: HwId) -> Result<GicRedistributor<'_>, &'static str> {
        self.registers(hw_id).map(GicRedistributor::new)
    }

    fn registers(&self, hw_id: HwId) -> Result<UniqueMmioPointer<'_, GicrSgi>, &'static str> {
        let place = self.redistributors.binary_search_by_key(&hw_id, |&(hw_id, _)| hw_id);
        let (_, registers) = self.redistributors[place.map_err(|_| "this CPU has no redistributor")?];
        // SAFETY: mapped as device memory, and this CPU's alone.
        Ok(unsafe { UniqueMmioPointer::new(registers) })
    }

    /// Puts these private interrupts of this CPU out (bit n is the interrupt n), and forgets which of them are pending.
    fn clear_private(&self, hw_id: HwId, interrupts: u32) {
        let Ok(mut registers) = self.registers(hw_id) else { return };
        let mut private = field!(registers, sgi);
        field!(private, icenabler).get(0).expect("the private interrupts").write(interrupts);
        field!(private, icpendr).get(0).expect("the private interrupts").write(interrupts);
        // What is put out may still be signalled until the write has taken effect.
        GicRedistributor::new(registers).wait_for_pending_write();
    }
}

fn enable(redistributor: &mut GicRedistributor<'_>, interrupt: IntId) -> Result<(), &'static str> {
    redistributor.set_interrupt_priority(interrupt, PRIORITY).map_err(|_| "the redistributor refuses a priority")?;
    redistributor.enable_interrupt(interrupt, true).map_err(|_| "the redistributor refuses an interrupt")
}

impl InterruptController for GicV3 {
    fn name(&self) -> &'static str {
        "gic"
    }

    fn init_this_cpu(&self, hw_id: HwId) -> Result<(), &'static str> {
        if hw_id.0 & 0xff > 0xf {
            return Err("Aff0 is above 15, which an SGI's target list cannot name");
        }
        let mut redistributor = self.redistributor(hw_id)?;
        redistributor.configure_default_settings();
        // An error says that it is awake already.
        let _ = redistributor.mark_core_awake();
        for ipi in Ipi::ALL {
            enable(&mut redistributor, IntId::sgi(ipi as u32))?;
        }
        GicCpuInterface::enable_system_register_el1();
        GicCpuInterface::set_priority_mask(LOWEST_PRIORITY);
        GicCpuInterface::enable_group1(true);
        Ok(())
    }

    fn enable_timer(&self, hw_id: HwId) -> Result<(), &'static str> {
        let timer = IntId::try_from(timer::interrupt()).map_err(|_| "the timer has no interrupt")?;
        enable(&mut self.redistributor(hw_id)?, timer)
    }

    fn disable_timer(&self, hw_id: HwId) {
        self.clear_private(hw_id, 1_u32.checked_shl(timer::interrupt()).unwrap_or(0));
    }

    fn set_private(&self, hw_id: HwId, number: u32, enabled: bool) -> Result<(), &'static str> {
        let id = IntId::try_from(number).map_err(|_| "the GIC has no such private interrupt")?;
        let mut redistributor = self.redistributor(hw_id)?;
        if enabled {
            return enable(&mut redistributor, id);
        }
        redistributor.enable_interrupt(id, false).map_err(|_| "the redistributor refuses an interrupt")
    }

    fn disable_this_cpu(&self, hw_id: HwId) {
        GicCpuInterface::enable_group1(false);
        self.clear_private(hw_id, u32::MAX);
    }

    fn enable_shared(&self, interrupt: devicetree::Interrupt, cpu: CpuIndex) -> Result<u32, &'static str> {
        let mut distributor = self.distributor.lock();
        if interrupt.is_private || interrupt.number >= distributor.typer().num_spis() {
            return Err("the GIC has no such interrupt");
        }
        let id = IntId::spi(interrupt.number);
        let trigger = if interrupt.is_edge { Trigger::Edge } else { Trigger::Level };
        let enabled = distributor
            .set_interrupt_priority(id, PRIORITY)
            .and_then(|()| distributor.set_trigger(id, trigger))
            .and_then(|()| distributor.set_routing(id, Some(cpus::hw_id(cpu).0)))
            .and_then(|()| distributor.enable_interrupt(id, true));
        enabled.map(|()| id.into()).map_err(|_| "the distributor refuses an interrupt")
    }

    fn route_shared(&self, number: u32, cpu: CpuIndex) {
        let id = IntId::try_from(number).expect("the number of an interrupt that was enabled");
        let routed = self.distributor.lock().set_routing(id, Some(cpus::hw_id(cpu).0));
        routed.expect("the distributor has accepted the interrupt before");
    }

    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi) {
        let [aff0, aff1, aff2, _, aff3, ..] = cpus::hw_id(cpu).0.to_le_bytes();
        let target =
            SgiTarget::List { affinity3: aff3, affinity2: aff2, affinity1: aff1, target_list: 1 << (aff0 & 0xf) };
        // SAFETY: a barrier: what was written before is visible before the interrupt is.
        unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
        GicCpuInterface::send_sgi(IntId::sgi(ipi as u32), target, SgiTargetGroup::CurrentGroup1)
            .expect("an IPI's number is an SGI's");
    }

    fn handle(&self, handler: fn(Interrupt)) {
        while GicCpuInterface::handle_interrupt(InterruptGroup::Group1, |id| {
            let number = u32::from(id);
            handler(match Ipi::from_number(number) {
                Some(ipi) => Interrupt::Ipi(ipi),
                None if number == timer::interrupt() => Interrupt::Timer,
                None if number < 32 => Interrupt::Private(number),
                None => Interrupt::Shared(number),
            });
        }) {}
    }
}
