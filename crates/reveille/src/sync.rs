//! The atomics of the crate: `core`'s, or `loom`'s where the tests explore interleavings.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};

/// A word that CPUs load and then change by compare-exchange.
#[cfg(not(loom))]
pub(crate) type RacedWord = AtomicU32;
#[cfg(loom)]
pub(crate) use model::RacedWord;

#[cfg(loom)]
mod model {
    use super::{AtomicU32, Ordering};

    /// A word whose loads `loom` explores in every order.
    ///
    /// To find what a change may be swapped with, `loom` looks at the last access before it alone. Where a CPU loads a word and then
    /// changes it that is its own load, and the loads of others before it would never come after. A change of a second word with
    /// every load has them ordered. It is relaxed, so that values which are out of date are still read.
    pub(crate) struct RacedWord {
        word: AtomicU32,
        loads: AtomicU32,
    }

    impl RacedWord {
        pub(crate) fn new(value: u32) -> Self {
            Self { word: AtomicU32::new(value), loads: AtomicU32::new(0) }
        }

        pub(crate) fn load(&self, order: Ordering) -> u32 {
            self.loads.fetch_add(1, Ordering::Relaxed);
            self.word.load(order)
        }

        pub(crate) fn store(&self, value: u32, order: Ordering) {
            self.word.store(value, order);
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.word.compare_exchange(current, new, success, failure)
        }
    }
}

/// Defines a constructor that is `const` except under `loom`, whose atomics register themselves when they are made.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        $(#[$meta])* #[cfg(not(loom))] $vis const fn $name($($arg: $ty),*) -> $ret $body
        $(#[$meta])* #[cfg(loom)] $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_unless_loom;
