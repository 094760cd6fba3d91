//! Sets of CPUs: [`CpuMask`], a value, and [`SharedCpuMask`], which all CPUs may change at once.

use core::fmt;

use crate::cpu::{CpuIndex, MAX_CPUS};
use crate::sync::{AtomicU32, Ordering};

const BITS: usize = u32::BITS as usize;
/// 32-bit words, since 32-bit MIPS has no wider atomics.
const WORDS: usize = MAX_CPUS.div_ceil(BITS);

const fn place(cpu: CpuIndex) -> (usize, u32) {
    (cpu.get() / BITS, 1 << (cpu.get() % BITS))
}

/// A set of CPUs, as a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CpuMask {
    words: [u32; WORDS],
}

impl CpuMask {
    /// The set without a CPU.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// Adds `cpu`.
    pub const fn insert(&mut self, cpu: CpuIndex) {
        let (word, bit) = place(cpu);
        self.words[word] |= bit;
    }

    /// Removes `cpu`.
    pub const fn remove(&mut self, cpu: CpuIndex) {
        let (word, bit) = place(cpu);
        self.words[word] &= !bit;
    }

    /// Whether `cpu` is in the set.
    #[must_use]
    pub const fn contains(&self, cpu: CpuIndex) -> bool {
        let (word, bit) = place(cpu);
        self.words[word] & bit != 0
    }

    /// How many CPUs are in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no CPU is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The CPUs of the set, lowest index first.
    pub fn iter(&self) -> impl Iterator<Item = CpuIndex> + use<> {
        self.words.into_iter().enumerate().flat_map(|(position, word)| {
            core::iter::successors((word != 0).then_some(word), |&rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .filter_map(move |rest| CpuIndex::new(position * BITS + rest.trailing_zeros() as usize))
        })
    }
}

impl FromIterator<CpuIndex> for CpuMask {
    fn from_iter<I: IntoIterator<Item = CpuIndex>>(cpus: I) -> Self {
        let mut mask = Self::EMPTY;
        for cpu in cpus {
            mask.insert(cpu);
        }
        mask
    }
}

/// As Linux prints a cpulist: `0-3,5`.
impl fmt::Display for CpuMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().map(CpuIndex::get).peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuMask({self})")
    }
}

/// A set of CPUs that every CPU may read and change at any time, once its MMU and caches are on.
///
/// A change is one atomic read-modify-write (release), a look-up one load (acquire). [`Self::snapshot`] is not one moment
/// in time: CPUs of different words may have come or gone while it was taken.
pub struct SharedCpuMask {
    words: [AtomicU32; WORDS],
}

impl SharedCpuMask {
    crate::sync::const_unless_loom! {
        /// A set without a CPU.
        #[must_use]
        pub fn new() -> Self {
            #[cfg(not(loom))]
            let words = [const { AtomicU32::new(0) }; WORDS];
            #[cfg(loom)]
            let words = core::array::from_fn(|_| AtomicU32::new(0));
            Self { words }
        }
    }

    /// Adds `cpu`.
    pub fn insert(&self, cpu: CpuIndex) {
        let (word, bit) = place(cpu);
        self.words[word].fetch_or(bit, Ordering::Release);
    }

    /// Removes `cpu`.
    pub fn remove(&self, cpu: CpuIndex) {
        let (word, bit) = place(cpu);
        self.words[word].fetch_and(!bit, Ordering::Release);
    }

    /// Whether `cpu` is in the set now.
    #[must_use]
    pub fn contains(&self, cpu: CpuIndex) -> bool {
        let (word, bit) = place(cpu);
        self.words[word].load(Ordering::Acquire) & bit != 0
    }

    /// The set as it was read, word by word.
    #[must_use]
    pub fn snapshot(&self) -> CpuMask {
        let mut mask = CpuMask::EMPTY;
        for (value, word) in mask.words.iter_mut().zip(&self.words) {
            *value = word.load(Ordering::Acquire);
        }
        mask
    }
}

impl Default for SharedCpuMask {
    fn default() -> Self {
        Self::new()
    }
}

/// The four sets that every part of a system asks about, with Linux's meanings.
///
/// `active ⊆ online ⊆ present ⊆ possible` holds whenever no CPU is on its way up or down. On the way up the bits are set
/// in the order of the fields, on the way down they are cleared in the reverse order.
pub struct CpuMasks {
    /// CPUs that can ever come up in this boot: named by the machine, with a usable id and method, within
    /// `nr_cpus` and [`MAX_CPUS`]. Fixed once the topology is read; per-CPU memory is laid out for these.
    pub possible: SharedCpuMask,
    /// CPUs whose enable method found them and can start them (its `cpu_init` and `cpu_prepare` succeeded).
    pub present: SharedCpuMask,
    /// CPUs that can take an inter-processor interrupt and run work.
    pub online: SharedCpuMask,
    /// CPUs to which a scheduler may move threads.
    pub active: SharedCpuMask,
}

impl CpuMasks {
    crate::sync::const_unless_loom! {
        /// Four empty sets.
        #[must_use]
        pub fn new() -> Self {
            Self {
                possible: SharedCpuMask::new(),
                present: SharedCpuMask::new(),
                online: SharedCpuMask::new(),
                active: SharedCpuMask::new(),
            }
        }
    }

    /// Marks the CPU that runs as possible, present, online and active (Linux's `boot_cpu_init`).
    pub fn boot_cpu_init(&self) {
        for mask in [&self.possible, &self.present, &self.online, &self.active] {
            mask.insert(CpuIndex::BOOT);
        }
    }
}

impl Default for CpuMasks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    use super::*;

    fn cpu(index: usize) -> CpuIndex {
        CpuIndex::new(index).unwrap()
    }

    #[test]
    fn prints_like_a_linux_cpulist() {
        let mask: CpuMask = [0, 1, 2, 5, 7, 8].map(cpu).into_iter().collect();
        assert_eq!(mask.to_string(), "0-2,5,7-8");
        assert_eq!(CpuMask::EMPTY.to_string(), "");
    }

    #[test]
    fn the_boot_cpu_is_in_all_four() {
        let masks = CpuMasks::new();
        masks.boot_cpu_init();
        for mask in [&masks.possible, &masks.present, &masks.online, &masks.active] {
            assert_eq!(mask.snapshot().to_string(), "0");
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(changes in proptest::collection::vec((any::<bool>(), 0..MAX_CPUS), 0..200)) {
            let (mut mask, shared, mut model) = (CpuMask::EMPTY, SharedCpuMask::new(), BTreeSet::new());
            for (add, index) in changes {
                if add {
                    mask.insert(cpu(index));
                    shared.insert(cpu(index));
                    model.insert(index);
                } else {
                    mask.remove(cpu(index));
                    shared.remove(cpu(index));
                    model.remove(&index);
                }
                prop_assert_eq!(mask.contains(cpu(index)), model.contains(&index));
                prop_assert_eq!(shared.contains(cpu(index)), model.contains(&index));
            }
            prop_assert_eq!(mask.count(), model.len());
            prop_assert_eq!(mask.is_empty(), model.is_empty());
            prop_assert!(mask.iter().map(CpuIndex::get).eq(model));
            prop_assert_eq!(shared.snapshot(), mask);
        }
    }
}
