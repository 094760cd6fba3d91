//! The pens of `enable-method = "spin-table"`: memory of the next stage's that is reserved, with the code that CPUs wait in, and a word for
//! each, at first zero, to which the next stage writes where the CPU is to go.

use core::arch::global_asm;

use psci_server::Entry;
use reveille::MAX_CPUS;

use crate::next_stage::clean;

global_asm!(include_str!("pen.S"));

unsafe extern "C" {
    static pen_begin: u8;
    static pen_end: u8;
}

/// Where the words are, behind the code.
const WORDS: usize = 0x1000;
const WORD: usize = size_of::<u64>();

/// The pens, by where they are.
#[derive(Clone, Copy)]
pub struct Pens(usize);

impl Pens {
    /// The memory that they take.
    pub const SIZE: usize = WORDS + MAX_CPUS * WORD;

    /// Writes them to the memory at `address`, for whoever sees it with caches off.
    ///
    /// # Safety
    /// The memory is mapped, aligned to a page, and nobody else's.
    pub unsafe fn build(address: usize) -> Self {
        let (begin, end) = (&raw const pen_begin, &raw const pen_end);
        let target: *mut u8 = core::ptr::with_exposed_provenance_mut(address);
        // SAFETY: the caller says that the memory is nobody's; the code fits before the words.
        unsafe {
            target.write_bytes(0, Self::SIZE);
            target.copy_from_nonoverlapping(begin, end.addr() - begin.addr());
        }
        clean(address..address + Self::SIZE);
        Self(address)
    }

    /// Where they are.
    pub fn address(self) -> usize {
        self.0
    }

    /// The address of the word of a CPU.
    pub fn word(self, cpu: usize) -> u64 {
        (self.0 + WORDS + cpu * WORD) as u64
    }

    /// How a CPU enters its pen.
    pub fn entry(self, cpu: usize) -> Entry {
        Entry { address: self.0 as u64, context_id: self.word(cpu) }
    }
}
