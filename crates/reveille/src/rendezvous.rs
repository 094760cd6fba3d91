//! Where the two sides meet: the [`ClaimWord`] that a kicked CPU and the CPU that waits for it race for.
//!
//! This is the second of two phases. In the first the new CPU has its MMU off, where exclusives and caches cannot be
//! trusted: it uses registers only, reads boot tables that were cleaned to the point of coherency, and writes nothing that
//! is shared (the architecture's crate has that code). With the MMU and caches on, it claims its word:
//!
//! ```text
//!            control CPU                     new CPU                      control CPU
//! Offline ──── kick ────▶ Kicked ──── claim ────▶ Claimed ── come_online ──▶ Online
//!    ▲                      │ abandon                │ abandon                  (new CPU)
//!    │                      ▼                        ▼
//!    └─ (kick again) ── Abandoned                  Stuck
//!
//!             dying CPU                  control CPU, when firmware says OFF
//! Online ── report_dead ──▶ Dead ──────────── confirm_off ───────────▶ Offline
//!                            └── revive (firmware refused) ──▶ Claimed
//! ```
//!
//! Every arrow is one compare-exchange of the whole word, generation included, so one side wins and the other learns it.
//! A CPU that loses does nothing more: it parks, and touches no memory that may be another's. `Abandoned` CPUs never used
//! what was prepared for them, so they may be kicked again, under a new generation; one that firmware has started all the same
//! may be adopted (`reopen`). `Stuck` and `Dead` ones own their stack and per-CPU memory until firmware says that they are off
//! (`confirm_off`).
//!
//! **Memory.** The word lies in normal, inner-shareable, write-back memory, and both sides have MMU and caches on when they
//! touch it. The control CPU's writes before [`ClaimWord::kick`] are visible to the CPU that claims (release, acquire), and
//! the new CPU's before [`ClaimWord::come_online`] to whoever sees [`State::Online`].

use crate::cpu::CpuIndex;
use crate::sync::{Ordering, RacedWord};

/// Counts the kicks of one CPU, so that a CPU that comes late is not taken for the next one that was asked for. Wraps after
/// 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u16);

/// What a new CPU is handed in its one register (PSCI's context id, CFE's a1): its index in bits 15:0 and the generation of
/// the kick in bits 31:16. Never 0, since CPU 0 is not kicked: a spin-table CPU, which is handed nothing, sees 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextId(u32);

impl ContextId {
    /// The context id of the kick `generation` of `cpu`.
    #[must_use]
    pub const fn new(cpu: CpuIndex, generation: Generation) -> Self {
        Self((generation.0 as u32) << 16 | cpu.get() as u32)
    }

    /// Takes a context id apart, as it arrived. `None` if it names no CPU of this build.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match CpuIndex::new((raw & 0xffff) as usize) {
            Some(_) => Some(Self(raw)),
            None => None,
        }
    }

    /// The value to hand over.
    #[must_use]
    pub const fn to_raw(self) -> u32 {
        self.0
    }

    /// The CPU that was kicked.
    #[must_use]
    pub const fn cpu(self) -> CpuIndex {
        match CpuIndex::new((self.0 & 0xffff) as usize) {
            Some(cpu) => cpu,
            None => unreachable!(),
        }
    }

    /// Which of its kicks this was.
    #[must_use]
    pub const fn generation(self) -> Generation {
        Generation((self.0 >> 16) as u16)
    }
}

/// How far a CPU is, as both sides agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum State {
    /// Not started, or taken down again.
    Offline = 0,
    /// The enable method was asked to start it.
    Kicked = 1,
    /// It arrived in time and owns what was prepared for it.
    Claimed = 2,
    /// It can take inter-processor interrupts and run work.
    Online = 3,
    /// The wait for it ended before it arrived. It parks if it still comes, and may be kicked again.
    Abandoned = 4,
    /// It arrived, and then did not come online by the deadline, or could not. What it owns is lost to it.
    Stuck = 5,
    /// It was online, touches nothing more, and is about to be switched off.
    Dead = 6,
}

impl State {
    const fn from_bits(bits: u32) -> Self {
        match bits as u16 {
            0 => Self::Offline,
            1 => Self::Kicked,
            2 => Self::Claimed,
            3 => Self::Online,
            4 => Self::Abandoned,
            5 => Self::Stuck,
            _ => Self::Dead,
        }
    }
}

/// The other side was faster, and the word is in the state given: nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CPU is {0:?} already")]
pub struct Lost(pub State);

/// One CPU's (generation, state), as one word: the generation in bits 31:16, [`State`] in bits 15:0.
///
/// Entry code written in assembly makes the same transition as [`Self::claim`] with [`Self::KICKED`] and
/// [`Self::CLAIMED`]; the layout is part of this crate's contract with the architecture crates.
#[repr(transparent)]
pub struct ClaimWord(RacedWord);

impl ClaimWord {
    /// The state bits of a word that may be claimed.
    pub const KICKED: u32 = State::Kicked as u32;
    /// The state bits of a word that was claimed.
    pub const CLAIMED: u32 = State::Claimed as u32;

