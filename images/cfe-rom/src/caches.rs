//! What a CPU does to its own caches once they are in use. Their state out of reset is `caches.S`'s affair.

use core::arch::asm;

use crate::cp0::{config1, sync};
use crate::memory::KSEG0;

/// Sizes of a cache of the first level.
#[derive(Clone, Copy)]
struct Geometry {
    bytes: usize,
    line: usize,
}

impl Geometry {
    /// From Config1's three fields of three bits, at whose lowest bits they are. None where there is no such cache.
    fn read(config1: u32, sets: u32, line: u32, ways: u32) -> Option<Self> {
        let field = |bit: u32| (config1 >> bit & 7) as usize;
        if field(line) == 0 {
            return None;
        }
        // 0 to 6 stand for 64 to 4096 sets, 7 for 32.
        let sets = 32 << ((field(sets) + 1) & 7);
        let line = 2 << field(line);
        Some(Self { bytes: sets * line * (field(ways) + 1), line })
    }

    /// Addresses in KSEG0 that between them have every index of the cache.
    fn indices(self) -> impl Iterator<Item = usize> {
        (KSEG0..KSEG0 + self.bytes).step_by(self.line)
    }
}

/// Applies one cache instruction to every index of a cache.
macro_rules! each_index {
    ($operation:literal, $geometry:expr) => {
        for index in $geometry.indices() {
            // SAFETY: the operations below change nothing that an access could see.
            unsafe {
                asm!(
                    ".set push",
                    ".set noat",
                    concat!("cache ", $operation, ", 0({})"),
                    ".set pop",
                    in(reg) index,
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

/// Writes the data cache back to memory and leaves it empty.
pub fn write_back_data() {
    if let Some(data) = Geometry::read(config1(), 13, 10, 7) {
        // Index Writeback Invalidate.
        each_index!("0x01", data);
    }
    // What was written back is in memory before anyone is told.
    sync();
}

/// Leaves the instruction cache empty, so that what was written is what is fetched.
pub fn invalidate_instructions() {
    if let Some(instructions) = Geometry::read(config1(), 22, 19, 16) {
        // Index Invalidate.
        each_index!("0x00", instructions);
    }
    // Whoever goes to new instructions does so behind an instruction hazard barrier: jr.hb in enter_program, or the caller's own.
    sync();
}
