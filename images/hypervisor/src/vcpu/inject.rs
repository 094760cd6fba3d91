//! Exceptions that the guest takes for what it did.

use super::Vcpu;
use super::context::{read_register, write_register};

/// What could not be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// An instruction.
    Instruction,
    /// Data.
    Data,
}

/// ESR_EL1: the instruction has 32 bits.
const IL: u64 = 1 << 25;
/// A synchronous external abort.
const EXTERNAL: u64 = 0x10;

impl Vcpu {
    /// The instruction is none. Interrupts are masked, the vCPU is loaded.
    pub(super) fn inject_undefined(&mut self) {
        self.inject(IL);
    }

    /// The access to the virtual address `far` was answered by nobody. As above.
    pub(super) fn inject_abort(&mut self, abort: Abort, far: u64) {
        let same_level = self.registers.pstate & 0xc != 0;
        let class = match abort {
            Abort::Instruction => 0x20,
            Abort::Data => 0x24,
        };
        write_register!("s3_5_c6_c0_0", far); // FAR_EL12
        self.inject((class | u64::from(same_level)) << 26 | IL | EXTERNAL);
    }

    /// Has EL1 of the guest take a synchronous exception with this ESR_EL1.
    fn inject(&mut self, esr: u64) {
        /// PSTATE's mode EL1h, and that with everything masked.
        const EL1H: u64 = 0x5;
        const MASKED: u64 = 0x3c5;
        let registers = &mut self.registers;
        let vector = match registers.pstate & 0x1f {
            EL1H => 0x200,
            0x4 => 0x000,
            mode if mode & 0x10 != 0 => 0x600,
            _ => 0x400,
        };
        write_register!("s3_5_c5_c2_0", esr); // ESR_EL12
        write_register!("s3_5_c4_c0_1", registers.pc); // ELR_EL12
        write_register!("s3_5_c4_c0_0", registers.pstate); // SPSR_EL12
        registers.pc = read_register!("s3_5_c12_c0_0") + vector; // VBAR_EL12
        registers.pstate = MASKED;
    }
}
