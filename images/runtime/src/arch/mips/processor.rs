//! The processor itself: its per-CPU base register, and the features that must be alike on all CPUs.

use core::arch::asm;

use reveille::HwId;
use reveille_mips::cp0::{cpu_number, read_c0};

/// This CPU's number, as CFE has it too.
#[must_use]
pub fn hw_id() -> HwId {
    HwId(cpu_number().into())
}

/// The distance from the per-CPU section to this CPU's copy of it (UserLocal).
#[must_use]
pub fn per_cpu_offset() -> usize {
    let offset: usize;
    // SAFETY: reading UserLocal has no effect; not `nomem`, since it changes once per CPU.
    unsafe {
        asm!(".set push", ".set noat", "mfc0 {}, $4, 2", ".set pop", out(reg) offset, options(nostack, preserves_flags))
    };
    offset
}

/// Sets [`per_cpu_offset`].
///
/// # Safety
/// The per-CPU section and `offset` bytes further a copy of it are mapped, and no reference into this CPU's area is held.
pub unsafe fn set_per_cpu_offset(offset: usize) {
    // SAFETY: UserLocal is used for nothing else.
    unsafe {
        asm!(".set push", ".set noat", "mtc0 {}, $4, 2", "ehb", ".set pop", in(reg) offset, options(nostack, preserves_flags));
    }
}

/// A processor's features, as its registers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features([u32; 5]);

/// The registers of [`Features`], in order.
pub const FEATURE_REGISTERS: [&str; 5] = ["PRId", "Config", "Config1", "Config2", "Config3"];

/// One of them in which all CPUs must be alike.
pub const VITAL_REGISTER: &str = FEATURE_REGISTERS[CONFIG];

/// Places in [`FEATURE_REGISTERS`].
const CONFIG: usize = 1;
const CONFIG3: usize = 4;
/// Config: the architecture (AT, bits 14:13), its release (AR, 12:10) and how KSEG0 is cached (K0, 2:0).
const CONFIG_VITAL: u32 = 0x7c07;
/// Config3: there is a UserLocal register (ULRI).
const CONFIG3_USER_LOCAL: u32 = 1 << 13;

impl Features {
    /// Those of this CPU.
    #[must_use]
    pub fn of_this_cpu() -> Self {
        Self([read_c0!("15", "0"), read_c0!("16", "0"), read_c0!("16", "1"), read_c0!("16", "2"), read_c0!("16", "3")])
    }

    /// The same with `bits` of the register called `name` inverted; `None` if there is no such register. For tests of what becomes of
    /// a CPU that is not like the others.
    #[must_use]
    pub fn with_other_bits(mut self, name: &str, bits: u64) -> Option<Self> {
        let position = FEATURE_REGISTERS.iter().position(|&register| register == name)?;
        self.0[position] ^= bits as u32;
        Some(self)
    }

    /// The first register, as (name, here, there), in which this processor lacks what a kernel relies on that was set up on one with
    /// the features `boot`: the same architecture and release of it, KSEG0 cached the same way, and a UserLocal register. Other
    /// differences do not matter to it.
    #[must_use]
    pub fn conflict(&self, boot: &Self) -> Option<(&'static str, u64, u64)> {
        let register = if (self.0[CONFIG] ^ boot.0[CONFIG]) & CONFIG_VITAL != 0 {
            CONFIG
        } else if self.0[CONFIG3] & CONFIG3_USER_LOCAL == 0 {
            CONFIG3
        } else {
            return None;
        };
        Some(self.compared(boot, register))
    }

    /// The first register, as (name, here, there), in which `other` differs.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<(&'static str, u64, u64)> {
        let position = (0..FEATURE_REGISTERS.len()).find(|&n| self.0[n] != other.0[n])?;
        Some(self.compared(other, position))
    }

    fn compared(&self, other: &Self, register: usize) -> (&'static str, u64, u64) {
        (FEATURE_REGISTERS[register], self.0[register].into(), other.0[register].into())
    }
}
