//! The system counter, which all CPUs share: a clock for [`reveille::Platform::now`].

use core::arch::asm;

use reveille::Instant;

/// The virtual counter now (CNTVCT_EL0). It is the same on all CPUs where CNTVOFF is.
#[must_use]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reading the counter has no effect; not `nomem`, so that it stays where it is written between memory accesses.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// How many ticks make a second (CNTFRQ_EL0, which firmware sets). Not 0.
#[must_use]
pub fn frequency() -> u64 {
    let frequency: u64;
    // SAFETY: reading CNTFRQ_EL0 has no effect.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags)) };
    frequency.max(1)
}

/// The moment at which the counter stands at `ticks`.
#[must_use]
pub fn instant(ticks: u64) -> Instant {
    let frequency = frequency();
    // Whole seconds apart, so that the product fits 64 bits.
    Instant((ticks / frequency) * 1_000_000_000 + (ticks % frequency) * 1_000_000_000 / frequency)
}

/// Lets others run for a moment, in a loop that polls memory: YIELD, which QEMU needs to let other CPUs run when it emulates
/// them in one thread.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}
