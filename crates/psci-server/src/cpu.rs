//! What is kept of one CPU: its state, in one word that changes by compare-exchange, and beside it what the CPU is to enter with.
//!
//! ```text
//!            claim            publish                take
//!   OFF ──────────▶ CLAIMED ─────────▶ ON_PENDING ─────────▶ ON ◀──── resume ──── STANDBY
//!    ▲                                     │                 │ ▲                  SUSPENDED
//!    ├──────────────── withdraw ───────────┘                 │ └───── suspend ───────▶
//!    └──────────────────────── off ──────────────────────────┘
//! ```
//!
//! The entry belongs to one CPU at a time: from `claim` to `publish` to the caller of CPU_ON, from `take` to `off` to the CPU itself.
//!
//! Beside the state the word has a generation, which rises whenever the state's number falls. So the word only ever grows: an old word
//! never compares equal, and words that have the same sum twice are the same words.

use crate::sync::{AtomicU32, AtomicU64, Ordering, const_unless_loom};

/// What state a CPU is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuState {
    /// It is off, and may be switched on.
    Off,
    /// It was switched on, and has not asked yet what to enter with.
    OnPending,
    /// It runs.
    On,
    /// It sleeps, to go on by itself. To other CPUs it is on.
    Suspended,
}

/// What a CPU enters with, at the highest non-secure exception level of its caller's world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The physical address (for a virtual CPU: the guest's) of its first instruction.
    pub address: u64,
    /// Its X0.
    pub context_id: u64,
}

/// How a CPU that slept goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Standby or retention: it returns from CPU_SUSPEND with this X0.
    Return(u64),
    /// Power-down: it enters anew.
    Enter(Entry),
}

const OFF: u32 = 0;
/// Somebody's CPU_ON has it, and writes what it is to enter with.
const CLAIMED: u32 = 1;
const ON_PENDING: u32 = 2;
const ON: u32 = 3;
const STANDBY: u32 = 4;
const SUSPENDED: u32 = 5;
const STATE: u32 = 7;

/// A CPU's word, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub u32);

impl Word {
    const fn state(self) -> u32 {
        self.0 & STATE
    }

    const fn next(self, state: u32) -> Self {
        let word = self.0 & !STATE | state;
        Self(if state > self.state() { word } else { word.wrapping_add(STATE + 1) })
    }

    pub(crate) const fn cpu_state(self) -> CpuState {
        match self.state() {
            OFF => CpuState::Off,
            CLAIMED | ON_PENDING => CpuState::OnPending,
            ON => CpuState::On,
            _ => CpuState::Suspended,
        }
    }
}

pub(crate) struct Cpu {
    word: AtomicU32,
    address: AtomicU64,
    context_id: AtomicU64,
}

impl Cpu {
    const_unless_loom! {
        /// A CPU that is off.
        pub(crate) fn new() -> Self {
            Self { word: AtomicU32::new(OFF), address: AtomicU64::new(0), context_id: AtomicU64::new(0) }
        }
    }

    /// Acquires: who sees that a CPU is off sees what it wrote before.
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    fn change(&self, from: Word, state: u32) -> Option<Word> {
        let to = from.next(state);
        let changed = self.word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok().then_some(to)
    }

    fn change_if(&self, state: u32, to: u32) -> Option<Word> {
        let word = self.word();
        if word.state() == state { self.change(word, to) } else { None }
    }

    fn set_entry(&self, entry: Entry) {
        self.address.store(entry.address, Ordering::Relaxed);
        self.context_id.store(entry.context_id, Ordering::Relaxed);
    }

    fn entry(&self) -> Entry {
        Entry { address: self.address.load(Ordering::Relaxed), context_id: self.context_id.load(Ordering::Relaxed) }
    }

    /// Switches a CPU on that is off: from now on it may [`Cpu::take`] the entry. Of several callers at once one succeeds; the others
    /// get what state the CPU is in instead.
    pub(crate) fn switch_on(&self, entry: Entry) -> Result<Word, CpuState> {
        let word = self.word();
        if word.state() != OFF {
            return Err(word.cpu_state());
        }
        // Who loses here lost to another caller, for whom the CPU was on its way at that moment, whatever it is now.
        let claimed = self.change(word, CLAIMED).ok_or(CpuState::OnPending)?;
        self.set_entry(entry);
        let pending = claimed.next(ON_PENDING);
        self.word.store(pending.0, Ordering::Release);
        Ok(pending)
    }

    /// Takes a switching-on back, unless the CPU has taken the entry. `pending` is what [`Cpu::switch_on`] returned.
    pub(crate) fn withdraw(&self, pending: Word) -> bool {
        self.change(pending, OFF).is_some()
    }

    /// On the CPU itself: what it is to enter with, once.
    pub(crate) fn take(&self) -> Option<Entry> {
        self.change_if(ON_PENDING, ON).map(|_| self.entry())
    }

    /// The machine started with this CPU.
    pub(crate) fn boot(&self) -> bool {
        self.change_if(OFF, ON).is_some()
    }

    pub(crate) fn off(&self) -> bool {
        self.change_if(ON, OFF).is_some()
    }

    /// On the CPU itself, which goes to sleep: with an entry if it is to enter anew.
    pub(crate) fn suspend(&self, entry: Option<Entry>) -> bool {
        if self.word().state() != ON {
            return false;
        }
        if let Some(entry) = entry {
            self.set_entry(entry);
        }
        self.change_if(ON, if entry.is_some() { SUSPENDED } else { STANDBY }).is_some()
    }

    /// On the CPU itself, which has woken up.
    pub(crate) fn resume(&self) -> Option<Resumed> {
        if self.change_if(STANDBY, ON).is_some() {
            return Some(Resumed::Return(0));
        }
        self.change_if(SUSPENDED, ON).map(|_| Resumed::Enter(self.entry()))
    }
}
