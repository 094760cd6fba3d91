//! Parking: a bound thread is held, at a point of its own choosing where it has nothing in hand, until it is let go on (Linux's
//! `kthread_park`).

use alloc::sync::Arc;

use super::{Thread, TimedOut, block, current, unblock};
use crate::arch::timer;
use crate::lock::IrqLock;

struct State {
    /// It is to park.
    asked: bool,
    /// It has parked, and has not noticed yet if it was let go on since.
    parked: bool,
    waiter: Option<Arc<Thread>>,
}

/// Whether a thread is to park, and has.
pub(super) struct Parking(IrqLock<State>);

impl Parking {
    pub const fn new() -> Self {
        Self(IrqLock::new(State { asked: false, parked: false, waiter: None }))
    }

    /// For a thread that has not run yet.
    pub fn begin_parked(&self) {
        let mut state = self.0.lock();
        (state.asked, state.parked) = (true, true);
    }
}

/// Asks `thread` to park, and waits until it has. It looks at [`should_park`] now and then, or this is in vain.
///
/// # Errors
/// [`TimedOut`] if it has not when the counter reaches `deadline`: the request is taken back, and it goes on.
pub fn park(thread: &Arc<Thread>, deadline: u64) -> Result<(), TimedOut> {
    let waiter = current();
    thread.parking.0.lock().asked = true;
    unblock(thread);
    loop {
        let mut state = thread.parking.0.lock();
        if state.parked {
            state.waiter = None;
            return Ok(());
        }
        if timer::ticks() >= deadline {
            (state.asked, state.waiter) = (false, None);
            return Err(TimedOut);
        }
        state.waiter = Some(Arc::clone(&waiter));
        drop(state);
        block(deadline);
    }
}

/// Lets `thread` go on, if it is parked or was asked to park.
pub fn unpark(thread: &Arc<Thread>) {
    let_go(thread);
    unblock(thread);
}

/// The same, but a thread that is parked goes on only when something else wakes it: for one that has nothing to do yet.
pub(crate) fn let_go(thread: &Arc<Thread>) {
    thread.parking.0.lock().asked = false;
}

/// Whether the thread that executes this is to call [`park_here`] soon.
#[must_use]
pub fn should_park() -> bool {
    current().parking.0.lock().asked
}

/// Parks the thread that executes this, if it was asked to, until [`unpark`]. It holds nothing that others wait for.
pub fn park_here() {
    let thread = current();
    loop {
        let mut state = thread.parking.0.lock();
        if !state.asked {
            state.parked = false;
            return;
        }
        state.parked = true;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            unblock(&waiter);
        }
        block(u64::MAX);
    }
}
