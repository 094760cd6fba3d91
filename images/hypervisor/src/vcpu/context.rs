//! What of a vCPU is in registers of the CPU that the hypervisor itself has no use for: they stay there until another vCPU runs on
//! this CPU.

use super::enter::FloatingPoint;

/// Reads a system register.
macro_rules! read_register {
    ($register:expr) => {{
        let value: u64;
        // SAFETY: reading this register has no side effect.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}
pub(crate) use read_register;

/// Writes a system register, which is the guest's, or stands for something that the caller answers for.
macro_rules! write_register {
    ($register:expr, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: what this register does concerns guests alone; memory accesses are not moved over it.
        unsafe { core::arch::asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}
pub(crate) use write_register;

/// Declares the registers that are only kept.
macro_rules! kept_registers {
    ($($field:ident = $register:literal,)+) => {
        /// The registers of EL1 and EL0, by their names at EL2.
        #[derive(Clone, Default)]
        struct Kept {
            $($field: u64,)+
        }

        impl Kept {
            fn save(&mut self) {
                $(self.$field = read_register!($register);)+
            }

            fn load(&self) {
                $(write_register!($register, self.$field);)+
            }
        }
    };
}

kept_registers! {
    sctlr = "s3_5_c1_c0_0", // SCTLR_EL12
    cpacr = "s3_5_c1_c0_2", // CPACR_EL12
    ttbr0 = "s3_5_c2_c0_0", // TTBR0_EL12
    ttbr1 = "s3_5_c2_c0_1", // TTBR1_EL12
    tcr = "s3_5_c2_c0_2", // TCR_EL12
    spsr = "s3_5_c4_c0_0", // SPSR_EL12
    elr = "s3_5_c4_c0_1", // ELR_EL12
    afsr0 = "s3_5_c5_c1_0", // AFSR0_EL12
    afsr1 = "s3_5_c5_c1_1", // AFSR1_EL12
    esr = "s3_5_c5_c2_0", // ESR_EL12
    far = "s3_5_c6_c0_0", // FAR_EL12
    mair = "s3_5_c10_c2_0", // MAIR_EL12
    amair = "s3_5_c10_c3_0", // AMAIR_EL12
    vbar = "s3_5_c12_c0_0", // VBAR_EL12
    contextidr = "s3_5_c13_c0_1", // CONTEXTIDR_EL12
    cntkctl = "s3_5_c14_c1_0", // CNTKCTL_EL12
    cntv_cval = "s3_5_c14_c3_2", // CNTV_CVAL_EL02
    sp_el0 = "sp_el0",
    sp_el1 = "sp_el1",
    tpidr_el0 = "tpidr_el0",
    tpidrro_el0 = "tpidrro_el0",
    par = "par_el1",
    csselr = "csselr_el1",
    mdscr = "mdscr_el1",
    vmpidr = "vmpidr_el2",
    cntvoff = "cntvoff_el2",
    vttbr = "vttbr_el2",
    vmcr = "s3_4_c12_c11_7", // ICH_VMCR_EL2
    active_0 = "s3_4_c12_c8_0", // ICH_AP0R0_EL2
    active_1 = "s3_4_c12_c9_0", // ICH_AP1R0_EL2
    // Last: with the rest in place.
    cntv_ctl = "s3_5_c14_c3_1", // CNTV_CTL_EL02
}

/// SCTLR_EL1 with MMU and caches off: what reads as 1 in ARMv8.0.
const SCTLR_RESET: u64 = 0x30d0_0800;

/// Guests are told of neither, and reach a register of each all the same.
fn has_ras() -> bool {
    read_register!("id_aa64pfr0_el1") >> 28 & 0xf != 0
}

fn has_sme() -> bool {
    read_register!("id_aa64pfr1_el1") >> 24 & 0xf != 0
}

/// All of it.
pub struct Context {
    kept: Kept,
    /// VDISR_EL2, which is the guest's DISR_EL1, where there is the RAS extension.
    error_status: u64,
    /// TPIDR2_EL0, where there is SME.
    thread_pointer_2: u64,
    floating_point: FloatingPoint,
}

impl Context {
    /// As after reset, for the vCPU with the affinity fields `affinity` of a guest with the stage 2 tables `vttbr`, whose counter is
    /// the machine's without `offset`.
    pub fn reset(affinity: u64, vttbr: u64, offset: u64) -> Self {
        /// MPIDR_EL1's bit that reads as 1.
        const RES1: u64 = 1 << 31;
        let kept = Kept { sctlr: SCTLR_RESET, vmpidr: RES1 | affinity, vttbr, cntvoff: offset, ..Kept::default() };
        Self { kept, error_status: 0, thread_pointer_2: 0, floating_point: FloatingPoint::RESET }
    }

    /// Saves what this CPU has of it, and leaves no timer behind that would go off.
    pub fn save(&mut self) {
        self.kept.save();
        if has_ras() {
            self.error_status = read_register!("s3_4_c12_c1_1");
        }
        if has_sme() {
            self.thread_pointer_2 = read_register!("s3_3_c13_c0_5");
        }
        self.floating_point.save();
        write_register!("s3_5_c14_c3_1", 0);
    }

    /// Has this CPU have it.
    pub fn load(&self) {
        self.kept.load();
        if has_ras() {
            write_register!("s3_4_c12_c1_1", self.error_status);
        }
        if has_sme() {
            write_register!("s3_3_c13_c0_5", self.thread_pointer_2);
        }
        self.floating_point.load();
    }
}
