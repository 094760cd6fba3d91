//! The watchdog: says when a CPU runs one thread, or its interrupt handlers, and lets nothing else run for long.
//!
//! Threads are preempted, so this takes masked interrupts, or interrupts that never end. The CPU itself may not be able to tell:
//! each CPU that is watched looks now and then, by its timer, at the next one (Linux's buddy detector), and at itself. It
//! costs an idle CPU one interrupt in a fifth of the threshold.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, MAX_CPUS, SharedCpuMask};

use crate::arch::timer;
use crate::lock::SharedU64;
use crate::per_cpu::smp_processor_id;
use crate::{clock, console, thread};

/// After how long a CPU is reported, in milliseconds.
static THRESHOLD: AtomicU32 = AtomicU32::new(20_000);
static WATCHED: SharedCpuMask = SharedCpuMask::new();
static LOCKUPS: AtomicU32 = AtomicU32::new(0);

crate::per_cpu! {
    /// When the CPU last came out of an interrupt and looked for a thread to run, by the counter.
    static ALIVE: SharedU64 = SharedU64::new(0);
    /// When the CPU next looks at itself and another.
    static CHECK_AT: SharedU64 = SharedU64::new(u64::MAX);
    /// Its lockup was reported, and is not over.
    static REPORTED: AtomicBool = AtomicBool::new(false);
}

/// Reports CPUs after `threshold` (20 seconds by default), as far as they are watched from here on.
pub fn set_threshold(threshold: Duration) {
    THRESHOLD.store(u32::try_from(threshold.as_millis()).unwrap_or(u32::MAX), Ordering::Relaxed);
}

/// How many lockups were reported.
#[must_use]
pub fn lockups() -> u32 {
    LOCKUPS.load(Ordering::Relaxed)
}

fn threshold() -> Duration {
    Duration::from_millis(THRESHOLD.load(Ordering::Relaxed).into())
}

/// Has this CPU, which takes its timer's interrupts, watch and be watched. The caller is bound to it, or masks interrupts.
pub fn start() {
    touch();
    CHECK_AT.set(clock::ticks_after(threshold() / 5));
    REPORTED.store(false, Ordering::Relaxed);
    WATCHED.insert(smp_processor_id());
    thread::reprogram_timer();
}

/// Has this CPU neither watch nor be watched. The caller as in [`start`].
pub fn stop() {
    WATCHED.remove(smp_processor_id());
    CHECK_AT.set(u64::MAX);
    thread::reprogram_timer();
}

/// When this CPU's timer must fire at the latest.
pub(crate) fn check_at() -> u64 {
    CHECK_AT.get()
}

/// This CPU is about to look for a thread to run.
pub(crate) fn touch() {
    ALIVE.set(timer::ticks());
}

/// This CPU's timer has fired, at `now`.
pub(crate) fn timer_interrupt(now: u64) {
    if now < check_at() {
        return;
    }
    CHECK_AT.set(clock::ticks_after(threshold() / 5));
    let limit = clock::ticks_after(threshold()) - timer::ticks();
    let age = |cpu: CpuIndex| now.saturating_sub(ALIVE.of(cpu).get());
    let is_stuck = |cpu: &CpuIndex| age(*cpu) > limit;
    let own = smp_processor_id();
    if is_stuck(&own) {
        // If the next one is stuck too, the whole machine was stopped for a while.
        if !next_watched(own, own).is_some_and(|next| is_stuck(&next)) {
            report(own, age(own));
        }
        return;
    }
    REPORTED.store(false, Ordering::Relaxed);
    // Those that the next one does not look at, since it is stuck, are left to this one.
    let mut cpu = own;
    while let Some(next) = next_watched(cpu, own).filter(is_stuck) {
        report(next, age(next));
        cpu = next;
    }
}

/// The next watched CPU behind `after`, going round, before `own` comes.
fn next_watched(after: CpuIndex, own: CpuIndex) -> Option<CpuIndex> {
    let watched = WATCHED.snapshot();
    let distance = |cpu: CpuIndex| (cpu.get() + MAX_CPUS - own.get()) % MAX_CPUS;
    watched.iter().filter(|&cpu| distance(cpu) > distance(after)).min_by_key(|&cpu| distance(cpu))
}

/// Reports that `cpu` has been stuck for as many `ticks`, once.
fn report(cpu: CpuIndex, ticks: u64) {
    if REPORTED.of(cpu).swap(true, Ordering::Relaxed) {
        return;
    }
    let seconds = ticks / timer::frequency();
    let thread = thread::name_of_current(cpu).unwrap_or("unknown");
    let told =
        console::try_print(format_args!("watchdog: soft lockup: CPU {cpu} stuck for {seconds} s in thread {thread}\n"));
    if told {
        LOCKUPS.fetch_add(1, Ordering::Relaxed);
    } else {
        // The console may be what it is stuck with: the next look tries again.
        REPORTED.of(cpu).store(false, Ordering::Relaxed);
    }
}
