//! The pen of the image ([`HoldingPen`]): where CPUs wait, MMU off, that firmware cannot start again.
//!
//! In it each CPU finds its record in the boot table by MPIDR, and waits for a word of its own: the context id of its kick. The pen
//! and its words are part of the image and are never given to others.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use reveille::{ContextId, Cpu, MAX_CPUS};

use crate::AFFINITY_MASK;
use crate::cache::clean_to_point_of_coherency;
use crate::entry::TABLE;
use crate::pen::Pen;
use crate::table::{Record, Table};

/// What each CPU in the pen waits for: its context id. 0 before its first kick.
static WORDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

global_asm!(
    include_str!("holding_pen.S"),
    table = sym TABLE,
    words = sym WORDS,
    MAX_CPUS = const MAX_CPUS,
    RECORD_SIZE = const size_of::<Record>(),
    RECORD_HW_ID = const offset_of!(Record, hw_id),
    RECORD_CLAIM = const offset_of!(Record, claim),
    TABLE_LEVEL = const offset_of!(Table, level),
    TABLE_RECORDS = const offset_of!(Table, records),
    AFFINITY_MASK_LOW = const AFFINITY_MASK & 0xffff_ffff,
    AFFINITY_MASK_HIGH = const (AFFINITY_MASK >> 32) & 0xffff,
);

unsafe extern "C" {
    safe fn reveille_holding_pen();
    safe fn reveille_back_to_pen();
}

/// The image's pen. All methods of an image that need one share it.
#[derive(Clone, Copy, Debug)]
pub struct HoldingPen {
    entry: u64,
    back: u64,
}

impl HoldingPen {
    /// The pen of an image whose addresses `to_physical` translates. It is mapped to itself, executable, in the tables that the boot
    /// table was sealed with; that is done before a CPU enters it.
    #[must_use]
    pub fn new(to_physical: impl Fn(usize) -> u64) -> Self {
        let entry = to_physical(reveille_holding_pen as *const () as usize);
        let back = to_physical(reveille_back_to_pen as *const () as usize);
        Self { entry, back }
    }

    /// The same pen, which CPUs enter through code of the image's own at the physical address `entry`: it may do for them what it likes
    /// at the exception level at which they come, and then goes on to `reveille_holding_pen` with all registers as they were but those
    /// that a function may change.
    #[must_use]
    pub fn behind(self, entry: u64) -> Self {
        Self { entry, ..self }
    }
}

/// Wakes every CPU that waits in WFE, after what was written and cleaned before.
pub(crate) fn send_event() {
    // SAFETY: a barrier and a hint.
    unsafe { asm!("dsb sy", "sev", options(nostack, preserves_flags)) };
}

impl Pen for HoldingPen {
    fn entry(&self) -> u64 {
        self.entry
    }

    fn release(&self, cpu: &Cpu, context: ContextId) {
        let word = &WORDS[cpu.index.get()];
        word.store(context.to_raw(), Ordering::Relaxed);
        clean_to_point_of_coherency(word);
        send_event();
    }

    /// The word there may still have the context id that this CPU came out with: then it comes out once more, loses its claim, and goes
    /// back.
    fn enter(&self) -> ! {
        // SAFETY: the pen's code is mapped to itself, masks interrupts, and uses no memory of this CPU's from here on.
        unsafe { asm!("msr daifset, #0xf", "mov x26, xzr", "br {}", in(reg) self.back, options(noreturn)) }
    }
}
