//! The way into the non-secure world: what a CPU has to have set at EL3 before (Linux, `Documentation/arch/arm64/booting.rst`), and the
//! state in which it enters.

use core::arch::asm;

use arm_gic::gicv3::GicCpuInterface;
use arm_sysregs::el0::accessors::{read_cntfrq_el0, write_cntfrq_el0};
use arm_sysregs::el0::registers::CntfrqEl0;
use arm_sysregs::el1::accessors as el1;
use arm_sysregs::el2::accessors as el2;
use arm_sysregs::el2::registers::{CntvoffEl2, CptrEl2, HcrEl2};
use arm_sysregs::el3::accessors as el3;
use arm_sysregs::el3::registers::{CptrEl3, MdcrEl3, ScrEl3, SmcrEl3, ZcrEl3};
use psci_server::Entry;
use spin::Once;

use crate::{board, cpus};

/// SCTLR_EL1 and SCTLR_EL2 with MMU and caches off, little-endian: the bits that read as 1 in ARMv8.0.
const SCTLR_EL1: u64 = 0x30d0_0800;
const SCTLR_EL2: u64 = 0x30c5_0830;
/// SPSR_EL3: everything masked, AArch64 with a stack pointer of the level's own.
const MASKED: u64 = 0x3c0;
const EL1H: u64 = 0b0101;
const EL2H: u64 = 0b1001;

static COUNTER_FREQUENCY: Once<u64> = Once::new();

unsafe extern "C" {
    /// Leaves EL3 for where its registers say (`exceptions.S`).
    fn enter_lower(x0: u64, stack_top: usize) -> !;
}

/// The highest non-secure exception level: 2 or 1.
pub fn highest_level() -> u8 {
    if el1::read_id_aa64pfr0_el1().el2() == 0 { 1 } else { 2 }
}

/// Enters the next stage on this CPU. Its stack at EL3 is free from here on.
pub fn enter(entry: Entry) -> ! {
    let has_el2 = highest_level() == 2;
    open(has_el2);
    set_counter(has_el2);
    // SAFETY: what the registers of lower levels hold is seen when those run, and this is what they may expect there.
    unsafe {
        asm!("msr sctlr_el1, {}", in(reg) SCTLR_EL1, options(nostack, preserves_flags));
        if has_el2 {
            asm!("msr sctlr_el2, {}", in(reg) SCTLR_EL2, options(nostack, preserves_flags));
            el2::write_hcr_el2(HcrEl2::empty());
            el2::write_cptr_el2(CptrEl2::RES1);
        }
        asm!("msr elr_el3, {}", in(reg) entry.address, options(nostack, preserves_flags));
        let level = if has_el2 { EL2H } else { EL1H };
        asm!("msr spsr_el3, {}", in(reg) MASKED | level, options(nostack, preserves_flags));
        enter_lower(entry.context_id, cpus::stack_top(cpus::this_cpu()))
    }
}

/// Lets lower levels use what the CPU has: without this, features newer than the first version of the architecture trap to EL3.
fn open(has_el2: bool) {
    let mut scr = ScrEl3::RES1 | ScrEl3::NS | ScrEl3::FIQ | ScrEl3::RW;
    scr.set(ScrEl3::HCE, has_el2);
    let isar1 = el1::read_id_aa64isar1_el1();
    let has_pauth = [isar1.apa(), isar1.api(), isar1.gpa(), isar1.gpi()].iter().any(|&algorithm| algorithm != 0);
    let (mmfr0, mmfr1, mmfr3) =
        (el1::read_id_aa64mmfr0_el1(), el1::read_id_aa64mmfr1_el1(), el1::read_id_aa64mmfr3_el1());
    let (pfr0, pfr1) = (el1::read_id_aa64pfr0_el1(), el1::read_id_aa64pfr1_el1());
    scr.set(ScrEl3::APK | ScrEl3::API, has_pauth);
    scr.set(ScrEl3::ATA, pfr1.is_feat_mte2_present());
    scr.set(ScrEl3::ENSCXT, pfr0.is_feat_csv2_2_present());
    scr.set(ScrEl3::FGTEN, mmfr0.is_feat_fgt_present());
    scr.set(ScrEl3::ECVEN, mmfr0.ecv() >= 2);
    scr.set(ScrEl3::HXEN, mmfr1.is_feat_hcx_present());
    scr.set(ScrEl3::AMVOFFEN, pfr0.is_feat_amuv1p1_present());
    scr.set(ScrEl3::ENTP2, pfr1.is_feat_sme_present());
    scr.set(ScrEl3::GCSEN, pfr1.is_feat_gcs_present());
    scr.set(ScrEl3::TCR2EN, mmfr3.is_feat_tcr2_present());
    scr.set(ScrEl3::SCTLR2EN, mmfr3.is_feat_sctlr2_present());
    scr.set(ScrEl3::PIEN, mmfr3.is_feat_s1pie_present() || mmfr3.is_feat_s1poe_present());

    let mut cptr = CptrEl3::empty();
    cptr.set(CptrEl3::EZ, pfr0.is_feat_sve_present());
    cptr.set(CptrEl3::ESM, pfr1.is_feat_sme_present());
    // Buffers of profiling and trace are the non-secure world's, and there is no debugging of the secure one.
    let mdcr = MdcrEl3::NSPB_NS | MdcrEl3::NSTB_EN | MdcrEl3::NSTB_SS | MdcrEl3::SDD;
    // SAFETY: EL3 itself goes by none of these; its memory is mapped secure whatever SCR_EL3.NS says.
    unsafe {
        el3::write_scr_el3(scr);
        el3::write_cptr_el3(cptr);
        el3::write_mdcr_el3(mdcr);
        asm!("isb", options(nostack, preserves_flags));
        if pfr0.is_feat_sve_present() {
            el3::write_zcr_el3(ZcrEl3::from_bits_retain(ZcrEl3::LEN_MASK));
        }
        if pfr1.is_feat_sme_present() {
            el3::write_smcr_el3(SmcrEl3::from_bits_retain(SmcrEl3::LEN_MASK));
        }
    }
    if has_el2 {
        GicCpuInterface::enable_system_register_el2(true);
    }
    GicCpuInterface::enable_system_register_el1();
}

/// Tells the CPU the counter's rate, which the boot CPU's reset has left in its register, and has the virtual counter be the physical.
fn set_counter(has_el2: bool) {
    let frequency = *COUNTER_FREQUENCY.call_once(|| match read_cntfrq_el0().bits() {
        0 => board::COUNTER_FREQUENCY,
        frequency => frequency,
    });
    write_cntfrq_el0(CntfrqEl0::from_bits_retain(frequency));
    if has_el2 {
        el2::write_cntvoff_el2(CntvoffEl2::empty());
    }
}
