//! The boot table's layout in memory, as the entry code reads it.

use core::sync::atomic::{AtomicU64, Ordering};

use reveille::{CpuIndex, MAX_CPUS};

use crate::boot_table::{AlreadySet, Environment, Park, Start};

/// Fields are atomics so that they can be written through a shared reference; each is written once.
#[repr(C)]
pub(crate) struct Record {
    pub hw_id: AtomicU64,
    pub argument: AtomicU64,
    /// Followed by `entry`: the two are loaded as a pair. 0 in a record that was not written.
    pub claim: AtomicU64,
    pub entry: AtomicU64,
    /// Followed by `thread_pointer`.
    pub stack_top: AtomicU64,
    pub thread_pointer: AtomicU64,
}

#[repr(C, align(64))]
pub(crate) struct Table {
    /// Pairs, as the entry code loads them.
    pub mair: AtomicU64,
    pub tcr: AtomicU64,
    pub ttbr0: AtomicU64,
    pub ttbr1: AtomicU64,
    pub sctlr: AtomicU64,
    pub cpacr: AtomicU64,
    pub vbar: AtomicU64,
    pub switched: AtomicU64,
    pub park: AtomicU64,
    pub level: AtomicU64,
    sealed: AtomicU64,
    pub records: [Record; MAX_CPUS],
}

impl Table {
    pub(crate) const fn new() -> Self {
        const fn zero() -> AtomicU64 {
            AtomicU64::new(0)
        }
        Self {
            mair: zero(),
            tcr: zero(),
            ttbr0: zero(),
            ttbr1: zero(),
            sctlr: zero(),
            cpacr: zero(),
            vbar: zero(),
            switched: zero(),
            park: zero(),
            level: zero(),
            sealed: zero(),
            records: [const {
                Record {
                    hw_id: zero(),
                    argument: zero(),
                    claim: zero(),
                    entry: zero(),
                    stack_top: zero(),
                    thread_pointer: zero(),
                }
            }; MAX_CPUS],
        }
    }

    /// Writes the part that all CPUs share. False if that was done before.
    pub(crate) fn seal(&self, environment: &Environment, switched: u64, park: Park) -> bool {
        if self.sealed.swap(1, Ordering::Relaxed) != 0 {
            return false;
        }
        self.mair.store(environment.mair, Ordering::Relaxed);
        self.tcr.store(environment.tcr, Ordering::Relaxed);
        self.ttbr0.store(environment.ttbr0, Ordering::Relaxed);
        self.ttbr1.store(environment.ttbr1, Ordering::Relaxed);
        self.sctlr.store(environment.sctlr, Ordering::Relaxed);
        self.cpacr.store(environment.cpacr, Ordering::Relaxed);
        self.vbar.store(environment.vbar, Ordering::Relaxed);
        self.switched.store(switched, Ordering::Relaxed);
        self.park.store(park as u64, Ordering::Relaxed);
        self.level.store(environment.level as u64, Ordering::Relaxed);
        true
    }

    /// Writes the record of `cpu` and returns it, for cleaning.
    pub(crate) fn set(&self, cpu: CpuIndex, start: &Start<'_>) -> Result<&Record, AlreadySet> {
        let record = &self.records[cpu.get()];
        let claim = core::ptr::from_ref(start.claim).expose_provenance() as u64;
        record.claim.compare_exchange(0, claim, Ordering::Relaxed, Ordering::Relaxed).map_err(|_| AlreadySet(cpu))?;
        record.hw_id.store(start.hw_id.0, Ordering::Relaxed);
        record.argument.store(start.argument, Ordering::Relaxed);
        record.entry.store(start.entry as *const () as u64, Ordering::Relaxed);
        record.stack_top.store(start.stack_top, Ordering::Relaxed);
        record.thread_pointer.store(start.thread_pointer, Ordering::Relaxed);
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use reveille::{ClaimWord, HwId};

    use super::*;
    use crate::boot_table::{EntryTimes, Level};

    static CLAIM: ClaimWord = ClaimWord::new();

    extern "C" fn entry(_: u64, _: u64, _: &EntryTimes) -> ! {
        unreachable!("not run on the host")
    }

    fn start() -> Start<'static> {
        Start { hw_id: HwId(0x100), claim: &CLAIM, entry, stack_top: 0x8000, thread_pointer: 5, argument: 7 }
    }

    #[test]
    fn a_record_is_written_once() {
        let table = Box::new(Table::new());
        let cpu = CpuIndex::new(1).unwrap();
        assert!(table.set(cpu, &start()).is_ok());
        let second = Start { stack_top: 0x9000, ..start() };
        assert_eq!(table.set(cpu, &second).err(), Some(AlreadySet(cpu)));
        assert_eq!(table.records[1].stack_top.load(Ordering::Relaxed), 0x8000);
        assert_eq!(table.records[1].hw_id.load(Ordering::Relaxed), 0x100);
        assert_eq!(table.records[2].claim.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_shared_part_is_written_once() {
        let table = Box::new(Table::new());
        let environment =
            Environment { level: Level::El2, mair: 1, tcr: 2, ttbr0: 3, ttbr1: 4, sctlr: 5, cpacr: 6, vbar: 7 };
        assert!(table.seal(&environment, 8, Park::CpuOffHvc));
        assert!(!table.seal(&Environment { mair: 9, ..environment }, 8, Park::Wait));
        assert_eq!(table.mair.load(Ordering::Relaxed), 1);
        assert_eq!(table.park.load(Ordering::Relaxed), 2);
        assert_eq!(table.level.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_the_entry_code_loads_in_pairs_lies_in_pairs() {
        use core::mem::offset_of;
        assert_eq!(offset_of!(Record, entry), offset_of!(Record, claim) + 8);
        assert_eq!(offset_of!(Record, thread_pointer), offset_of!(Record, stack_top) + 8);
        assert_eq!(offset_of!(Table, tcr), offset_of!(Table, mair) + 8);
        assert_eq!(offset_of!(Table, ttbr1), offset_of!(Table, ttbr0) + 8);
        assert_eq!(offset_of!(Table, cpacr), offset_of!(Table, sctlr) + 8);
        assert_eq!(offset_of!(Table, switched), offset_of!(Table, vbar) + 8);
    }
}
