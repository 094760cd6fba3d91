//! [`IrqLock`]: a spin lock that interrupt handlers may take too. [`SharedU64`]: a number that is wider than what some CPUs change in
//! one step.

use core::ops::{Deref, DerefMut};

use spin::mutex::{SpinMutex, SpinMutexGuard};
use spin::relax::RelaxStrategy;

use crate::arch::interrupts;

/// Lets others run between two looks at a lock: an emulator that runs one CPU at a time may have stopped the holder.
struct Relax;

impl RelaxStrategy for Relax {
    fn relax() {
        interrupts::relax();
    }
}

/// A spin lock that masks interrupts on this CPU while it is held. Held for short, bounded work only, and never across a
/// thread switch.
pub struct IrqLock<T>(SpinMutex<T, Relax>);

/// The content of an [`IrqLock`] while it is held.
pub struct IrqGuard<'a, T> {
    // Dropped before `_mask`: the lock is free before interrupts come in.
    guard: SpinMutexGuard<'a, T, Relax>,
    _mask: interrupts::Masked,
}

impl<T> IrqLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let mask = interrupts::mask();
        IrqGuard { guard: self.0.lock(), _mask: mask }
    }

    /// The content, if nobody holds the lock now.
    pub fn try_lock(&self) -> Option<IrqGuard<'_, T>> {
        let mask = interrupts::mask();
        self.0.try_lock().map(|guard| IrqGuard { guard, _mask: mask })
    }

    /// The content, with the lock broken open if its holder does not let go for a while: for a CPU that dies and wants its
    /// last words heard.
    ///
    /// # Safety
    /// The caller is a panic handler: nobody relies any more on what the lock protects.
    pub unsafe fn lock_or_break(&self) -> IrqGuard<'_, T> {
        let mask = interrupts::mask();
        for _ in 0..1_000_000 {
            if let Some(guard) = self.0.try_lock() {
                return IrqGuard { guard, _mask: mask };
            }
            interrupts::relax();
        }
        // SAFETY: the caller gives up on the holder.
        unsafe { self.0.force_unlock() };
        IrqGuard { guard: self.0.lock(), _mask: mask }
    }
}

impl<T> Deref for IrqGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for IrqGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A 64-bit number that all CPUs and interrupt handlers may read and change, also where CPUs have no 64-bit atomics. It orders nothing
/// else.
pub struct SharedU64(
    #[cfg(target_has_atomic = "64")] core::sync::atomic::AtomicU64,
    #[cfg(not(target_has_atomic = "64"))] IrqLock<u64>,
);

impl Default for SharedU64 {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(target_has_atomic = "64")]
impl SharedU64 {
    /// The number `value`.
    pub const fn new(value: u64) -> Self {
        Self(core::sync::atomic::AtomicU64::new(value))
    }

    /// What it is now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Makes it `value`.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, core::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(not(target_has_atomic = "64"))]
impl SharedU64 {
    /// The number `value`.
    pub const fn new(value: u64) -> Self {
        Self(IrqLock::new(value))
    }

    /// What it is now.
    #[inline]
    pub fn get(&self) -> u64 {
        *self.0.lock()
    }

    /// Makes it `value`.
    #[inline]
    pub fn set(&self, value: u64) {
        *self.0.lock() = value;
    }
}
