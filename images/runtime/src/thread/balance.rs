//! Threads that any CPU may run ([`spawn_free`](super::spawn_free)): a CPU fetches those that wait in the queue of another, when it has
//! nothing to do, or when its own have had more than their share (the crate `fair-share` has the rules). Who leaves one waiting wakes a CPU that idles.

use core::sync::atomic::{AtomicUsize, Ordering, fence};

use alloc::sync::Arc;
use fair_share::FairShare;
use reveille::{CpuIndex, SharedCpuMask};

use super::migration::lock_both;
use super::run_queue::{RUN_QUEUE, RunQueue, SLICE};
use super::{Placement, Thread};
use crate::clock;
use crate::cpus::SMP;
use crate::interrupt_controller::send_ipi;
use crate::ipi::Ipi;
use crate::lock::SharedU64;
use crate::per_cpu::smp_processor_id;

/// How many free threads wait in run queues.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// The highest floor of the CPUs that run free threads.
static HIGHEST_FLOOR: SharedU64 = SharedU64::new(0);
/// CPUs that sleep because they have nothing to run. Who wakes one takes it out.
static IDLE: SharedCpuMask = SharedCpuMask::new();

crate::per_cpu! {
    /// The least time of the free threads that wait in the CPU's run queue; the largest number if there is none.
    static LEAST_WAITING: SharedU64 = SharedU64::new(u64::MAX);
}

/// The rules.
pub(super) fn share() -> FairShare {
    FairShare::new(clock::ticks_of(SLICE))
}

/// Whether a free thread waits in any run queue.
pub(super) fn anyone_waits() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

/// A free thread has come into the run queue of `cpu`, or has left it, and this is the least time of those that wait there now.
pub(super) fn note_waiting(cpu: CpuIndex, has_come: bool, least: u64) {
    LEAST_WAITING.of(cpu).set(least);
    if has_come {
        WAITING.fetch_add(1, Ordering::Relaxed);
    } else {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A CPU that runs a free thread has this floor.
pub(super) fn note_floor(floor: u64) {
    // Two that say so at once lose one of both, until the next slice ends.
    if floor > HIGHEST_FLOOR.get() {
        HIGHEST_FLOOR.set(floor);
    }
}

/// What a CPU begins with that has had nothing to run.
pub(super) fn highest_floor() -> u64 {
    HIGHEST_FLOOR.get()
}

/// Wakes a CPU that idles, if there is one, to fetch what waits. The caller holds the lock of another run queue: one that is in use is
/// passed over, and so it may be in vain. Then the next end of a slice tries again.
pub(super) fn wake_idle() {
    fence(Ordering::SeqCst);
    let own = smp_processor_id();
    for cpu in IDLE.snapshot().iter().filter(|&cpu| cpu != own) {
        let Some(queue) = RUN_QUEUE.of(cpu).try_lock() else { continue };
        if queue.open {
            IDLE.remove(cpu);
            // With the lock held: no interrupt comes after the run queue was closed.
            send_ipi(cpu, Ipi::Reschedule);
            return;
        }
    }
}

/// Fetches a free thread from another CPU, if this one, which masks interrupts, should run it: whether it did.
pub(super) fn fetch_thread() -> bool {
    let own = smp_processor_id();
    if !anyone_waits() || !SMP.masks.active.contains(own) {
        return false;
    }
    let least = {
        let mut queue = RUN_QUEUE.lock();
        queue.account();
        queue.least()
    };
    let share = share();
    let is_wanted = |time: u64| time != u64::MAX && least.is_none_or(|least| share.is_behind(time, least));
    let others =
        SMP.masks.active.snapshot().iter().filter(|&cpu| cpu != own).map(|cpu| (cpu, LEAST_WAITING.of(cpu).get()));
    let Some((from, _)) = others.filter(|&(_, time)| is_wanted(time)).min_by_key(|&(_, time)| time) else {
        return false;
    };
    let (mut to, mut from) = lock_both(own, from);
    // It may have been taken meanwhile, and what is about to run there stays.
    if !to.open || from.current_is_idle() {
        return false;
    }
    let Some(place) = place_of_least(&from).filter(|&place| is_wanted(from.ready[place].time.get())) else {
        // What it should run is just being switched away from. It is not to lose a whole slice by that.
        to.shorten_slice();
        return false;
    };
    let thread = from.take_ready(place);
    thread.cpu.store(own.get(), Ordering::Relaxed);
    to.arrive(thread);
    true
}

/// The place of the thread in the run queue that lies behind most, of those that can be taken.
fn place_of_least(queue: &RunQueue) -> Option<usize> {
    let can_go = |thread: &Arc<Thread>| {
        thread.placement == Placement::Free && !thread.stays.load(Ordering::Acquire) && !queue.is_leaving(thread)
    };
    let places = queue.ready.iter().enumerate().filter(|(_, thread)| can_go(thread));
    places.min_by_key(|(_, thread)| thread.time.get()).map(|(place, _)| place)
}

/// This CPU has nothing to run: `sleep` is called, with interrupts masked, unless there is something to fetch after all. Whoever leaves
/// a free thread waiting meanwhile wakes it.
pub(super) fn while_idle(sleep: fn()) {
    let own = smp_processor_id();
    IDLE.insert(own);
    fence(Ordering::SeqCst);
    if !fetch_thread() {
        sleep();
    }
    IDLE.remove(own);
}
