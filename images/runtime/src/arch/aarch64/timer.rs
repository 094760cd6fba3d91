//! The generic timer: the counter that all CPUs share (CNTVCT_EL0), and each CPU's virtual timer, used one shot at a time.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use arm_gic::IntId;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use super::read_register;
use crate::devicetree;

/// The virtual timer's interrupt, from the devicetree.
static INTERRUPT: AtomicU32 = AtomicU32::new(0);

const ENABLE: u64 = 1;

/// The counter now.
#[must_use]
pub fn ticks() -> u64 {
    let value: u64;
    // SAFETY: reading the counter has no effect; not `nomem`, so that it stays where it is written between memory accesses.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack, preserves_flags)) };
    value
}

/// How many ticks make a second (CNTFRQ_EL0). Not 0.
#[must_use]
pub fn frequency() -> u64 {
    read_register!("cntfrq_el0").max(1)
}

/// Reads the timer's interrupt from the devicetree: the third of `arm,armv8-timer` is the virtual timer's.
///
/// # Errors
/// What is missing.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let node = devicetree::find_node(fdt, |node| node.is_compatible("arm,armv8-timer"))
        .ok_or("the devicetree has no arm,armv8-timer")?;
    let interrupts = node.property("interrupts").ok_or("the timer has no interrupts")?;
    let cells = interrupts.value().get(24..36).ok_or("the timer has no virtual timer interrupt")?;
    let cell = |n: usize| u32::from_be_bytes([cells[n * 4], cells[n * 4 + 1], cells[n * 4 + 2], cells[n * 4 + 3]]);
    if cell(0) != 1 || cell(1) > 15 {
        return Err("the virtual timer's interrupt is no private one");
    }
    INTERRUPT.store(u32::from(IntId::ppi(cell(1))), Ordering::Relaxed);
    Ok(())
}

/// The interrupt of the virtual timer.
pub(crate) fn interrupt() -> u32 {
    INTERRUPT.load(Ordering::Relaxed)
}

/// Has this CPU interrupted when the counter reaches `deadline`, instead of what it was programmed for before.
pub fn program(deadline: u64) {
    // SAFETY: the virtual timer is the kernel's own.
    unsafe {
        asm!("msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", "isb", in(reg) deadline, in(reg) ENABLE, options(nostack));
    }
}

/// Leaves this CPU without a timer interrupt.
pub fn stop() {
    // SAFETY: as above.
    unsafe { asm!("msr cntv_ctl_el0, xzr", "isb", options(nostack)) };
}
