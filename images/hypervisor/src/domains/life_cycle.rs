//! Guests come and go: each can be started, stopped and reset as often as one likes, and gives everything back at its end.
//!
//! ```text
//!  Off ──prepare──▶ Starting ──begin──▶ On ── its last vCPU has ended ──▶ Off, or Starting again after a reset
//! ```
//!
//! Who finds it off may start it. Only the thread of this module ([`attend`]) finds that a guest is at its end. It waits for the threads
//! of the vCPUs, has all CPUs forget the guest's translations, and lets its memory, its tables and its number (its VMID) go.

use alloc::sync::Arc;
use core::fmt;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use reveille::CpuIndex;
use reveille_runtime::arch::{power, timer};
use reveille_runtime::clock;
use reveille_runtime::thread::{self, Completion};

use super::{Domain, Past, State, all};
use crate::guest::build::{self, Start};
use crate::guest::memory::forget_translations;
use crate::guest::output::{self, say};
use crate::guest::{End, Guest, call_log};

/// How long the vCPUs of a guest may take to come out of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is seen whether a guest that has ended is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How long a guest may take to be made.
const MAKING: Duration = Duration::from_secs(60);
/// A guest that resets itself this soon after it has begun may be doing nothing else.
const SOON: Duration = Duration::from_secs(60);
/// How often in a row it may.
const QUICK_RESETS: usize = 5;

/// A guest is at its end.
static ENDED: Completion = Completion::new();
/// What follows from an end was done. The console's thread alone waits for it.
static ATTENDED: Completion = Completion::new();
/// A guest crashed, or could not be made.
static FAILED: AtomicBool = AtomicBool::new(false);

/// A guest that was asked for does not run: the run ends with a status that says so.
pub fn note_failure() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Ends the run.
pub fn exit() -> ! {
    call_log::flush();
    power::exit(u8::from(FAILED.load(Ordering::Relaxed)))
}

/// Ends the run from the console, and with it all guests.
pub fn exit_from_console() -> ! {
    all().iter().filter_map(Domain::guest).for_each(|guest| call_log::end(&guest, End::Stopped));
    exit()
}

/// The last vCPU of a guest has ended.
pub fn guest_has_ended() {
    ENDED.complete();
}

/// Starts the thread that looks after guests that are at their end.
///
/// # Errors
/// There is no room for it.
pub fn init() -> Result<(), &'static str> {
    let look_after = || loop {
        if ENDED.wait(u64::MAX).is_ok() {
            all().iter().for_each(attend);
        }
    };
    thread::spawn("domains", CpuIndex::BOOT, look_after).map(|_| ())
}

/// Why a guest is not started, stopped or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for cannot be.
    Asked(guest_config::Reason<'static>),
    /// It could not be made.
    Failed(&'static str),
    /// It is on.
    On,
    /// It is off.
    Off,
    /// It is being made just now.
    Starting,
    /// With it the machine would end.
    GuestZero,
    /// A vCPU has not come out of it in time.
    Lingers(usize, CpuIndex),
    /// All have come out of it, and what follows has not been done in time.
    Unattended,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(reason) => write!(f, "it is refused: {reason}"),
            Self::Failed(reason) => write!(f, "it cannot be made: {reason}"),
            Self::On => f.write_str("it runs already"),
            Self::Off => f.write_str("it is off"),
            Self::Starting => f.write_str("it is being made"),
            Self::GuestZero => f.write_str("the machine ends with guest 0; exit ends the run"),
            Self::Lingers(vcpu, cpu) => write!(f, "its vCPU {vcpu} has not come out of it on CPU {cpu} yet"),
            Self::Unattended => f.write_str("its vCPUs have come out of it, but it is not done with yet"),
        }
    }
}

