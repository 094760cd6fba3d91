//! The boot record: what a CPU starts with, which CFE hands it the address of in GP.
//!
//! A record is written once and never changed, freed or used for another CPU, so a CPU that comes late still reads what is true of
//! itself. The new CPU writes nothing before it has won its claim.

use core::sync::atomic::{AtomicUsize, Ordering};

use reveille::{ClaimWord, CpuIndex, HwId, MAX_CPUS};

/// What one CPU starts with. All addresses are virtual, in KSEG0.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Its number, as EBase.CPUNum and CFE have it: a CPU with another one that gets here parks.
    pub hw_id: HwId,
    /// The word it claims ([`reveille::Smp::claim_word`]).
    pub claim: &'a ClaimWord,
    /// Where it goes on: with caches on, its stack, UserLocal and vectors set, interrupts masked.
    pub entry: extern "C" fn(context: u32, argument: usize, times: &EntryTimes) -> !,
    /// The top of its stack, a multiple of 8.
    pub stack_top: usize,
    /// Its UserLocal register (CP0 register 4, select 2).
    pub thread_pointer: usize,
    /// Handed to `entry`.
    pub argument: usize,
    /// Its exception vectors, for EBase: a multiple of 4 KiB.
    pub vectors: usize,
}

/// When a CPU passed the points of its entry code, by Count. They were kept in registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryTimes {
    /// The first instructions (Linux's `smp_bootstrap`).
    pub entry: u32,
    /// It has claimed what was prepared.
    pub claimed: u32,
}

/// A CPU's record was set before, and records are never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the boot record of CPU {0} was written before")]
pub struct AlreadySet(pub CpuIndex);

/// One record, as the entry code reads it. Fields are atomics so that they can be written through a shared reference.
#[repr(C)]
pub(crate) struct Record {
    pub hw_id: AtomicUsize,
    pub index: AtomicUsize,
    /// 0 in a record that was not written.
    pub claim: AtomicUsize,
    pub entry: AtomicUsize,
    pub thread_pointer: AtomicUsize,
    pub argument: AtomicUsize,
    pub vectors: AtomicUsize,
    pub stack_top: AtomicUsize,
}

impl Record {
    const fn new() -> Self {
        const fn zero() -> AtomicUsize {
            AtomicUsize::new(0)
        }
        Self {
            hw_id: zero(),
            index: zero(),
            claim: zero(),
            entry: zero(),
            thread_pointer: zero(),
            argument: zero(),
            vectors: zero(),
            stack_top: zero(),
        }
    }
}

/// The records of all CPUs. Make it a `static`: it is all zeros until the first is written.
pub struct BootRecords([Record; MAX_CPUS]);

impl BootRecords {
    /// Records that are not written.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { Record::new() }; MAX_CPUS])
    }

    /// Writes what `cpu` starts with, before it is kicked for the first time; a later kick uses the same.
    ///
    /// # Errors
    /// [`AlreadySet`]: records are never changed.
    ///
    /// # Safety
    /// The stack below `stack_top` and what `thread_pointer` and `argument` mean belong to this CPU for ever; `claim` stays where it is,
    /// and at `vectors` there are some.
    pub unsafe fn set(&self, cpu: CpuIndex, start: &Start<'_>) -> Result<(), AlreadySet> {
        let record = &self.0[cpu.get()];
        let claim = core::ptr::from_ref(start.claim).expose_provenance();
        record.claim.compare_exchange(0, claim, Ordering::Relaxed, Ordering::Relaxed).map_err(|_| AlreadySet(cpu))?;
        record.hw_id.store(start.hw_id.0 as usize, Ordering::Relaxed);
        record.index.store(cpu.get(), Ordering::Relaxed);
        record.entry.store(start.entry as *const () as usize, Ordering::Relaxed);
        record.thread_pointer.store(start.thread_pointer, Ordering::Relaxed);
        record.argument.store(start.argument, Ordering::Relaxed);
        record.vectors.store(start.vectors, Ordering::Relaxed);
        record.stack_top.store(start.stack_top, Ordering::Release);
        Ok(())
    }

    /// Whether the record of `cpu` is written.
    #[must_use]
    pub fn is_set(&self, cpu: CpuIndex) -> bool {
        self.0[cpu.get()].claim.load(Ordering::Relaxed) != 0
    }

    /// SP and GP for `cpu`, once its record is written: the top of its stack, and the address of its record.
    #[must_use]
    pub fn stack_and_record(&self, cpu: CpuIndex) -> Option<(usize, usize)> {
        let record = &self.0[cpu.get()];
        let stack_top = record.stack_top.load(Ordering::Acquire);
        (stack_top != 0).then(|| (stack_top, core::ptr::from_ref(record).expose_provenance()))
    }
}

impl Default for BootRecords {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::boxed::Box;

    use super::*;

    static CLAIM: ClaimWord = ClaimWord::new();

    extern "C" fn entry(_: u32, _: usize, _: &EntryTimes) -> ! {
        unreachable!("not run on the host")
    }

    /// Records in which `cpu` starts with the stack that ends at `stack_top`.
    pub fn records(cpu: CpuIndex, stack_top: usize) -> Box<BootRecords> {
        let records = Box::new(BootRecords::new());
        let start = Start {
            hw_id: HwId(cpu.get() as u64),
            claim: &CLAIM,
            entry,
            stack_top,
            thread_pointer: 5,
            argument: 7,
            vectors: 0x8010_0000,
        };
        // SAFETY: nothing starts from it.
        unsafe { records.set(cpu, &start) }.unwrap();
        // SAFETY: as above.
        let again = unsafe { records.set(cpu, &Start { stack_top: 1, ..start }) };
        assert_eq!(again, Err(AlreadySet(cpu)));
        records
    }

    #[test]
    fn a_record_is_written_once() {
        let cpu = CpuIndex::new(1).unwrap();
        let records = records(cpu, 0x9000);
        let (stack, record) = records.stack_and_record(cpu).unwrap();
        assert_eq!(stack, 0x9000);
        assert_eq!(record, core::ptr::from_ref(&records.0[1]).addr());
        assert_eq!(records.0[1].hw_id.load(Ordering::Relaxed), 1);
        assert_eq!(records.0[1].index.load(Ordering::Relaxed), 1);
        assert!(records.is_set(cpu));
    }

    #[test]
    fn a_cpu_without_a_record_has_neither_stack_nor_record() {
        let records = records(CpuIndex::new(1).unwrap(), 0x9000);
        let other = CpuIndex::new(2).unwrap();
        assert!(!records.is_set(other));
        assert_eq!(records.stack_and_record(other), None);
    }
}
