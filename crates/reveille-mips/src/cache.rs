//! The data cache, for a CPU that is about to be reset: what it has not written back would be lost.

use core::arch::asm;

use crate::cp0::read_c0;

/// Where the lines of a cache are named by their index.
const KSEG0: usize = 0x8000_0000;

/// Writes back all of this CPU's first-level data cache and invalidates it (CACHE, Index_Writeback_Inv_D, for every line, as Config1
/// counts them), and waits until that is done (SYNC). What the CPU writes afterwards is in its cache again. Interrupts are masked.
pub fn write_back_data_cache() {
    let config = read_c0!("16", "1");
    let line = match config >> 10 & 7 {
        // There is no such cache.
        0 => return,
        line => 2_usize << line,
    };
    let sets = match config >> 13 & 7 {
        7 => 32,
        sets => 64_usize << sets,
    };
    let ways = (config >> 7 & 7) as usize + 1;
    for place in (0..line * sets * ways).step_by(line) {
        // SAFETY: writing back and invalidating changes nothing that a program can see.
        unsafe { asm!("cache 1, 0({})", in(reg) KSEG0 + place, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
}
