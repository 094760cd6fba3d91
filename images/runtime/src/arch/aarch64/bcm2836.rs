//! The local interrupt controller of Broadcom's BCM2836 and BCM2837: for each of four CPUs it has mailboxes, by which CPUs
//! interrupt each other, and the interrupts of the CPU's timers. Interrupts of devices come from another controller through
//! this one; there is no driver for that.
//!
//! Nothing is acknowledged: an interrupt is pending for as long as its mailbox is not empty or its timer is due.

use core::ops::Range;
use core::ptr::NonNull;

use dtoolkit::fdt::{Fdt, FdtNode};
use reveille::{CpuIndex, HwId};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadWrite;

use super::interrupt_controllers::map;
use super::timer;
use crate::interrupt_controller::{Interrupt, InterruptController};
use crate::ipi::Ipi;
use crate::{cpus, devicetree};

/// What devicetrees call it.
pub(super) const COMPATIBLE: &str = "brcm,bcm2836-l1-intc";

/// How many CPUs it serves.
const CPUS: usize = 4;
/// Of each CPU one word: which of its timers interrupt it.
const TIMER_CONTROL: usize = 0x40;
/// Which of its mailboxes do.
const MAILBOX_CONTROL: usize = 0x50;
/// What is pending: timers in bits 3:0, mailboxes in bits 7:4.
const PENDING: usize = 0x60;
/// Of each CPU 16 bytes: sets bits of its first mailbox, which is the only one in use here.
const MAILBOX_SET: usize = 0x80;
/// Reads the first mailbox, and clears bits of it.
const MAILBOX_CLEAR: usize = 0xc0;
const SIZE: usize = 0x100;

const MAILBOX: u32 = 1;
const MAILBOX_PENDING: u32 = 1 << 4;

/// The controller.
pub struct Bcm2836 {
    base: NonNull<u8>,
}

// SAFETY: each register that is written is one CPU's own, or takes single bits.
unsafe impl Send for Bcm2836 {}
// SAFETY: as above.
unsafe impl Sync for Bcm2836 {}

impl Bcm2836 {
    /// The controller that `node` describes, with no CPU interrupted by anything.
    ///
    /// # Errors
    /// What is missing or cannot be mapped.
    pub(super) fn new(fdt: &Fdt<'_>, node: FdtNode<'_>) -> Result<Self, &'static str> {
        let registers: Range<usize> =
            devicetree::physical_regions(fdt, node).next().ok_or("the interrupt controller has no registers")?;
        if registers.len() < SIZE || !registers.start.is_multiple_of(4) {
            return Err("the interrupt controller's registers lie where they cannot");
        }
        let controller = Self { base: map(registers.start, registers.len())? };
        (0..CPUS).for_each(|cpu| controller.silence(cpu));
        Ok(controller)
    }

    /// The word of the CPU with the number `cpu` in the registers at `first`, which lie `distance` bytes apart.
    fn register(&self, first: usize, distance: usize, cpu: usize) -> UniqueMmioPointer<'_, ReadWrite<u32>> {
        debug_assert!(cpu < CPUS);
        // SAFETY: within the registers, which `new` has mapped, and aligned; each access stands for itself.
        unsafe { UniqueMmioPointer::new(self.base.add(first + distance * cpu).cast()) }
    }

    fn silence(&self, cpu: usize) {
        self.register(TIMER_CONTROL, 4, cpu).write(0);
        self.register(MAILBOX_CONTROL, 4, cpu).write(0);
        self.register(MAILBOX_CLEAR, 16, cpu).write(u32::MAX);
    }
}

/// The number by which the controller knows a CPU.
fn number(hw_id: HwId) -> Option<usize> {
    usize::try_from(hw_id.0 & 0xff).ok().filter(|&number| number < CPUS)
}

/// The number of this CPU, which was initialised.
fn own_number() -> usize {
    number(super::processor::hw_id()).expect("a CPU that takes interrupts has one of four numbers")
}

/// The bit of the timer that is used.
fn timer_bit() -> u32 {
    1_u32.checked_shl(timer::private_number()).unwrap_or(0) & 0xf
}

impl InterruptController for Bcm2836 {
    fn name(&self) -> &'static str {
        "bcm2836"
    }

    fn init_this_cpu(&self, hw_id: HwId) -> Result<(), &'static str> {
        let cpu = number(hw_id).ok_or("the interrupt controller serves CPUs 0 to 3")?;
        self.silence(cpu);
        self.register(MAILBOX_CONTROL, 4, cpu).write(MAILBOX);
        Ok(())
    }

    fn enable_timer(&self, hw_id: HwId) -> Result<(), &'static str> {
        let cpu = number(hw_id).ok_or("the interrupt controller serves CPUs 0 to 3")?;
        let bit = timer_bit();
        if bit == 0 {
            return Err("the interrupt controller has no such timer");
        }
        self.register(TIMER_CONTROL, 4, cpu).write(bit);
        Ok(())
    }

    fn disable_timer(&self, hw_id: HwId) {
        if let Some(cpu) = number(hw_id) {
            self.register(TIMER_CONTROL, 4, cpu).write(0);
        }
    }

    fn disable_this_cpu(&self, hw_id: HwId) {
        if let Some(cpu) = number(hw_id) {
            self.silence(cpu);
        }
    }

    fn enable_shared(&self, _interrupt: devicetree::Interrupt, _cpu: CpuIndex) -> Result<u32, &'static str> {
        Err("there is no driver for the interrupt controller of devices")
    }

    fn route_shared(&self, _number: u32, _cpu: CpuIndex) {}

    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi) {
        let target = number(cpus::hw_id(cpu)).expect("a CPU that takes interrupts has one of four numbers");
        // SAFETY: a barrier: what was written before is visible before the interrupt is.
        unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
        self.register(MAILBOX_SET, 16, target).write(1 << ipi as u32);
    }

    /// Once each: a timer that is due stays pending until it is programmed anew, on the way out of the interrupt.
    fn handle(&self, handler: fn(Interrupt)) {
        let own = own_number();
        let pending = self.register(PENDING, 4, own).read();
        if pending & MAILBOX_PENDING != 0 {
            let ipis = self.register(MAILBOX_CLEAR, 16, own).read();
            // Before they are handled: one that is sent meanwhile comes again.
            self.register(MAILBOX_CLEAR, 16, own).write(ipis);
            // SAFETY: a barrier: the mailbox is read before what its sender wrote.
            unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
            let ipis = (0..32).filter(|bit| ipis & 1 << bit != 0).filter_map(Ipi::from_number);
            ipis.for_each(|ipi| handler(Interrupt::Ipi(ipi)));
        }
        if pending & timer_bit() != 0 {
            handler(Interrupt::Timer);
        }
    }
}
