//! Time at EL3: the counter that all stages share, and each CPU's secure timer, whose interrupt no other level sees.

use core::time::Duration;

use arm_sysregs::el0::accessors::{read_cntfrq_el0, read_cntpct_el0};
use arm_sysregs::el1::accessors::{write_cntps_ctl_el1, write_cntps_cval_el1};
use arm_sysregs::el1::registers::{CntpsCtlEl1, CntpsCvalEl1};

const NANOSECONDS: u128 = 1_000_000_000;

/// The counter.
pub fn now() -> u64 {
    // SAFETY: a barrier: the counter is read where it stands here.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
    read_cntpct_el0().bits()
}

fn frequency() -> u128 {
    u128::from(read_cntfrq_el0().bits().max(1))
}

/// What the counter counts in this time.
pub fn ticks_of(time: Duration) -> u64 {
    (time.as_nanos() * frequency() / NANOSECONDS) as u64
}

/// The time since the counter began.
pub fn nanoseconds(ticks: u64) -> u64 {
    (u128::from(ticks) * NANOSECONDS / frequency()) as u64
}

/// Has this CPU interrupted when the counter reaches `deadline`, and not at what was asked for before.
pub fn program(deadline: u64) {
    write_cntps_cval_el1(CntpsCvalEl1::from_bits_retain(deadline));
    write_cntps_ctl_el1(CntpsCtlEl1::ENABLE);
}

/// Has this CPU's timer quiet.
pub fn stop() {
    write_cntps_ctl_el1(CntpsCtlEl1::empty());
}
