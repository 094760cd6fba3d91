//! Trying something that may end in an exception, and telling what came of it.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::offset_of;

use crate::registers::read_register;
use crate::vcpus::Start;

global_asm!(
    include_str!("attempt.S"),
    SAVED = const offset_of!(Record, saved),
    VALUE = const offset_of!(Record, value),
    ESR = const offset_of!(Record, esr),
    TABLES = const offset_of!(Start, ttbr0),
);

/// What `attempt.S` keeps of one vCPU while it tries something.
#[repr(C, align(16))]
pub struct Record {
    saved: [u64; 22],
    value: u64,
    esr: u64,
    far: u64,
    elr: u64,
    spsr: u64,
}

impl Record {
    /// An empty one.
    pub const fn new() -> Self {
        Self { saved: [0; 22], value: 0, esr: 0, far: 0, elr: 0, spsr: 0 }
    }
}

unsafe extern "C" {
    fn attempt(record: *mut Record, code: u64, x0: u64, x1: u64, sctlr: u64) -> u64;
}

/// Code that is tried.
pub type Code = unsafe extern "C" fn(u64, u64) -> u64;

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this.
    Returned(u64),
    /// An exception, by its vector (0 to 15).
    Exception {
        /// Which vector.
        vector: u64,
        /// ESR_EL1.
        esr: u64,
        /// FAR_EL1.
        far: u64,
        /// ELR_EL1.
        elr: u64,
    },
}

impl Outcome {
    /// The exception class.
    pub const fn class(self) -> Option<u64> {
        match self {
            Self::Returned(_) => None,
            Self::Exception { esr, .. } => Some(esr >> 26 & 0x3f),
        }
    }

    /// The immediate of an SVC.
    pub const fn immediate(self) -> Option<u64> {
        match self {
            Self::Exception { esr, .. } if esr >> 26 & 0x3b == 0x11 => Some(esr & 0xffff),
            _ => None,
        }
    }

    /// An undefined instruction.
    pub fn is_undefined(self) -> bool {
        self.class() == Some(0)
    }

    /// An external abort: of data (class 0x24 or 0x25) or of an instruction (0x20 or 0x21), at this virtual address.
    pub fn is_abort(self, class: u64, address: u64) -> bool {
        const EXTERNAL: u64 = 0x10;
        match self {
            Self::Returned(_) => false,
            Self::Exception { esr, far, .. } => self.class() == Some(class) && esr & 0x3f == EXTERNAL && far == address,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(value) => write!(f, "returned {value:#x}"),
            Self::Exception { vector, esr, far, elr } => {
                write!(f, "exception {vector}, ESR {esr:#x}, FAR {far:#x}, ELR {elr:#x}")
            }
        }
    }
}

/// SCTLR_EL1 with the MMU off.
pub const MMU_OFF: u64 = 0x30d0_0800;

/// How many instructions are made up at a time.
const SCRATCH: usize = 64;

/// What one vCPU tries things with.
pub struct Attempts {
    record: Record,
    code: UnsafeCell<Scratch>,
    /// Whether all that was noted was right, and something was.
    noted: Option<bool>,
}

#[repr(C, align(4096))]
struct Scratch([u32; SCRATCH]);

/// `RET`.
pub const RET: u32 = 0xd65f_03c0;

impl Attempts {
    /// None yet.
    pub const fn new() -> Self {
        Self { record: Record::new(), code: UnsafeCell::new(Scratch([RET; SCRATCH])), noted: None }
    }

    /// Tries the code at `code`.
    fn at(&mut self, code: u64, [x0, x1]: [u64; 2], sctlr: u64) -> Outcome {
        // SAFETY: what the code does to memory is bounded by what it is given; whatever exception comes, this returns.
        let vector = unsafe { attempt(&raw mut self.record, code, x0, x1, sctlr) };
        let Record { value, esr, far, elr, .. } = self.record;
        if vector == 16 { Outcome::Returned(value) } else { Outcome::Exception { vector, esr, far, elr } }
    }

    /// Calls `code`.
    pub fn call(&mut self, code: Code, x0: u64, x1: u64) -> Outcome {
        self.at(code as *const () as u64, [x0, x1], sctlr())
    }

    /// Calls `code` with the MMU off.
    pub fn call_without_mmu(&mut self, code: Code, x0: u64, x1: u64) -> Outcome {
        self.at(code as *const () as u64, [x0, x1], MMU_OFF)
    }

    /// Jumps to an address, with the MMU off.
    pub fn jump(&mut self, address: u64) -> Outcome {
        self.at(address, [0, 0], MMU_OFF)
    }

    /// Executes these instructions, behind which there is a `RET`.
    pub fn execute(&mut self, instructions: &[u32], x0: u64) -> Outcome {
        let code = self.write(instructions);
        self.at(code, [x0, 0], sctlr())
    }

    /// Enters these instructions with the MMU off and this SPSR_EL1.
    pub fn enter(&mut self, spsr: u64, instructions: &[u32]) -> Outcome {
        self.enter_with(0, spsr, instructions)
    }

    /// The same with these bits of SCTLR_EL1 set.
    pub fn enter_with(&mut self, sctlr: u64, spsr: u64, instructions: &[u32]) -> Outcome {
        let code = self.write(instructions);
        self.at(try_return as *const () as u64, [spsr, code], MMU_OFF | sctlr)
    }

    /// Notes whether something was right, for [`Attempts::all_noted`].
    pub fn note(&mut self, right: bool) {
        self.noted = Some(self.noted != Some(false) && right);
    }

    /// Whether something was noted since the last time, and all of it was right.
    pub const fn all_noted(&mut self) -> bool {
        matches!(self.noted.take(), Some(true))
    }

    fn write(&mut self, instructions: &[u32]) -> u64 {
        let scratch = &mut self.code.get_mut().0;
        scratch[..instructions.len()].copy_from_slice(instructions);
        scratch[instructions.len()] = RET;
        let address = scratch.as_ptr() as u64;
        for line in 0..(4 * SCRATCH as u64).div_ceil(16) {
            // SAFETY: cache maintenance of this vCPU's own code.
            unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) address + 16 * line, options(nostack)) };
        }
        // SAFETY: barriers.
        unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
        address
    }
}

fn sctlr() -> u64 {
    read_register!("sctlr_el1")
}

macro_rules! codes {
    ($($name:ident)+) => {
        unsafe extern "C" {
            $(pub fn $name(x0: u64, x1: u64) -> u64;)+
        }
    };
}

codes! {
    try_ldr try_ldrb try_ldrh try_ldrw try_str try_strb try_strh try_strw
    try_ldp try_stp try_stnp try_post_index try_ldxr try_stxr try_ldadd try_cas try_simd try_zero
    try_clean try_invalidate try_fetch_forget try_prefetch try_translate try_walk try_return
    try_translation_junk take_exceptions_for_ever
}