impl Domain {
    /// Makes the guest, as if there had been none before: nobody else does until it has begun and ended.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn prepare(&self) -> Result<(Arc<Guest>, Start), Refusal> {
        let asked = self.asked.as_ref().map_err(|refused| Refusal::Asked(refused.reason))?;
        {
            let mut state = self.state.lock();
            match &*state {
                State::Off(_) => *state = State::Starting,
                State::Starting => return Err(Refusal::Starting),
                State::On(_) => return Err(Refusal::On),
            }
        }
        build::build(self.number, asked, self.homes.iter().copied()).map_err(|reason| {
            *self.state.lock() = State::Off(Past::Failed(reason));
            Refusal::Failed(reason)
        })
    }

    /// Has it begin.
    ///
    /// # Errors
    /// There is no room for a thread: it ends.
    pub(super) fn begin(&self, guest: &Arc<Guest>, start: &Start) -> Result<(), &'static str> {
        // Before its first instruction: that may be its last.
        *self.state.lock() = State::On(Arc::clone(guest));
        guest.start(start)
    }

    /// Makes the guest and has it begin.
    ///
    /// # Errors
    /// Why it does not.
    pub fn start(&self) -> Result<(), Refusal> {
        self.quick_resets.store(0, Ordering::Relaxed);
        self.start_again()
    }

    fn start_again(&self) -> Result<(), Refusal> {
        let (guest, start) = self.prepare()?;
        self.begin(&guest, &start).map_err(Refusal::Failed)
    }

    /// Ends the guest, and waits until everything that it had is given back. By the console's thread.
    ///
    /// # Errors
    /// It is not so. A guest that was told to end does so as soon as its last vCPU comes out.
    pub fn stop(&self) -> Result<(), Refusal> {
        self.end(End::Stopped, PATIENCE)
    }

    /// Ends the guest, and waits until it was started again. By the console's thread.
    ///
    /// # Errors
    /// As [`Self::stop`]; or it could not be made again.
    pub fn reset(&self) -> Result<(), Refusal> {
        self.quick_resets.store(0, Ordering::Relaxed);
        self.end(End::ResetFromConsole, PATIENCE + MAKING)?;
        match self.past() {
            Some(Past::Failed(reason)) => Err(Refusal::Failed(reason)),
            _ => Ok(()),
        }
    }

    fn end(&self, end: End, patience: Duration) -> Result<(), Refusal> {
        if self.number == 0 {
            return Err(Refusal::GuestZero);
        }
        let before = self.ends.load(Ordering::Acquire);
        match &*self.state.lock() {
            State::Off(_) => return Err(Refusal::Off),
            State::Starting => return Err(Refusal::Starting),
            State::On(guest) => guest.end(end),
        }
        let deadline = clock::ticks_after(patience);
        while self.ends.load(Ordering::Acquire) == before {
            if ATTENDED.wait(deadline).is_err() {
                let lingering = self.guest().and_then(|guest| guest.lingering());
                return Err(lingering.map_or(Refusal::Unattended, |(vcpu, cpu)| Refusal::Lingers(vcpu, cpu)));
            }
        }
        Ok(())
    }

    /// The guest, if it is at its end, and why.
    fn at_its_end(&self) -> Option<(Arc<Guest>, End)> {
        match &*self.state.lock() {
            State::On(guest) => Some((Arc::clone(guest), guest.ended()?)),
            State::Off(_) | State::Starting => None,
        }
    }
}

/// Does what follows if the guest is at its end: with guest 0, or with the last one that runs, the run ends.
fn attend(domain: &Domain) {
    let Some((guest, end)) = domain.at_its_end() else { return };
    let (number, name) = (domain.number, domain.name());
    output::finish(number);
    call_log::end(&guest, end);
    if end == End::Crashed {
        note_failure();
    }
    match end {
        End::Reset if number == 0 => {
            say(format_args!("Guest 0 ({name}) reset itself, and with it the machine"));
            call_log::flush();
            power::reset(1);
        }
        End::Reset => {}
        _ => say(format_args!("Guest {number} ({name}) {end}")),
    }
    if number == 0 {
        exit();
    }
    let age = guest.age();
    release(domain, guest, end);
    let is_again = match end {
        End::Reset => may_reset(domain, age),
        End::ResetFromConsole => true,
        End::PoweredOff | End::Crashed | End::Stopped => false,
    };
    if is_again && let Err(refusal) = domain.start_again() {
        say(format_args!("Guest {number} ({name}): {refusal}"));
        note_failure();
    }
    domain.ends.fetch_add(1, Ordering::Release);
    ATTENDED.complete();
    if all().iter().all(|domain| domain.past().is_some()) {
        exit();
    }
}

/// Gives everything back that a guest had.
fn release(domain: &Domain, guest: Arc<Guest>, end: End) {
    if guest.join(clock::ticks_after(PATIENCE)).is_err() {
        say(format_args!(
            "Guest {} ({}): a thread of it does not end, and keeps its memory",
            domain.number,
            domain.name()
        ));
    }
    // From here on its number may be another guest's, even if somebody still holds its memory.
    forget_translations();
    let state = mem::replace(&mut *domain.state.lock(), State::Off(Past::Ended(end)));
    let rest = Arc::downgrade(&guest);
    // Not under the lock: there is much to give back.
    drop((state, guest));
    // Somebody may be looking at it.
    let deadline = clock::ticks_after(PATIENCE);
    while rest.strong_count() > 0 && timer::ticks() < deadline {
        thread::sleep_until(clock::ticks_after(LOOK));
    }
    drop(rest);
    call_log::forget_ended();
}

/// Whether a guest of this age that has reset itself is started again, which is said.
fn may_reset(domain: &Domain, age: Duration) -> bool {
    let (number, name, soon) = (domain.number, domain.name(), SOON.as_secs());
    if age >= SOON {
        domain.quick_resets.store(0, Ordering::Relaxed);
    } else if domain.quick_resets.fetch_add(1, Ordering::Relaxed) == QUICK_RESETS {
        say(format_args!(
            "Guest {number} ({name}) reset itself {} times, each within {soon} s of its start, and is not started again",
            QUICK_RESETS + 1
        ));
        note_failure();
        return false;
    }
    say(format_args!("Guest {number} ({name}) reset itself, and is started again"));
    true
}
