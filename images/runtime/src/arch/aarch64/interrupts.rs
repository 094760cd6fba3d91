//! Masking interrupts on this CPU, and waiting for one.

use core::arch::asm;

pub use reveille_aarch64::counter::relax;

use super::read_register;
pub use crate::masked::{Masked, mask};

const IRQ_MASKED: u64 = 1 << 7;

/// Whether this CPU takes interrupts now.
#[must_use]
pub fn are_enabled() -> bool {
    read_register!("daif") & IRQ_MASKED == 0
}

/// Keeps interrupts out, for [`mask`].
pub(crate) fn disable() {
    // SAFETY: masking interrupts is always sound; memory accesses must not move out, so no `nomem`.
    unsafe { asm!("msr daifset, #2", options(nostack)) };
}

/// Lets interrupts in. The CPU's vectors and interrupt controller are set up.
pub fn enable() {
    // SAFETY: handlers take only locks that mask interrupts.
    unsafe { asm!("msr daifclr, #2", options(nostack)) };
}

/// Takes what interrupts are pending, with interrupts masked before and afterwards.
pub fn take_pending() {
    // SAFETY: as above; the barrier has what is pending taken before interrupts are masked again.
    unsafe { asm!("msr daifclr, #2", "isb", "msr daifset, #2", options(nostack)) };
}

/// With interrupts masked: sleeps until one is pending. It may have been taken when this returns, with interrupts masked again.
pub fn wait() {
    // SAFETY: DSB and WFI have no effect on memory.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Sleeps, and takes no interrupt any more.
pub fn sleep_for_ever() -> ! {
    let _masked = mask();
    loop {
        wait();
        // An interrupt that is pending ends the wait at once, again and again. Who takes turns with this CPU is not to wait for it.
        relax();
    }
}
