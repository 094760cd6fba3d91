//! Leaving for the next system: how the boot CPU enters it ([`enter`]), and where the others wait for it that firmware cannot switch off
//! ([`ReleasePen`], an exit for [`reveille::handover`]).
//!
//! A system that was entered at EL2 enters the next one at EL2 (booting.rst: all CPUs at one level). Where its CPUs dropped to EL1,
//! for want of VHE, the way back is an HVC: every CPU that enters at EL2 must have VBAR_EL2 set to `reveille_hyp_stub` before it
//! goes on to this crate's entry code, which leaves it alone.

use core::arch::global_asm;
use core::ops::Range;

use reveille::handover::Exit;
use reveille::{CallError, Cpu, CpuIndex, FirmwareState};

use crate::cache::clean_and_invalidate;

/// What the pen's word of state holds once its CPU is there.
const WAITS: u64 = 1;
/// Each word is in cache lines of its own: one side writes it with caches off, or cleans it.
const SLOT: usize = 512;
const SLOT_STATE: usize = SLOT / 2;
/// The pen's code, at its start.
const CODE: usize = 4096;
/// The largest page of a next system: what it leaves alone, it leaves alone by pages.
const LARGEST_PAGE: usize = 64 << 10;

global_asm!(include_str!("handover.S"), WAITS = const WAITS, SLOT_STATE = const SLOT_STATE);

unsafe extern "C" {
    fn reveille_leave(address: u64, argument: u64, level: u64, used_start: usize, used_end: usize) -> !;
    static reveille_release_pen: u8;
    static reveille_release_pen_end: u8;
}

/// Where a CPU goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextStage {
    /// The physical address of its first instruction.
    pub entry: u64,
    /// What is in X0 there: the physical address of the devicetree. X1 to X3 are 0.
    pub argument: u64,
    /// The exception level: the one at which this system was entered, 1 or 2.
    pub level: u8,
}

/// Has this CPU enter `next`, with its MMU and caches off and interrupts masked. `used` is the memory that this system has written to, by
/// physical addresses: no cache holds anything of it when `next` begins, which would later overwrite what `next` has there.
///
/// # Safety
/// `next` is executable, and what it needs was written and cleaned to the point of coherency. No other CPU runs this system, or it
/// runs in memory that `next` leaves alone. This code and `used` are mapped to themselves, and `used` is memory. `level` is as
/// [`NextStage::level`] says, and if it is 2 and this CPU at EL1, its VBAR_EL2 is `reveille_hyp_stub`.
pub unsafe fn enter(next: &NextStage, used: Range<usize>) -> ! {
    // SAFETY: the caller says so.
    unsafe { reveille_leave(next.entry, next.argument, next.level.into(), used.start, used.end) }
}

/// A pen in memory that the next system leaves alone, since the devicetree reserves it: where CPUs wait, MMU and caches off, for the word
/// that their node calls `cpu-release-addr` (Linux's booting.rst).
pub struct ReleasePen {
    base: usize,
    cpus: usize,
    level: u8,
}

impl ReleasePen {
    /// What the start of a pen's memory is a multiple of.
    pub const ALIGNMENT: usize = LARGEST_PAGE;

    /// How many bytes the pen of `cpus` CPUs takes.
    #[must_use]
    pub const fn size(cpus: usize) -> usize {
        (CODE + cpus * SLOT).next_multiple_of(LARGEST_PAGE)
    }

    /// Makes the pen of `cpus` CPUs, from which they go on at `level` (see [`NextStage::level`]), in the memory at `base`.
    ///
    /// # Safety
    /// `base` is a multiple of [`Self::ALIGNMENT`], and [`Self::size`] bytes there are memory, mapped to itself, that is nobody's for
    /// as long as the machine runs. The pen is used by CPUs that may use [`enter`] at that level.
    #[must_use]
    pub unsafe fn new(base: usize, cpus: usize, level: u8) -> Self {
        let memory: *mut u8 = core::ptr::with_exposed_provenance_mut(base);
        // SAFETY: the caller says that the memory is nobody's; the code lies between the symbols, and is much shorter than CODE.
        unsafe {
            memory.write_bytes(0, Self::size(cpus));
            let code = &raw const reveille_release_pen;
            let length = (&raw const reveille_release_pen_end).addr() - code.addr();
            memory.copy_from_nonoverlapping(code, length);
            clean_and_invalidate(base..base + Self::size(cpus));
        }
        Self { base, cpus, level }
    }

    /// The memory that the next system must leave alone.
    #[must_use]
    pub const fn memory(&self) -> Range<usize> {
        self.base..self.base + Self::size(self.cpus)
    }

    /// The physical address of the word for which `cpu` waits: its `cpu-release-addr`.
    #[must_use]
    pub const fn release_address(&self, cpu: CpuIndex) -> u64 {
        (self.base + CODE + cpu.get() * SLOT) as u64
    }
}

impl Exit for ReleasePen {
    fn check(&self, cpu: &Cpu) -> Result<(), CallError> {
        let has_slot = cpu.index.get() < self.cpus;
        has_slot.then_some(()).ok_or(CallError { call: "pen", code: 0, meaning: "it has no slot for the CPU" })
    }

    fn leave(&self, cpu: &Cpu) -> i32 {
        // SAFETY: the pen is code, was cleaned, and needs nothing else; the CPU goes on at the level that `new` was given. What its caches
        // hold is cleaned by the one that enters the next system: they stay coherent.
        unsafe { reveille_leave(self.base as u64, self.release_address(cpu.index), self.level.into(), 0, 0) }
    }

    fn refusal(&self, _: &Cpu, code: i32) -> CallError {
        CallError { call: "pen", code: code.into(), meaning: "it takes every CPU" }
    }

    fn state(&self, cpu: &Cpu) -> FirmwareState {
        let word = self.release_address(cpu.index) as usize + SLOT_STATE;
        // SAFETY: the pen's own memory. The CPU writes it past all caches, so what this one holds of it is out of date, and unchanged.
        let state = unsafe {
            clean_and_invalidate(word..word + size_of::<u64>());
            core::ptr::with_exposed_provenance::<u64>(word).read_volatile()
        };
        if state == WAITS { FirmwareState::Off } else { FirmwareState::On }
    }
}
