//! [`Completion`]: one thread waits, by a deadline, for what others do.

use alloc::sync::Arc;

use super::{Thread, block, current, unblock};
use crate::arch::timer;
use crate::lock::IrqLock;

/// The deadline came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

struct State {
    done: u32,
    waiter: Option<Arc<Thread>>,
}

/// Counts what was completed; one thread at a time waits for it (Linux's `struct completion`).
pub struct Completion(IrqLock<State>);

impl Completion {
    /// Nothing is completed.
    #[must_use]
    pub const fn new() -> Self {
        Self(IrqLock::new(State { done: 0, waiter: None }))
    }

    /// Completes one, and wakes the waiter. From any thread or interrupt handler of any CPU.
    pub fn complete(&self) {
        let mut state = self.0.lock();
        state.done += 1;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            unblock(&waiter);
        }
    }

    /// Takes one that was completed, waiting until the counter reaches `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`].
    pub fn wait(&self, deadline: u64) -> Result<(), TimedOut> {
        loop {
            let mut state = self.0.lock();
            if let Some(rest) = state.done.checked_sub(1) {
                state.done = rest;
                return Ok(());
            }
            state.waiter = Some(current());
            drop(state);
            if timer::ticks() >= deadline {
                self.0.lock().waiter = None;
                return Err(TimedOut);
            }
            block(deadline);
        }
    }
}

impl Default for Completion {
    fn default() -> Self {
        Self::new()
    }
}
