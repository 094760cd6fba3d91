//! The log of a guest's calls of PSCI and of its vCPUs' entries: kept in memory when they happen, and written as records for the host when
//! the guest has been quiet for a while, when what is kept is old or much, and when the guest ends. So a guest that hangs is seen as well.
//!
//! A thread writes, for all guests ([`start`]). It sleeps until something is kept.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use psci_server::{Answer, Entry, Platform};
use reveille::CpuIndex;
use reveille_psci_log::{Call, Happened, Pace, Ring, Slot, Whose};
use reveille_runtime::arch::timer;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::thread::{self, Completion};
use reveille_runtime::{clock, console};
use reveille_trace_format::Record;

use super::{End, Guest, output};

/// How much is kept of a guest between two writes.
const CAPACITY: usize = 512;
/// How much is written of a guest in all; beyond, it is counted. A guest that calls without end does not fill the host.
const MOST: usize = 2048;
/// How long nothing has to have happened before it is written.
const QUIET: Duration = Duration::from_millis(100);
/// How long it is kept at most, if things go on happening.
const OLDEST: Duration = Duration::from_secs(1);
/// How long the guests run at least between two writes.
const PAUSE: Duration = Duration::from_millis(20);
/// The exception level at which vCPUs begin.
const LEVEL: u8 = 1;

/// What is kept of a guest.
pub struct CallLog {
    guest: u32,
    ring: Ring<Box<[Slot]>>,
    /// What each vCPU was last told of another that it looks after, if that was its last call.
    looks: Vec<AtomicU64>,
    /// How many have been kept since the guest began.
    kept: AtomicUsize,
    /// How many were not kept, and were not told of.
    lost: AtomicUsize,
    /// When it was last written.
    told: AtomicU64,
}

/// The guests whose logs are written.
static GUESTS: IrqLock<Vec<Weak<Guest>>> = IrqLock::new(Vec::new());
/// Something is kept since the thread last looked.
static PENDING: AtomicBool = AtomicBool::new(false);
static WAKE: Completion = Completion::new();

impl CallLog {
    /// That of the guest with this number, which has so many vCPUs.
    pub fn new(guest: usize, vcpus: usize) -> Self {
        let slots = (0..CAPACITY).map(|_| Slot::EMPTY).collect();
        let (kept, lost, told) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let looks = (0..vcpus).map(|_| AtomicU64::new(0)).collect();
        Self { guest: guest as u32, ring: Ring::new(slots), looks, kept, lost, told }
    }

    /// Keeps a call of `vcpu`, made at `ticks`, with its answer: of looks at another vCPU without change the first.
    pub fn called(&self, vcpu: usize, ticks: u64, call: Call, answer: Answer) {
        const AFFINITY_INFO: u32 = 0x8400_0004;
        const WIDE: u32 = 1 << 30;
        let look = match (call.registers[0] as u32 & !WIDE, call.target, answer) {
            (AFFINITY_INFO, Some(target), Answer::Return(code)) => (target as u64 + 1) << 32 | code & 0xffff_ffff,
            _ => 0,
        };
        if self.looks[vcpu].swap(look, Ordering::Relaxed) != look || look == 0 {
            self.keep(&Happened::called(vcpu, ticks, call, answer));
        }
    }

    /// Keeps that `vcpu` enters the guest now.
    pub fn entered(&self, vcpu: usize, entry: Entry) {
        self.keep(&Happened::entered(vcpu, timer::ticks(), entry));
    }

