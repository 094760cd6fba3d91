//! The instances of a multi-instance step: [`Instances`].

use crate::sync::{AtomicU32, Ordering};

/// One of the things that a multi-instance step does to every CPU (one of several timers, say), by a number of the
/// subsystem's choosing below [`Instances::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance(u8);

impl Instance {
    /// The instance `number`; `None` from [`Instances::MAX`] on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Instances::MAX { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Which instances a multi-instance step has now (Linux's `cpuhp_step.list`).
pub struct Instances(AtomicU32);

impl Instances {
    /// How many instances a step can have.
    pub const MAX: u8 = 32;

    crate::sync::const_unless_loom! {
        /// No instance.
        #[must_use]
        pub fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Whether `instance` is there.
    #[must_use]
    pub fn contains(&self, instance: Instance) -> bool {
        self.0.load(Ordering::Acquire) & 1 << instance.0 != 0
    }

    pub(super) fn insert(&self, instance: Instance) {
        self.0.fetch_or(1 << instance.0, Ordering::Release);
    }

    pub(super) fn remove(&self, instance: Instance) {
        self.0.fetch_and(!(1 << instance.0), Ordering::Release);
    }

    /// Those that are there, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Instance> + use<> {
        let bits = self.0.load(Ordering::Acquire);
        (0..Self::MAX).filter(move |number| bits & 1 << number != 0).map(Instance)
    }
}

impl Default for Instances {
    fn default() -> Self {
        Self::new()
    }
}
