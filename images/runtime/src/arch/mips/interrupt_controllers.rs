//! The CPU's own interrupt lines, and behind them, where there are more CPUs than one, the [`Gic`] by which they interrupt each other.

use alloc::boxed::Box;
use core::arch::asm;

use reveille::{CpuIndex, HwId};
use reveille_mips::cp0::{STATUS_IM, read_c0, write_c0};

use super::gic::Gic;
use super::interrupts;
use super::processor;
use crate::devicetree;
use crate::interrupt_controller::{Interrupt, InterruptController};
use crate::ipi::Ipi;

/// The line of the [`Gic`], and that of the timer, as bits of Cause and Status.
const GIC_LINE: u32 = 1 << (STATUS_IM + 2);
const TIMER_LINE: u32 = 1 << (STATUS_IM + 7);

const NO_SHARED: &str = "the interrupts of devices are not used";

struct CpuLines {
    gic: Option<&'static Gic>,
}

/// The controller of the machine, which has `several` CPUs or one.
///
/// # Errors
/// Why its CPUs cannot interrupt each other.
pub fn init(several: bool) -> Result<&'static dyn InterruptController, &'static str> {
    let gic: Option<&'static Gic> = if several { Some(Box::leak(Box::new(Gic::new()?))) } else { None };
    if let Some(gic) = gic {
        super::count::use_shared_counter(gic);
    }
    Ok(Box::leak(Box::new(CpuLines { gic })))
}

/// Lets the interrupts of `line` in, or keeps them out.
fn set_line(line: u32, open: bool) {
    // What an interrupt handler would change between the read and the write of Status would be lost.
    let masked = interrupts::mask();
    let status = read_c0!("12", "0");
    // SAFETY: only this line changes; its handler is there.
    unsafe { write_c0!("12", "0", if open { status | line } else { status & !line }) };
    drop(masked);
}

impl InterruptController for CpuLines {
    fn name(&self) -> &'static str {
        "mips"
    }

    fn init_this_cpu(&self, hw_id: HwId) -> Result<(), &'static str> {
        if let Some(gic) = self.gic {
            gic.enable(hw_id);
            set_line(GIC_LINE, true);
        }
        Ok(())
    }

    fn enable_timer(&self, _: HwId) -> Result<(), &'static str> {
        super::timer::stop();
        set_line(TIMER_LINE, true);
        Ok(())
    }

    fn disable_timer(&self, _: HwId) {
        set_line(TIMER_LINE, false);
    }

    fn disable_this_cpu(&self, hw_id: HwId) {
        set_line(GIC_LINE | TIMER_LINE, false);
        if let Some(gic) = self.gic {
            gic.disable(hw_id);
        }
    }

    fn enable_shared(&self, _: devicetree::Interrupt, _: CpuIndex) -> Result<u32, &'static str> {
        Err(NO_SHARED)
    }

    fn route_shared(&self, _: u32, _: CpuIndex) {
        unreachable!("no shared interrupt was enabled");
    }

    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi) {
        let Some(gic) = self.gic else { unreachable!("the only CPU interrupts no other") };
        // SAFETY: a barrier: what this CPU wrote before is there for the handler, whose CPU sees the interrupt by another way than
        // memory.
        unsafe { asm!("sync", options(nostack, preserves_flags)) };
        gic.send(cpu, ipi);
    }

    fn handle(&self, handler: fn(Interrupt)) {
        let pending = read_c0!("13", "0") & read_c0!("12", "0");
        if pending & TIMER_LINE != 0 {
            handler(Interrupt::Timer);
        }
        if let (true, Some(gic)) = (pending & GIC_LINE != 0, self.gic) {
            gic.take(processor::hw_id(), |kind| handler(Interrupt::Ipi(kind)));
        }
    }
}
