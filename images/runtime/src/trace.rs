//! The trace of every CPU, in a ring of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use reveille::CpuIndex;
use reveille::trace::{Entry, Event, Kind, Name, Ring};

use crate::arch::{interrupts, timer};
use crate::per_cpu::smp_processor_id;

/// The boot CPU notes each kick of every other, and starts before there is memory to allocate.
const BOOT_EVENTS: usize = 12 * 1024;
const SECONDARY_EVENTS: usize = 64;

static BOOT_ENTRIES: [Entry; BOOT_EVENTS] = [const { Entry::new() }; BOOT_EVENTS];
static BOOT_RING: Ring<'static> = Ring::new(&BOOT_ENTRIES);

crate::per_cpu! {
    static RING: spin::Once<Ring<'static>> = spin::Once::new();
}

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Notes nothing more, on any CPU: the boot is over.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Makes room for the trace of `cpu`. Without it its events are dropped.
pub fn prepare(cpu: CpuIndex) {
    RING.of(cpu).call_once(|| {
        let entries: Vec<Entry> = (0..SECONDARY_EVENTS).map(|_| Entry::new()).collect();
        Ring::new(Box::leak(entries.into_boxed_slice()))
    });
}

/// The trace of `cpu`, if it has one.
#[must_use]
pub fn ring(cpu: CpuIndex) -> Option<&'static Ring<'static>> {
    if cpu.is_boot() {
        return Some(&BOOT_RING);
    }
    let ring: *const Ring<'static> = RING.of(cpu).get()?;
    // SAFETY: per-CPU areas live for ever, and a ring that was made stays.
    Some(unsafe { &*ring })
}

/// Notes an event of this CPU that happened at `time` of the counter.
pub fn record_at(time: u64, kind: Kind, name: Name, value: u32) {
    if STOPPED.load(Ordering::Relaxed) {
        return;
    }
    // A thread that moved now would write to the trace of the CPU that it was on.
    let _masked = interrupts::mask();
    // This CPU's own, without a look at whose it is: only the boot CPU's is elsewhere.
    let ring = match RING.get() {
        Some(ring) => ring,
        None if smp_processor_id().is_boot() => &BOOT_RING,
        None => return,
    };
    ring.record(Event { time, kind, name, value });
}

/// Notes that something happened on this CPU now; `value` is the other CPU it concerns, or 0.
pub fn instant(name: Name, value: u32) {
    record_at(timer::ticks(), Kind::Instant, name, value);
}

/// Notes that this CPU enters `name`; `value` as in [`instant`].
pub fn begin(name: Name, value: u32) {
    record_at(timer::ticks(), Kind::Begin, name, value);
}

/// Notes that this CPU leaves `name`.
pub fn end(name: Name) {
    record_at(timer::ticks(), Kind::End, name, 0);
}

/// A span: from here to the end of the scope this CPU is in `name`.
#[must_use = "the span ends when this is dropped"]
pub fn span(name: Name) -> Span {
    begin(name, 0);
    Span(name)
}

/// Ends its span when it is dropped.
pub struct Span(Name);

impl Drop for Span {
    fn drop(&mut self) {
        end(self.0);
    }
}
