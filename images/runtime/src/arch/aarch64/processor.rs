//! The processor itself: its per-CPU base register, and the features that must be alike on all CPUs.

use core::arch::asm;

use super::read_register;

pub use reveille_aarch64::entry::hw_id;

/// The exception level that all CPUs run at: 1, or 2 with VHE.
#[must_use]
pub fn exception_level() -> u8 {
    (read_register!("CurrentEL") >> 2 & 3) as u8
}

/// The distance from the per-CPU section to this CPU's copy of it (TPIDR_EL1).
#[must_use]
pub fn per_cpu_offset() -> usize {
    let offset: usize;
    // SAFETY: reading TPIDR_EL1 has no effect; not `nomem`, since it changes once per CPU.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) offset, options(nostack, preserves_flags)) };
    offset
}

/// Sets [`per_cpu_offset`].
///
/// # Safety
/// The per-CPU section and `offset` bytes further a copy of it are mapped, and no reference into this CPU's area is held.
pub unsafe fn set_per_cpu_offset(offset: usize) {
    // SAFETY: TPIDR_EL1 is used for nothing else.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) offset, options(nostack, preserves_flags)) };
}

/// A processor's features, as its id registers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features([u64; 8]);

/// The registers of [`Features`], in order.
pub const FEATURE_REGISTERS: [&str; 8] = [
    "ID_AA64PFR0_EL1",
    "ID_AA64PFR1_EL1",
    "ID_AA64ISAR0_EL1",
    "ID_AA64ISAR1_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64MMFR1_EL1",
    "CTR_EL0",
    "CNTFRQ_EL0",
];

/// One of them in which all CPUs must be alike.
pub const VITAL_REGISTER: &str = FEATURE_REGISTERS[CNTFRQ];

/// Places in [`FEATURE_REGISTERS`].
const PFR0: usize = 0;
const MMFR0: usize = 4;
const CNTFRQ: usize = 7;
/// The lowest bits of fields.
const PFR0_GIC: u32 = 24;
const MMFR0_PARANGE: u32 = 0;
const MMFR0_TGRAN4: u32 = 28;

impl Features {
    /// Those of this CPU.
    #[must_use]
    pub fn of_this_cpu() -> Self {
        Self([
            read_register!("id_aa64pfr0_el1"),
            read_register!("id_aa64pfr1_el1"),
            read_register!("id_aa64isar0_el1"),
            read_register!("id_aa64isar1_el1"),
            read_register!("id_aa64mmfr0_el1"),
            read_register!("id_aa64mmfr1_el1"),
            read_register!("ctr_el0"),
            read_register!("cntfrq_el0"),
        ])
    }

    /// The same with `bits` of the register called `name` inverted; `None` if there is no such register. For tests of what becomes of
    /// a CPU that is not like the others.
    #[must_use]
    pub fn with_other_bits(mut self, name: &str, bits: u64) -> Option<Self> {
        let position = FEATURE_REGISTERS.iter().position(|&register| register == name)?;
        self.0[position] ^= bits;
        Some(self)
    }

    /// The first register, as (name, here, there), in which this processor lacks what a kernel relies on that was set up on one with
    /// the features `boot`: the frequency of the counter, pages of 4 KiB and as many bits of a physical address, and the system
    /// registers of the interrupt controller. Other differences do not matter to it.
    #[must_use]
    pub fn conflict(&self, boot: &Self) -> Option<(&'static str, u64, u64)> {
        let field = |features: &Self, register: usize, low: u32| features.0[register] >> low & 0xf;
        let lacks = |register, low| field(self, register, low) < field(boot, register, low);
        let differs = |register, low| field(self, register, low) != field(boot, register, low);
        let register = if self.0[CNTFRQ] != boot.0[CNTFRQ] {
            CNTFRQ
        } else if differs(MMFR0, MMFR0_TGRAN4) || lacks(MMFR0, MMFR0_PARANGE) {
            MMFR0
        } else if lacks(PFR0, PFR0_GIC) {
            PFR0
        } else {
            return None;
        };
        Some((FEATURE_REGISTERS[register], self.0[register], boot.0[register]))
    }

    /// The first register, as (name, here, there), in which `other` differs.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<(&'static str, u64, u64)> {
        let position = (0..FEATURE_REGISTERS.len()).find(|&n| self.0[n] != other.0[n])?;
        Some((FEATURE_REGISTERS[position], self.0[position], other.0[position]))
    }
}
