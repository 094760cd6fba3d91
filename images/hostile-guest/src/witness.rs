//! The guest that means no harm, beside one that does: on all its vCPUs it takes its timer's interrupts at a fixed rate, and looks at a pattern in its
//! memory, at its registers and at those of its interrupt controller, which nobody but itself may change.
//!
//! Ticks are due by the counter, one every [`PERIOD`]. One that comes late makes none of the others late, so however busy the host is, as many have come
//! as are due: what is missing was lost.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use alloc::vec::Vec;

use reveille_psci_caller::Junk;
use reveille_runtime::arch::{interrupts, timer};
use reveille_runtime::println;

use crate::attempt::Attempts;
use crate::registers::{read_register, write_register};
use crate::rows::machine::{DISTRIBUTOR, REDISTRIBUTOR_SIZE, REDISTRIBUTORS, TIMER};
use crate::vcpus::{self, MOST, Vcpus};

/// The time between two ticks.
const PERIOD: Duration = Duration::from_millis(10);
/// How many words of the pattern each vCPU looks at between two ticks.
const SLICE: usize = 512;
/// How many words the pattern has: a large part of the guest's memory.
const WORDS: usize = 4 << 20;
/// How many ticks may be due and not taken when the time is over.
const LAST: u64 = 2;

/// What a vCPU saw.
struct Seen {
    ticks: AtomicU64,
    due: AtomicU64,
    /// By how much the latest tick was late, in ticks of the counter.
    latest: AtomicU64,
    words: AtomicU64,
    /// What has changed, by bits: [`MEMORY`] and those behind it.
    changed: AtomicU32,
}

/// What may have changed that should not: a bit each.
const MEMORY: u32 = 1 << 0;
const REGISTERS: u32 = 1 << 1;
const INTERRUPT_CONTROLLER: u32 = 1 << 2;
const STRANGE_INTERRUPT: u32 = 1 << 3;

impl Seen {
    const fn nothing() -> Self {
        Self {
            ticks: AtomicU64::new(0),
            due: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            words: AtomicU64::new(0),
            changed: AtomicU32::new(0),
        }
    }

    fn note(&self, right: bool, what: u32) {
        if !right {
            self.changed.fetch_or(what, Ordering::Relaxed);
        }
    }

    /// What is wrong with it.
    fn complaint(&self) -> Option<&'static str> {
        let (ticks, due) = (self.ticks.load(Ordering::Relaxed), self.due.load(Ordering::Relaxed));
        let changed = self.changed.load(Ordering::Relaxed);
        match changed {
            0 if due == 0 => Some("did nothing"),
            0 if ticks > due || ticks + LAST < due => Some("lost the rate of its timer"),
            0 => None,
            _ if changed & MEMORY != 0 => Some("found its memory changed"),
            _ if changed & REGISTERS != 0 => Some("found its registers changed"),
            _ if changed & INTERRUPT_CONTROLLER != 0 => Some("found its interrupt controller changed"),
            _ => Some("had an interrupt that is not its own"),
        }
    }
}

static SEEN: [Seen; MOST] = [const { Seen::nothing() }; MOST];
static PATTERN: AtomicU64 = AtomicU64::new(0);

/// The word of the pattern with this number.
fn word(number: usize) -> u64 {
    Junk::new(number as u64).number()
}

/// Whether nothing has changed in so long, and all ticks came.
pub fn run(limit: Duration) -> bool {
    let pattern: Vec<u64> = (0..WORDS).map(word).collect();
    PATTERN.store(pattern.as_ptr() as u64, Ordering::SeqCst);
    let vcpus = Vcpus::count();
    println!("witness: {} vCPUs look on for {limit:?}", vcpus.count);
    let done = vcpus.all(limit, vcpus::attempts_of_the_first(), look_on);
    let mut passed = done.is_ok();
    if let Err(reason) = done {
        println!("witness: {reason}");
    }
    for (index, seen) in SEEN[..vcpus.count].iter().enumerate() {
        let [ticks, due, latest, words] =
            [&seen.ticks, &seen.due, &seen.latest, &seen.words].map(|number| number.load(Ordering::Relaxed));
        let latest = timer::instant(latest).0 / 1000;
        println!("witness {index}: {ticks} of {due} ticks, the latest {latest} us late; {words} words");
        if let Some(complaint) = seen.complaint() {
            println!("witness {index} fails: it {complaint}");
            passed = false;
        }
    }
    let whole = pattern.iter().enumerate().all(|(number, &found)| found == word(number));
    println!("witness {}", if passed && whole { "passes" } else { "fails" });
    passed && whole
}

