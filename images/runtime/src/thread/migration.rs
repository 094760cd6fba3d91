//! Which CPU a thread is on: where it starts, and where it goes when its CPU goes down.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use reveille::{CpuIndex, MAX_CPUS};

use super::run_queue::{RUN_QUEUE, RunQueue};
use super::{Placement, Thread};
use crate::cpus::next_active;
use crate::lock::IrqGuard;
use crate::per_cpu::smp_processor_id;

/// Has this CPU take threads from here on. Before it is online, when its interrupts are set up and still masked.
pub fn open_queue() {
    let mut queue = RUN_QUEUE.lock();
    queue.open = true;
    queue.dying = false;
    // Bound threads may have slept while the CPU was down.
    queue.program_timer();
}

/// Has this CPU take no more threads, and moves all but the bound ones to CPUs that are active: how many those were. They keep
/// their wake-ups and their sleep. This CPU is no longer active, masks interrupts, and runs a bound thread.
///
/// # Panics
/// The thread that runs is not bound, or no active CPU takes threads.
pub fn migrate_away() -> usize {
    let cpu = smp_processor_id();
    let mut queue = RUN_QUEUE.lock();
    assert!(
        queue.current.as_ref().is_some_and(|current| current.placement == Placement::Bound),
        "a thread cannot move itself away"
    );
    queue.open = false;
    drop(queue);
    let mut moved = 0;
    let mut last = cpu;
    while let Some(target) = move_one(cpu, last) {
        last = target;
        moved += 1;
    }
    // Without threads to wake it programs none.
    RUN_QUEUE.lock().program_timer();
    moved
}

/// Moves a thread from the run queue of `cpu`, which is this CPU, to the next active CPU behind `last`: which one that is, if
/// there was a thread to move.
fn move_one(cpu: CpuIndex, last: CpuIndex) -> Option<CpuIndex> {
    let mut target = last;
    for _ in 0..MAX_CPUS {
        target = next_active(target, cpu).expect("a CPU goes down while another is active");
        let (mut from, mut to) = lock_both(cpu, target);
        if !to.open {
            continue;
        }
        let may_go = |thread: &Thread| thread.placement != Placement::Bound;
        if let Some(position) = from.ready.iter().position(|thread| may_go(thread)) {
            let thread = from.take_ready(position);
            thread.move_to(target);
            to.arrive(thread);
        } else {
            let position = from.blocked.iter().position(|blocked| may_go(&blocked.thread))?;
            let blocked = from.blocked.swap_remove(position);
            blocked.thread.move_to(target);
            to.blocked.push(blocked);
        }
        to.kick(target);
        return Some(target);
    }
    panic!("no active CPU takes threads");
}

impl Thread {
    /// With the locks of both run queues held.
    fn move_to(&self, target: CpuIndex) {
        assert!(!self.stays.load(Ordering::Acquire), "something of a thread is left in registers of its CPU");
        self.cpu.store(target.get(), Ordering::Relaxed);
    }
}

/// Locks the run queues of two CPUs, the lower index first.
pub(super) fn lock_both(
    first: CpuIndex,
    second: CpuIndex,
) -> (IrqGuard<'static, RunQueue>, IrqGuard<'static, RunQueue>) {
    if first.get() < second.get() {
        let guard = RUN_QUEUE.of(first).lock();
        (guard, RUN_QUEUE.of(second).lock())
    } else {
        let guard = RUN_QUEUE.of(second).lock();
        (RUN_QUEUE.of(first).lock(), guard)
    }
}

/// Puts a new thread that is not bound into the run queue of the CPU that it names, or of the next that takes threads.
pub(super) fn place(thread: &Arc<Thread>) {
    let mut cpu = thread.cpu();
    for _ in 0..=MAX_CPUS {
        let mut queue = RUN_QUEUE.of(cpu).lock();
        if queue.open {
            thread.cpu.store(cpu.get(), Ordering::Relaxed);
            queue.begin(Arc::clone(thread));
            queue.kick(cpu);
            return;
        }
        drop(queue);
        cpu = next_active(cpu, cpu).expect("some CPU is active");
    }
    panic!("no active CPU takes threads");
}
