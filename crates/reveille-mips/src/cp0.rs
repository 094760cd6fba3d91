//! Registers of coprocessor 0 (MIPS32 Privileged Resource Architecture, chapter 9), and the barriers that writing them takes.

/// Reads a register, by its number and select, as a `u32`.
#[macro_export]
macro_rules! read_c0 {
    ($number:literal, $select:literal) => {{
        let value: u32;
        // SAFETY: reading a register of coprocessor 0 in kernel mode has no effect; not `nomem`, so that it stays where it is written
        // between memory accesses.
        unsafe {
            core::arch::asm!(
                ".set push", ".set noat",
                concat!("mfc0 {}, $", $number, ", ", $select),
                ".set pop",
                out(reg) value, options(nostack, preserves_flags)
            );
        }
        value
    }};
}

/// Writes a register, by its number and select, and clears the execution hazard (EHB): instructions that follow see the new value.
///
/// # Safety
/// What the register means is the caller's to know.
#[macro_export]
macro_rules! write_c0 {
    ($number:literal, $select:literal, $value:expr) => {{
        let value: u32 = $value;
        core::arch::asm!(
            ".set push", ".set noat",
            concat!("mtc0 {}, $", $number, ", ", $select),
            "ehb",
            ".set pop",
            in(reg) value, options(nostack, preserves_flags)
        );
    }};
}

pub use crate::{read_c0, write_c0};

/// Status.IE: interrupts are taken, unless EXL or ERL is set.
pub const STATUS_IE: u32 = 1;
/// Status.BEV: exceptions go to the boot ROM's vectors.
pub const STATUS_BEV: u32 = 1 << 22;
/// Status.IM: the lowest of the eight bits that let interrupts in.
pub const STATUS_IM: u32 = 8;

/// This CPU's number: EBase.CPUNum (10 bits), which is what CFE calls it too.
#[must_use]
pub fn cpu_number() -> u32 {
    read_c0!("15", "1") & 0x3ff
}