/// What each vCPU does.
fn look_on(index: usize, _: &mut Attempts) {
    let seen = &SEEN[index];
    let redistributor = REDISTRIBUTORS + index as u64 * REDISTRIBUTOR_SIZE + 0x1_0000;
    let _masked = interrupts::mask();
    set_up(redistributor);
    let period = timer::frequency() / (1_000_000_000 / PERIOD.as_nanos() as u64);
    let start = timer::ticks();
    let mut next = start + period;
    let mut place = index * WORDS / MOST;
    let own = Own::set(index);
    write_register!("cntv_cval_el0", next);
    write_register!("cntv_ctl_el0", 1);
    // Ticks that are late at the end are still taken.
    while !vcpus::is_over() || next <= timer::ticks() {
        interrupts::wait();
        let taken = read_register!("icc_iar1_el1") as u32;
        match taken {
            TIMER => {
                let late = timer::ticks().saturating_sub(next);
                seen.latest.fetch_max(late, Ordering::Relaxed);
                seen.ticks.fetch_add(1, Ordering::Relaxed);
                next += period;
                write_register!("cntv_cval_el0", next);
                write_register!("icc_eoir1_el1", u64::from(taken));
            }
            // Woken for nothing.
            1020.. => continue,
            _ => {
                seen.note(false, STRANGE_INTERRUPT);
                write_register!("icc_eoir1_el1", u64::from(taken));
            }
        }
        seen.note(is_whole(place), MEMORY);
        place = (place + SLICE) % WORDS;
        seen.words.fetch_add(SLICE as u64, Ordering::Relaxed);
        seen.note(own.is_still_there(), REGISTERS);
        seen.note(is_set_up(redistributor), INTERRUPT_CONTROLLER);
    }
    seen.due.store((timer::ticks() - start) / period, Ordering::Relaxed);
    write_register!("cntv_ctl_el0", 0);
}

fn is_whole(place: usize) -> bool {
    let pattern = core::ptr::with_exposed_provenance::<u64>(PATTERN.load(Ordering::Relaxed) as usize);
    // SAFETY: within the pattern, which nobody writes and which lives until all vCPUs are off; volatile, since another could.
    (place..place + SLICE).all(|number| unsafe { pattern.add(number).read_volatile() } == word(number))
}

/// Registers of this vCPU's that nothing else uses, with numbers of its own in them.
struct Own([u64; 4]);

impl Own {
    fn set(index: usize) -> Self {
        let own = Self(core::array::from_fn(|place| word(MOST * place + index + 1)));
        write_register!("tpidr_el0", own.0[0]);
        write_register!("tpidrro_el0", own.0[1]);
        write_register!("far_el1", own.0[2]);
        write_register!("contextidr_el1", own.0[3] & 0xffff);
        own
    }

    fn is_still_there(&self) -> bool {
        let Self([first, second, third, fourth]) = self;
        read_register!("tpidr_el0") == *first
            && read_register!("tpidrro_el0") == *second
            && read_register!("far_el1") == *third
            && read_register!("contextidr_el1") == fourth & 0xffff
            && read_register!("dbgbvr0_el1") == 0
            && read_register!("dbgbcr0_el1") == 0
            && read_register!("mdscr_el1") == 0
    }
}

const GROUP_1: u32 = 0b10;
const ENABLED: u32 = 1 << TIMER;

fn register(address: u64) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address as usize)
}

fn set_up(redistributor: u64) {
    // SAFETY: the guest's own interrupt controller.
    unsafe {
        register(DISTRIBUTOR).write_volatile(GROUP_1);
        register(redistributor + 0x100).write_volatile(ENABLED);
    }
    write_register!("icc_pmr_el1", 0xff);
    write_register!("icc_igrpen1_el1", 1);
}

fn is_set_up(redistributor: u64) -> bool {
    // SAFETY: as above; these registers are read without effect.
    let (group, enabled) =
        unsafe { (register(DISTRIBUTOR).read_volatile(), register(redistributor + 0x100).read_volatile()) };
    group & 0b11 == GROUP_1 && enabled == ENABLED
}