    crate::sync::const_unless_loom! {
        /// The word of a CPU that was never started.
        #[must_use]
        pub fn new() -> Self {
            Self(RacedWord::new(0))
        }
    }

    const fn word(generation: Generation, state: State) -> u32 {
        (generation.0 as u32) << 16 | state as u32
    }

    #[inline(never)] // For size: every transition is one.
    fn exchange(&self, generation: Generation, from: State, to: State) -> Result<(), Lost> {
        self.0
            .compare_exchange(
                Self::word(generation, from),
                Self::word(generation, to),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(|_| ())
            .map_err(|now| Lost(State::from_bits(now)))
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        State::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Control CPU: announces that the CPU is about to be started, under a new generation.
    ///
    /// # Errors
    /// [`Lost`] unless the CPU is [`State::Offline`] or [`State::Abandoned`].
    pub fn kick(&self) -> Result<Generation, Lost> {
        let now = self.0.load(Ordering::Acquire);
        match State::from_bits(now) {
            State::Offline | State::Abandoned => {}
            state => return Err(Lost(state)),
        }
        let generation = Generation(((now >> 16) as u16).wrapping_add(1));
        self.0
            .compare_exchange(now, Self::word(generation, State::Kicked), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| generation)
            .map_err(|now| Lost(State::from_bits(now)))
    }

    /// New CPU: takes possession of what was prepared for the kick `generation`.
    ///
    /// # Errors
    /// [`Lost`] if the wait ended before, or a later kick is in force. The caller parks and touches nothing more.
    pub fn claim(&self, generation: Generation) -> Result<(), Lost> {
        self.exchange(generation, State::Kicked, State::Claimed)
    }

    /// New CPU: is online from here on.
    ///
    /// # Errors
    /// [`Lost`] if it was given up meanwhile. The caller parks; its stack and per-CPU memory stay its own.
    pub fn come_online(&self, generation: Generation) -> Result<(), Lost> {
        self.exchange(generation, State::Claimed, State::Online)
    }

    /// Control CPU: takes the kick `generation` back, since the enable method refused it.
    ///
    /// # Errors
    /// [`Lost`] if the CPU has claimed it all the same: it runs, and is waited for like the others.
    pub fn withdraw(&self, generation: Generation) -> Result<(), Lost> {
        self.exchange(generation, State::Kicked, State::Abandoned)
    }

    /// Control CPU: stops waiting for the kick `generation`. The state it was given up in: [`State::Kicked`] (now
    /// [`State::Abandoned`]) or [`State::Claimed`] (now [`State::Stuck`]).
    ///
    /// # Errors
    /// [`Lost`] if it came online after all.
    pub fn abandon(&self, generation: Generation) -> Result<State, Lost> {
        match self.withdraw(generation) {
            Ok(()) => Ok(State::Kicked),
            Err(Lost(State::Claimed)) => {
                self.exchange(generation, State::Claimed, State::Stuck).map(|()| State::Claimed)
            }
            Err(lost) => Err(lost),
        }
    }

    /// New CPU: cannot come online. It parks or switches itself off.
    ///
    /// # Errors
    /// [`Lost`] if it was given up meanwhile, which comes to the same.
    pub fn fail(&self, generation: Generation) -> Result<(), Lost> {
        self.exchange(generation, State::Claimed, State::Stuck)
    }

    /// Control CPU: waits again for the kick that it abandoned, since the CPU is on its way after all. What was prepared for
    /// that kick is ready again.
    ///
    /// # Errors
    /// [`Lost`] unless the CPU is [`State::Abandoned`].
    pub fn reopen(&self) -> Result<Generation, Lost> {
        self.exchange_any(State::Abandoned, State::Kicked)
    }

    /// Dying CPU: touches nothing more that is shared, and is about to switch itself off.
    ///
    /// # Errors
    /// [`Lost`] unless it is [`State::Online`].
    pub fn report_dead(&self) -> Result<Generation, Lost> {
        self.exchange_any(State::Online, State::Dead)
    }

    /// Dying CPU: could not switch itself off, and comes up again ([`Self::come_online`]).
    ///
    /// # Errors
    /// [`Lost`] if it was taken for off meanwhile: it parks.
    pub fn revive(&self) -> Result<Generation, Lost> {
        self.exchange_any(State::Dead, State::Claimed)
    }

    /// Control CPU: firmware says that the CPU is off (or cannot be asked, of one that is [`State::Dead`]). What it owned may be
    /// given to others.
    ///
    /// # Errors
    /// [`Lost`] unless the CPU is [`State::Dead`] or [`State::Stuck`].
    pub fn confirm_off(&self) -> Result<(), Lost> {
        match self.exchange_any(State::Dead, State::Offline) {
            Err(Lost(State::Stuck)) => self.exchange_any(State::Stuck, State::Offline).map(|_| ()),
            result => result.map(|_| ()),
        }
    }

    /// The transition of whatever generation is in force.
    fn exchange_any(&self, from: State, to: State) -> Result<Generation, Lost> {
        let now = self.0.load(Ordering::Acquire);
        let generation = Generation((now >> 16) as u16);
        self.exchange(generation, from, to).map(|()| generation)
    }
}

impl Default for ClaimWord {
    fn default() -> Self {
        Self::new()
    }
}
