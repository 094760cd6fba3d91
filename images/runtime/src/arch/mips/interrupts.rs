//! Masking interrupts on this CPU, and waiting for one.

use core::arch::{asm, naked_asm};

use reveille_mips::cp0::{STATUS_IE, read_c0};

pub use crate::masked::{Masked, mask};

/// Whether this CPU takes interrupts now.
#[must_use]
pub fn are_enabled() -> bool {
    read_c0!("12", "0") & STATUS_IE != 0
}

/// Keeps interrupts out, for [`mask`].
pub(crate) fn disable() {
    // SAFETY: masking interrupts is always sound; memory accesses must not move out, so no `nomem`. Until the barrier an interrupt
    // may still be taken.
    unsafe { asm!("di", "ehb", options(nostack)) };
}

/// Lets interrupts in. The CPU's vectors and interrupt controller are set up.
pub fn enable() {
    // SAFETY: handlers take only locks that mask interrupts.
    unsafe { asm!("ei", "ehb", options(nostack)) };
}

/// Takes what interrupts are pending, with interrupts masked before and afterwards.
pub fn take_pending() {
    // SAFETY: as above; the barriers have what is pending taken between them.
    unsafe { asm!("ei", "ehb", "di", "ehb", options(nostack)) };
}

/// With interrupts masked: sleeps until one is pending. It may have been taken when this returns, with interrupts masked again.
///
/// WAIT with interrupts masked need not end when one is pending, so it is executed with interrupts let in; and since one that comes
/// between EI and WAIT would be taken before the CPU sleeps, the interrupt handler goes on behind WAIT where it has interrupted
/// anything from [`wait_region`] (as Linux's `rollback_handle_int`).
pub fn wait() {
    reveille_wait();
}

#[unsafe(naked)]
extern "C" fn reveille_wait() {
    naked_asm!(
        ".set push",
        ".set mips32r2",
        ".set noreorder",
        ".global reveille_wait_begin",
        "reveille_wait_begin:",
        "ei",
        "ehb",
        "wait",
        ".global reveille_wait_end",
        "reveille_wait_end:",
        "di",
        "ehb",
        "jr $31",
        "nop",
        ".set pop"
    )
}

/// Lets others run for a moment, in a loop that polls memory: PAUSE waits for nothing where no LL is outstanding, but has QEMU let
/// other CPUs run.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("pause", options(nomem, nostack, preserves_flags)) };
}

/// Sleeps, and takes no interrupt any more.
pub fn sleep_for_ever() -> ! {
    // SAFETY: masking interrupts is always sound; so is sleeping.
    unsafe { asm!("di", "ehb", "0:", "wait", "b 0b", options(noreturn)) }
}