    fn keep(&self, happened: &Happened) {
        if self.kept.fetch_add(1, Ordering::Relaxed) < MOST {
            self.ring.push(happened);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        // One wake-up is enough until the thread has looked.
        if !PENDING.load(Ordering::Relaxed) && !PENDING.swap(true, Ordering::SeqCst) {
            WAKE.complete();
        }
    }

    /// When something is to be written; `None` where there is nothing.
    fn due(&self, now: u64) -> Option<u64> {
        let pace = Pace { quiet: clock::ticks_of(QUIET), oldest: clock::ticks_of(OLDEST) };
        let told = self.told.load(Ordering::Relaxed);
        let lost = (self.lost.load(Ordering::Relaxed) > 0).then(|| told.saturating_add(pace.oldest));
        pace.due(&self.ring, now).into_iter().chain(lost).min()
    }

    /// Writes what is kept: all of it, if `even_within_a_line` of the guest's.
    fn write(&self, ids: &[u64], even_within_a_line: bool) {
        let whose = Whose { guest: Some(self.guest), ids, level: LEVEL };
        let mut is_more = true;
        let write_one = |is_more: &mut bool| {
            let popped = self.ring.pop();
            *is_more = popped.is_some();
            let lost = popped.map_or_else(|| self.lost.swap(0, Ordering::Relaxed), |(_, before)| before);
            if lost > 0 {
                console::tell_host(&Record::Lost { guest: Some(self.guest), count: lost as u32 });
            }
            if let Some((happened, _)) = popped {
                console::tell_host(&happened.record(nanoseconds(happened.ticks), &whose));
            }
        };
        // What is taken out by one at a time stays in its order.
        while is_more && output::between_lines(even_within_a_line, || write_one(&mut is_more)) {}
        self.told.store(timer::ticks(), Ordering::Relaxed);
    }
}

/// Tells the host that `guest` is about to begin, and has its log written from here on.
pub fn begin(guest: &Arc<Guest>) {
    let number = guest.number as u32;
    output::between_lines(true, || {
        console::tell_host(&Record::Guest { guest: number, name: &guest.name });
        for (cpu, &hw_id) in (0..).zip(guest.psci().platform().cpu_ids()) {
            console::tell_host(&Record::FirmwareCpu { guest: Some(number), cpu, hw_id });
        }
    });
    GUESTS.lock().push(Arc::downgrade(guest));
}

/// Writes what is kept of `guest`, and tells the host how it ended.
pub fn end(guest: &Guest, how: End) {
    guest.log().write(guest.psci().platform().cpu_ids(), true);
    let how_in_words = alloc::format!("{how}");
    let (number, ns) = (guest.number as u32, nanoseconds(timer::ticks()));
    let well = matches!(how, End::PoweredOff | End::Stopped);
    let ended = Record::GuestEnded { guest: number, ns, well, how: how_in_words.as_str() };
    output::between_lines(true, || console::tell_host(&ended));
}

/// Writes what is kept of all guests: the run ends.
pub fn flush() {
    live().iter().for_each(|guest| guest.log().write(guest.psci().platform().cpu_ids(), true));
}

/// Forgets guests that are no longer there.
pub fn forget_ended() {
    GUESTS.lock().retain(|guest| guest.strong_count() > 0);
}

/// Starts the thread that writes.
///
/// # Errors
/// There is no room for it.
pub fn start() -> Result<(), &'static str> {
    thread::spawn("call log", CpuIndex::BOOT, run).map(drop)
}

fn run() {
    loop {
        let _ = WAKE.wait(u64::MAX);
        while let Some(due) = next() {
            // Whoever wakes it meanwhile has it look once more.
            let _ = WAKE.wait(due.max(clock::ticks_after(PAUSE)));
            write_due();
        }
    }
}

/// When something is due; `None` where nothing is kept, and whoever keeps something wakes the thread.
fn next() -> Option<u64> {
    let due = || {
        let now = timer::ticks();
        live().iter().filter_map(|guest| guest.log().due(now)).min()
    };
    due().or_else(|| {
        PENDING.store(false, Ordering::SeqCst);
        let due = due();
        due.inspect(|_| PENDING.store(true, Ordering::SeqCst))
    })
}

/// Writes the logs that are due.
pub fn write_due() {
    let now = timer::ticks();
    let is_due = |guest: &&Arc<Guest>| guest.log().due(now).is_some_and(|due| due <= now);
    live().iter().filter(is_due).for_each(|guest| guest.log().write(guest.psci().platform().cpu_ids(), false));
}

/// The guests that have begun and are still there.
fn live() -> Vec<Arc<Guest>> {
    GUESTS.lock().iter().filter_map(Weak::upgrade).collect()
}

fn nanoseconds(ticks: u64) -> u64 {
    timer::shared_nanoseconds(ticks).unwrap_or_default()
}
