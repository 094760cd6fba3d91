//! The log of the next stage's calls and of its CPUs' entries, which it does not notice: they are kept in a [`Ring`] when they happen, and
//! written as records to the secure UART when nothing has happened for a while, or what is kept is old or much.
//!
//! The CPU that is the first to have something kept writes it: its secure timer brings it back to EL3, whatever the next stage does,
//! which may hang meanwhile. It writes a few at a time.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use psci_server::{Answer, Entry};
use reveille::MAX_CPUS;
use reveille_psci_log::{Call, Happened, Pace, Ring, Slot, Whose};
use reveille_trace_format::{Record, SCHEMA, write_record};
use spin::Mutex;

use crate::{console, cpus, non_secure, timer};

/// How many are kept.
const CAPACITY: usize = 4096;
/// How long nothing has to have happened before it is written.
const QUIET: Duration = Duration::from_millis(20);
/// How long it is kept at most, if things go on happening.
const OLDEST: Duration = Duration::from_millis(200);
/// How many are written at a time, and how long the next stage runs then.
const BATCH: usize = 16;
const PAUSE: Duration = Duration::from_millis(1);

static RING: Ring<[Slot; CAPACITY]> = Ring::new([const { Slot::EMPTY }; CAPACITY]);
/// Who writes: what is taken out of the ring is written in that order.
static WRITER: Mutex<()> = Mutex::new(());
/// When what is kept is to be written, as the counter, and by which CPU, in the lowest bits; 0 where nothing is due.
static DUE: AtomicU64 = AtomicU64::new(0);
const CPU_BITS: u32 = MAX_CPUS.trailing_zeros();
const _: () = assert!(MAX_CPUS.is_power_of_two());

fn due_at(ticks: u64, cpu: usize) -> u64 {
    ticks << CPU_BITS | cpu as u64
}

/// When more is to be written; `None` where nothing is kept.
fn next(now: u64) -> Option<u64> {
    Pace { quiet: timer::ticks_of(QUIET), oldest: timer::ticks_of(OLDEST) }.due(&RING, now)
}

/// Tells who runs on which CPUs.
pub fn begin(ids: &[u64]) {
    let _writer = WRITER.lock();
    write(&Record::Boot {
        schema: SCHEMA,
        image: "firmware",
        version: env!("CARGO_PKG_VERSION"),
        entry_level: Some(3),
        boot_hw_id: cpus::affinity(),
        counter_ns: Some(0),
    });
    for (cpu, &hw_id) in (0..).zip(ids) {
        write(&Record::FirmwareCpu { guest: None, cpu, hw_id });
    }
}

/// Keeps a call of `cpu` at `ticks` with its answer.
pub fn called(cpu: usize, ticks: u64, call: Call, answer: Answer) {
    keep(Happened::called(cpu, ticks, call, answer));
}

/// Keeps that `cpu` enters the next stage now.
pub fn entered(cpu: usize, entry: Entry) {
    keep(Happened::entered(cpu, timer::now(), entry));
}

fn keep(happened: Happened) {
    let cpu = happened.cpu;
    let much = RING.push(&happened) == CAPACITY / 2;
    if !much && DUE.load(Ordering::SeqCst) != 0 {
        return;
    }
    let due = timer::now().saturating_add(timer::ticks_of(if much { Duration::ZERO } else { QUIET }));
    let before = if much { DUE.load(Ordering::SeqCst) } else { 0 };
    // Who loses here lost to another CPU, which writes.
    if DUE.compare_exchange(before, due_at(due, cpu), Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        timer::program(due);
    }
}

/// When `cpu` is to write, if it is to.
pub fn due(cpu: usize) -> Option<u64> {
    let due = DUE.load(Ordering::SeqCst);
    (due != 0 && due & (MAX_CPUS as u64 - 1) == cpu as u64).then_some(due >> CPU_BITS)
}

/// On a CPU whose timer has fired: writes, if it is time to.
pub fn tick(cpu: usize) {
    let now = timer::now();
    if due(cpu).is_none_or(|due| now < due) {
        return;
    }
    if next(now).is_some_and(|next| next <= now) {
        let _writer = WRITER.lock();
        for _ in 0..BATCH {
            let Some((happened, lost)) = RING.pop() else { break };
            write_happened(&happened, lost);
        }
    }
    // Whoever keeps something from here on has it written, or is seen by what follows.
    DUE.store(0, Ordering::SeqCst);
    let now = timer::now();
    if let Some(next) = next(now) {
        let soonest = now.saturating_add(timer::ticks_of(PAUSE));
        let due = due_at(next.max(soonest), cpu);
        // Who loses lost to another CPU, which writes.
        let _ = DUE.compare_exchange(0, due, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Writes all that is kept: the machine ends.
pub fn flush() {
    let _writer = WRITER.lock();
    flush_if_possible();
}

/// The same with the last words of a CPU, which may have been in the middle of all this.
pub fn flush_if_possible() {
    while let Some((happened, lost)) = RING.pop() {
        write_happened(&happened, lost);
    }
}

fn write_happened(happened: &Happened, lost: usize) {
    if lost > 0 {
        write(&Record::Lost { guest: None, count: lost as u32 });
    }
    let whose = Whose { guest: None, ids: cpus::ids(), level: non_secure::highest_level() };
    write(&happened.record(timer::nanoseconds(happened.ticks), &whose));
}

fn write(record: &Record<&str>) {
    // A UART takes everything, and all of these are short.
    let _ = write_record(&mut console::secure(), record);
}
