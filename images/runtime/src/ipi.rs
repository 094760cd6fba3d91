//! Interrupts between CPUs.

use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicU32, Ordering};

use reveille::CpuIndex;

use crate::interrupt_controller;
use crate::lock::IrqLock;

/// What one CPU wants of another, numbered as Linux numbers them (`enum ipi_msg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ipi {
    /// A thread has become ready there.
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

crate::per_cpu! {
    static CALLS: IrqLock<VecDeque<Call>> = IrqLock::new(VecDeque::new());
    static RECEIVED: AtomicU32 = AtomicU32::new(0);
}

/// Has `cpu`, which is online, call `function(argument)` in its interrupt handler. Does not wait for it.
pub fn smp_call_function_single(cpu: CpuIndex, function: fn(u32), argument: u32) {
    CALLS.of(cpu).lock().push_back((function, argument));
    interrupt_controller::send_ipi(cpu, Ipi::CallFunction);
}

/// How many interrupts `cpu` has had from others.
#[must_use]
pub fn received(cpu: CpuIndex) -> u32 {
    RECEIVED.of(cpu).load(Ordering::Relaxed)
}

pub(crate) fn handle(ipi: Ipi) {
    RECEIVED.fetch_add(1, Ordering::Relaxed);
    match ipi {
        // The way out of every interrupt looks for a thread to switch to.
        Ipi::Reschedule => {}
        Ipi::CallFunction => loop {
            let call = CALLS.lock().pop_front();
            let Some((function, argument)) = call else { break };
            function(argument);
        },
    }
}
