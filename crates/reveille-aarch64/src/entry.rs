//! The secondary entry code and the image's one boot table: [`BootTable`].

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use reveille::{ClaimWord, CpuIndex, HwId, MAX_CPUS};

use crate::AFFINITY_MASK;
use crate::boot_table::{AlreadySet, Environment, Level, Park, Start};
use crate::cache::clean_to_point_of_coherency;
use crate::table::{Record, Table};

/// The table that the entry code finds relative to its own address, which works at any address the image is loaded at.
pub(crate) static TABLE: Table = Table::new();

global_asm!(include_str!("init_el2.S"));

global_asm!(
    include_str!("secondary_entry.S"),
    table = sym TABLE,
    MAX_CPUS = const MAX_CPUS,
    RECORD_SIZE = const size_of::<Record>(),
    RECORD_HW_ID = const offset_of!(Record, hw_id),
    RECORD_ARGUMENT = const offset_of!(Record, argument),
    RECORD_CLAIM = const offset_of!(Record, claim),
    RECORD_STACK = const offset_of!(Record, stack_top),
    TABLE_MAIR = const offset_of!(Table, mair),
    TABLE_TTBR0 = const offset_of!(Table, ttbr0),
    TABLE_SCTLR = const offset_of!(Table, sctlr),
    TABLE_VBAR = const offset_of!(Table, vbar),
    TABLE_PARK = const offset_of!(Table, park),
    TABLE_LEVEL = const offset_of!(Table, level),
    TABLE_RECORDS = const offset_of!(Table, records),
    AFFINITY_MASK_LOW = const AFFINITY_MASK & 0xffff_ffff,
    AFFINITY_MASK_HIGH = const (AFFINITY_MASK >> 32) & 0xffff,
    KICKED = const ClaimWord::KICKED,
    CLAIMED = const ClaimWord::CLAIMED,
    CPU_OFF_LOW = const smccc::psci::PSCI_CPU_OFF & 0xffff,
    CPU_OFF_HIGH = const smccc::psci::PSCI_CPU_OFF >> 16,
    PARK_SMC = const Park::CpuOffSmc as u64,
    PARK_HVC = const Park::CpuOffHvc as u64,
);

unsafe extern "C" {
    safe fn reveille_secondary_entry();
    safe fn reveille_secondary_switched();
}

/// This CPU's id: the affinity fields of MPIDR_EL1.
#[must_use]
pub fn hw_id() -> HwId {
    let mpidr: u64;
    // SAFETY: reading MPIDR_EL1 has no effect.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) mpidr, options(nomem, nostack, preserves_flags)) };
    HwId(mpidr & AFFINITY_MASK)
}

macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading a system register that the kernel's level owns has no effect.
        unsafe {
            asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

impl Environment {
    /// The regime this CPU runs in, with its MMU and caches on, for the others to start in too: at EL1, or at EL2 with VHE
    /// (HCR_EL2.E2H and TGE set).
    #[must_use]
    pub fn of_this_cpu() -> Self {
        Self {
            level: if read!("CurrentEL") >> 2 == 2 { Level::El2 } else { Level::El1 },
            mair: read!("mair_el1"),
            tcr: read!("tcr_el1"),
            ttbr0: read!("ttbr0_el1"),
            ttbr1: read!("ttbr1_el1"),
            sctlr: read!("sctlr_el1"),
            cpacr: read!("cpacr_el1"),
            vbar: read!("vbar_el1"),
        }
    }
}

/// The image's boot table, with its shared part written. There is one, for there is one entry code that reads it.
pub struct BootTable {
    entry_point: u64,
}

impl BootTable {
    /// Writes the part of the table that all CPUs share, and cleans it to the point of coherency. `to_physical` translates
    /// an address of this image. `None` if that was done before: the table is written once.
    ///
    /// The tables at `environment.ttbr0` must map the entry code at its physical address, executable, and both TTBRs together
    /// everything that a [`Start`] names at its virtual one.
    #[must_use]
    pub fn seal(environment: &Environment, park: Park, to_physical: impl Fn(usize) -> u64) -> Option<Self> {
        let switched = reveille_secondary_switched as *const () as usize as u64;
        let sealed = TABLE.seal(environment, switched, park);
        clean_to_point_of_coherency(&TABLE);
        sealed.then(|| Self { entry_point: to_physical(reveille_secondary_entry as *const () as usize) })
    }

    /// The physical address at which every CPU enters, for the enable methods.
    #[must_use]
    pub const fn entry_point(&self) -> u64 {
        self.entry_point
    }

    /// Writes what `cpu` starts with, and cleans it to the point of coherency. Before the CPU is kicked for the first
    /// time; a later kick uses the same.
    ///
    /// # Errors
    /// [`AlreadySet`]: records are never changed.
    ///
    /// # Safety
    /// The stack below `stack_top` and what `thread_pointer` and `argument` mean belong to this CPU for ever, and are mapped
    /// in the environment that the table was sealed with; `claim` stays where it is.
    pub unsafe fn set(&self, cpu: CpuIndex, start: &Start<'_>) -> Result<(), AlreadySet> {
        clean_to_point_of_coherency(TABLE.set(cpu, start)?);
        Ok(())
    }

    /// Whether the record of `cpu` is written.
    #[must_use]
    pub fn is_set(&self, cpu: CpuIndex) -> bool {
        let claim: &AtomicU64 = &TABLE.records[cpu.get()].claim;
        claim.load(Ordering::Relaxed) != 0
    }
}
