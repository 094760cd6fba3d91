//! How a run ends: malta cannot switch itself off, so QEMU is told.

use core::ptr::write_volatile;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::cp0;
use crate::memory::KSEG1;

/// The status of a run that ended in an exception that was nobody's.
pub const STATUS_EXCEPTION: i32 = 70;

/// The status of a run that had no program to start, or in which the ROM failed.
pub const STATUS_ROM: i32 = 71;

/// malta's reset register, and the value that it wants.
const RESET: *mut u32 = (KSEG1 + 0x1f00_0500) as *mut u32;
const RESET_NOW: u32 = 0x42;

static SEMIHOSTING: AtomicBool = AtomicBool::new(false);

/// From now on runs end by semihosting, with a status: without it nobody would hear of one.
pub fn use_semihosting() {
    SEMIHOSTING.store(true, Ordering::Relaxed);
}

/// Ends the run. The status reaches the host only by semihosting; a reset, which QEMU can take for the end, has none.
pub fn end_run(status: i32) -> ! {
    if SEMIHOSTING.load(Ordering::Relaxed) {
        semihosting::process::exit(status);
    }
    // SAFETY: malta's reset register.
    unsafe { write_volatile(RESET, RESET_NOW) };
    cp0::sleep()
}
