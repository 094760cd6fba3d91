//! The boot table: what a CPU reads while its MMU is off.
//!
//! **Cache contract.** The control CPU writes an entry with its caches on and cleans it to the point of coherency
//! (`BootTable::set` of the module `entry`) before the enable method can start the CPU; the new CPU reads it with its caches off. An entry is
//! written once and never changed, freed or used for another CPU, so a CPU that comes late still reads what is true of
//! itself. The new CPU writes nothing before it has won its claim.

use reveille::{ClaimWord, CpuIndex, HwId};

/// The exception level that all CPUs run at.
///
/// A CPU is entered where firmware enters it, which for all CPUs of a machine is the same level, EL1 or EL2 (booting.rst). The
/// entry code drops from EL2 to EL1 if that is where the boot CPU runs. A CPU that cannot run there parks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Level {
    /// EL1.
    El1 = 1,
    /// EL2 with VHE: HCR_EL2.E2H and TGE are set, and the names of EL1's registers mean those of EL2, but for TPIDR_EL1.
    El2 = 2,
}

/// The exception level, the translation regime and the exception vectors with which every CPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The level. All registers below are as they are named there.
    pub level: Level,
    /// MAIR_EL1.
    pub mair: u64,
    /// TCR_EL1.
    pub tcr: u64,
    /// TTBR0_EL1. The tables map the entry code at its physical address.
    pub ttbr0: u64,
    /// TTBR1_EL1.
    pub ttbr1: u64,
    /// SCTLR_EL1, with MMU and caches on.
    pub sctlr: u64,
    /// CPACR_EL1.
    pub cpacr: u64,
    /// VBAR_EL1.
    pub vbar: u64,
}

/// What a CPU does that finds nobody waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Park {
    /// It waits in WFI for ever.
    Wait = 0,
    /// It switches itself off (PSCI CPU_OFF by SMC), and may be started again; it waits in WFI if firmware denies that.
    CpuOffSmc = 1,
    /// The same by HVC.
    CpuOffHvc = 2,
}

/// What one CPU starts with. All addresses are virtual.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Its affinity fields: a CPU with other ones that gets here parks.
    pub hw_id: HwId,
    /// The word it claims ([`reveille::Smp::claim_word`]).
    pub claim: &'a ClaimWord,
    /// Where it goes on: `extern "C" fn(context: u64, argument: u64, times: &EntryTimes) -> !`.
    pub entry: extern "C" fn(u64, u64, &EntryTimes) -> !,
    /// The top of its stack, 16-byte aligned.
    pub stack_top: u64,
    /// Its TPIDR_EL1.
    pub thread_pointer: u64,
    /// Handed to `entry`.
    pub argument: u64,
}

/// When a CPU passed the points of its entry code, by CNTVCT_EL0. They were kept in registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryTimes {
    /// The first instructions, at the level that all CPUs run at (Linux's `secondary_entry`).
    pub entry: u64,
    /// `secondary_startup`: looks for its boot record.
    pub startup: u64,
    /// `__cpu_setup`: sets the translation registers.
    pub cpu_setup: u64,
    /// `__enable_mmu`.
    pub enable_mmu: u64,
    /// `__secondary_switched`: MMU and caches are on; claims what was prepared.
    pub switched: u64,
}

/// A CPU's entry was set before, and entries are never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the boot record of CPU {0} was written before")]
pub struct AlreadySet(pub CpuIndex);
