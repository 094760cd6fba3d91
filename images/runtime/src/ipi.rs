//! Interrupts between CPUs.

use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicU32, Ordering};

use reveille::CpuIndex;

use crate::cpus::Offline;
use crate::lock::IrqLock;
use crate::{interrupt_controller, thread};

/// What one CPU wants of another, numbered as Linux numbers them (`enum ipi_msg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ipi {
    /// A thread has come into the run queue there, or has become ready in it.
    Reschedule = 0,
    /// There are functions to call ([`smp_call_function_single`]).
    CallFunction = 1,
}

impl Ipi {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Reschedule, Self::CallFunction];

    /// The one with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Reschedule),
            1 => Some(Self::CallFunction),
            _ => None,
        }
    }
}

type Call = (fn(u32), u32);

/// What a CPU was asked to call. While it is closed, nothing is in it.
struct CallQueue {
    open: bool,
    calls: VecDeque<Call>,
}

crate::per_cpu! {
    static CALLS: IrqLock<CallQueue> = IrqLock::new(CallQueue { open: false, calls: VecDeque::new() });
    static RECEIVED: AtomicU32 = AtomicU32::new(0);
}

/// Has `cpu` call `function(argument)` in its interrupt handler. Does not wait for it. What was accepted is called, also if the
/// CPU goes down meanwhile.
///
/// # Errors
/// [`Offline`]: the CPU takes no calls, and will not call it.
pub fn smp_call_function_single(cpu: CpuIndex, function: fn(u32), argument: u32) -> Result<(), Offline> {
    let mut queue = CALLS.of(cpu).lock();
    if !queue.open {
        return Err(Offline(cpu));
    }
    queue.calls.push_back((function, argument));
    // With the lock held: after the queue was closed no interrupt comes any more.
    interrupt_controller::send_ipi(cpu, Ipi::CallFunction);
    Ok(())
}

/// Has this CPU take calls from here on. Before it is online, when its interrupts are set up.
pub fn open_calls() {
    CALLS.lock().open = true;
}

/// Has this CPU, which masks interrupts, take no more calls, and makes those that it was asked for before.
pub fn close_calls() {
    while let Some((function, argument)) = next_call(|queue| queue.open = false) {
        function(argument);
    }
}

/// Takes the next call; `when_empty` has a look at the queue if there is none.
fn next_call(when_empty: impl Fn(&mut CallQueue)) -> Option<Call> {
    let mut queue = CALLS.lock();
    let call = queue.calls.pop_front();
    if call.is_none() {
        when_empty(&mut queue);
    }
    call
}

/// How many interrupts `cpu` has had from others.
#[must_use]
pub fn received(cpu: CpuIndex) -> u32 {
    RECEIVED.of(cpu).load(Ordering::Relaxed)
}

/// Interrupts `cpu`, which takes calls, and does nothing else there: what it runs at a lower exception level comes out of that.
pub fn nudge(cpu: CpuIndex) {
    interrupt_controller::send_ipi(cpu, Ipi::Reschedule);
}

pub(crate) fn handle(ipi: Ipi) {
    RECEIVED.fetch_add(1, Ordering::Relaxed);
    match ipi {
        // The way out of every interrupt looks for a thread to switch to.
        Ipi::Reschedule => thread::reprogram_timer(),
        Ipi::CallFunction => {
            while let Some((function, argument)) = next_call(|_| ()) {
                function(argument);
            }
        }
    }
}
