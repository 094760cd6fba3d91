//! Bringing CPUs up: prepare all, kick all, meet each by a deadline.
//!
//! [`Smp::init_cpus`] and [`Smp::prepare_cpus`] find out who can come up at all; [`Smp::bring_up`] brings them up and does
//! not return before each has an [`Outcome`]. [`Bringup`] is the same without the waiting, for systems that have other things
//! to do meanwhile.

use core::fmt;

use crate::cpu::{CpuIndex, MAX_CPUS};
use crate::hotplug::StepFailure;
use crate::mask::{CpuMask, SharedCpuMask};
use crate::method::{CallError, EnableMethod, FirmwareState};
use crate::options::SmpOptions;
use crate::rendezvous::{ContextId, Generation, Lost, State};
use crate::smp::{Smp, Stage};
use crate::time::{Deadline, Instant, Timeout};
use crate::topology::{Cpu, Topology};

/// How many CPUs may be on their way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    in_flight: usize,
}

impl Policy {
    /// All CPUs are kicked before any is waited for.
    pub const PARALLEL: Self = Self { in_flight: MAX_CPUS };
    /// One after the other, each waited for before the next is kicked.
    pub const SERIAL: Self = Self { in_flight: 1 };

    /// At most `count` on their way at once (0 counts as 1): for firmware that drops CPU_ON calls which come too fast.
    #[must_use]
    pub const fn at_most(count: usize) -> Self {
        Self { in_flight: if count == 0 { 1 } else { count } }
    }
}

/// As an option would name it: `parallel`, `serial`, or the limit.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.in_flight {
            1 => f.write_str("serial"),
            MAX_CPUS.. => f.write_str("parallel"),
            count => write!(f, "at most {count} on their way"),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::PARALLEL
    }
}

/// What became of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody asked for it: `maxcpus` leaves it out, or nothing has been tried yet.
    NotAsked,
    /// It was kicked and has not come yet. Never left behind by [`Smp::bring_up`].
    InFlight(Generation),
    /// It is online.
    Online,
    /// It was never started: an operation failed.
    Failed(CallError),
    /// It was kicked and never arrived. It parks if it still does.
    TimedOut(FirmwareState),
    /// It arrived, and was not online by the deadline. What was prepared for it stays its own.
    Stuck {
        /// The last stage it reported.
        stage: Stage,
        /// What firmware says of it.
        firmware: FirmwareState,
    },
    /// It could not be kicked, since it is in this state already: stuck, or on its way for a bring-up that was dropped.
    Busy(State),
    /// A hotplug step failed on its way up.
    Step(StepFailure),
    /// It is online, and has not come past this hotplug step by the deadline.
    Hung(&'static str),
}

/// The reason as a sentence; a [`Stage`] appears as its number (use the caller's table for its name).
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked for"),
            Self::InFlight(_) => f.write_str("on its way"),
            Self::Online => f.write_str("online"),
            Self::Failed(error) => error.fmt(f),
            Self::TimedOut(firmware) => write!(f, "never arrived ({firmware})"),
            Self::Stuck { stage, firmware } => write!(f, "arrived and got stuck at stage {} ({firmware})", stage.0),
            Self::Busy(state) => write!(f, "could not be kicked: it is {state:?} already"),
            Self::Step(failure) => failure.fmt(f),
            Self::Hung(step) => write!(f, "online, and has not come past {step}"),
        }
    }
}

/// A point in the bring-up of one CPU, as the control CPU passes it. For tracing; the caller gives them the names its
/// readers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Platform::prepare`] is about to be called.
    Prepare,
    /// It has returned.
    Prepared,
    /// The enable method is about to be called.
    Kick,
    /// It has returned.
    Kicked,
    /// All that may be on their way are: the wait begins. The CPU is the one that was kicked last.
    Wait,
    /// What became of the CPU.
    Done(Outcome),
}

/// What bring-up needs from the system it runs in. All calls come from the control CPU.
pub trait Platform {
    /// The time now.
    fn now(&self) -> Instant;

    /// Called in every turn of a wait: lets others run (`yield` or `wfe` on arm64, which QEMU's single-threaded mode
    /// needs to let the other CPUs run at all), or switches threads.
    fn relax(&self);

    /// Makes ready what `cpu` will own: its stack and boot record, its per-CPU memory. Called once per bring-up, before any
    /// CPU is kicked, and never for a CPU that may be using what it was given before ([`Outcome::Busy`]).
    ///
    /// # Errors
    /// Why it cannot be started; the others are.
    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError>;

    /// Told of every [`Event`], for tracing.
    fn event(&self, cpu: CpuIndex, event: Event) {
        let _ = (cpu, event);
    }
}

/// The CPUs to bring up and how: everything but the state that the CPUs share.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The CPUs of the machine.
    pub topology: &'a Topology,
    /// The methods that [`Topology::read_fdt`] was given, in the same order.
    pub methods: &'a [&'a dyn EnableMethod],
    /// `maxcpus` and `nosmp`.
    pub options: SmpOptions,
    /// How many may be on their way at once.
    pub policy: Policy,
    /// How long to wait for them.
    pub timeout: Timeout,
}

impl<'a> Plan<'a> {
    /// The method of `cpu`; `None` for a boot CPU that has none.
    pub(crate) fn method(&self, cpu: &Cpu) -> Option<&'a dyn EnableMethod> {
        cpu.method.and_then(|method| self.methods.get(method.0 as usize).copied())
    }

    /// The CPUs besides the boot CPU.
    pub(crate) fn secondaries(&self) -> impl Iterator<Item = &'a Cpu> + use<'a> {
        self.topology.cpus().iter().skip(1)
    }
}

/// What a bring-up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many CPUs were asked for, the boot CPU included.
    pub asked: usize,
    /// How many of them are online, the boot CPU included.
    pub online: usize,
}

pub(crate) const NO_METHOD: CallError = CallError { call: "enable-method", code: 0, meaning: "the CPU has none" };

/// Enters those of the CPUs in `among` (of all, if there is no such mask) into `mask` whose method, asked by `ask`, accepts them.
#[inline(never)] // For size: it has two callers, neither in a hurry.
fn enter(
    mask: &SharedCpuMask,
    among: Option<&SharedCpuMask>,
    plan: &Plan<'_>,
    outcomes: &mut [Outcome],
    ask: fn(&dyn EnableMethod, &Cpu) -> Result<(), CallError>,
) {
    for cpu in plan.secondaries() {
        if among.is_some_and(|among| !among.contains(cpu.index)) {
            continue;
        }
        match plan.method(cpu).ok_or(NO_METHOD).and_then(|method| ask(method, cpu)) {
            Ok(()) => mask.insert(cpu.index),
            Err(error) => {
                if let Some(entry) = outcomes.get_mut(cpu.index.get()) {
                    *entry = Outcome::Failed(error);
                }
            }
        }
    }
}

impl Smp {
    /// Enters every CPU whose method accepts it into the possible mask (the end of Linux's `smp_init_cpus`).
    ///
    /// `outcomes` has an entry per CPU of the topology, indexed by [`CpuIndex`]; those of CPUs that failed say why.
    pub fn init_cpus(&self, plan: &Plan<'_>, outcomes: &mut [Outcome]) {
        enter(&self.masks.possible, None, plan, outcomes, |method, cpu| method.cpu_init(cpu));
    }

    /// Enters every possible CPU whose method can start it into the present mask (Linux's `smp_prepare_cpus`). With `nosmp`
    /// or `maxcpus=0` it does nothing: the machine stays on its boot CPU.
    pub fn prepare_cpus(&self, plan: &Plan<'_>, outcomes: &mut [Outcome]) {
        if plan.options.max_cpus != 0 {
            let possible = Some(&self.masks.possible);
            enter(&self.masks.present, possible, plan, outcomes, |method, cpu| method.cpu_prepare(cpu));
        }
    }

    /// Brings up the present CPUs that are not online, as many as `maxcpus` allows, and waits until each has an [`Outcome`].
    ///
    /// Returns by the plan's timeout, counted from the last kick (with a [`Policy`] that limits how many are on their
    /// way: from the last kick that found a place). A CPU that fails does not keep the others from coming up.
    pub fn bring_up<P: Platform>(&self, plan: &Plan<'_>, platform: &P, outcomes: &mut [Outcome]) -> Summary {
        let mut bringup = Bringup::start(self, plan, platform, outcomes);
        loop {
            match bringup.poll() {
                Progress::Done(summary) => return summary,
                Progress::Pending => platform.relax(),
            }
        }
    }
}

/// Whether a bring-up has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// CPUs are still on their way.
    Pending,
    /// Every CPU that was asked for has its outcome.
    Done(Summary),
}

/// A bring-up under way: [`Self::start`], then [`Self::poll`] until it is done. Dropping it early leaves CPUs
/// [`Outcome::InFlight`].
pub struct Bringup<'a, P> {
    smp: &'a Smp,
    plan: Plan<'a>,
    platform: &'a P,
    outcomes: &'a mut [Outcome],
    /// The CPUs that were prepared and are to be kicked or were.
    asked: CpuMask,
    summary: Summary,
    /// The lowest index that may be in flight, and the next to consider for a kick.
    oldest: usize,
    next: usize,
    in_flight: usize,
    /// [`Smp::arrivals`] at the last look at the CPUs in flight: each of them will add one to it.
    seen_arrivals: u32,
    deadline: Deadline,
}

impl<'a, P: Platform> Bringup<'a, P> {
    /// Prepares every CPU that is asked for. The first [`Self::poll`] kicks them.
    pub fn start(smp: &'a Smp, plan: &Plan<'a>, platform: &'a P, outcomes: &'a mut [Outcome]) -> Self {
        let mut bringup = Self {
            smp,
            plan: *plan,
            platform,
            outcomes,
            asked: CpuMask::EMPTY,
            summary: Summary { asked: 1, online: 1 },
            oldest: 1,
            next: 1,
            in_flight: 0,
            seen_arrivals: smp.arrivals(),
            deadline: Deadline::after(Instant(0), core::time::Duration::ZERO),
        };
        bringup.prepare();
        bringup
    }

    fn prepare(&mut self) {
        let online = self.smp.masks.online.snapshot();
        let present = self.smp.masks.present.snapshot();
        let mut room = self.plan.options.max_cpus.saturating_sub(online.count());
        self.summary = Summary { asked: online.count(), online: online.count() };
        for cpu in self.plan.secondaries() {
            let wanted = present.contains(cpu.index) && !online.contains(cpu.index);
            if !wanted || room == 0 || cpu.index.get() >= self.outcomes.len() {
                continue;
            }
            room -= 1;
            self.summary.asked += 1;
            // A CPU in any other state may be using what was prepared for it before.
            match self.smp.claim_word(cpu.index).state() {
                State::Offline | State::Abandoned => {}
                state => {
                    self.finish(cpu.index, Outcome::Busy(state));
                    continue;
                }
            }
            self.platform.event(cpu.index, Event::Prepare);
            let prepared = self.platform.prepare(cpu);
            self.platform.event(cpu.index, Event::Prepared);
            match prepared {
                Ok(()) => self.asked.insert(cpu.index),
                Err(error) => self.finish(cpu.index, Outcome::Failed(error)),
            }
        }
    }

    fn finish(&mut self, cpu: CpuIndex, outcome: Outcome) {
        // The usual end is a word to store; told apart from the others, it is not copied as they are.
        if outcome == Outcome::Online {
            self.summary.online += 1;
            self.settle(cpu, Outcome::Online);
        } else {
            self.settle(cpu, outcome);
        }
    }

    #[inline(always)]
    fn settle(&mut self, cpu: CpuIndex, outcome: Outcome) {
        self.outcomes[cpu.get()] = outcome;
        self.platform.event(cpu, Event::Done(outcome));
    }

    /// Kicks what may be kicked, looks who has come, gives up those whose deadline has passed. Does not wait.
    pub fn poll(&mut self) -> Progress {
        self.kick_all();
        if self.in_flight == 0 {
            return Progress::Done(self.summary);
        }
        let arrivals = self.smp.arrivals();
        // CPUs of a bring-up that was dropped count too: the look may come early, and is then repeated.
        let new_arrivals = arrivals.wrapping_sub(self.seen_arrivals) as usize;
        let all_here = new_arrivals >= self.in_flight;
        let place_free = new_arrivals > 0 && self.next < self.plan.topology.cpus().len();
        let overdue = self.deadline.is_past(self.platform.now());
        if all_here || place_free || overdue {
            self.seen_arrivals = arrivals;
            self.meet(overdue);
            self.kick_all();
        }
        if self.in_flight == 0 { Progress::Done(self.summary) } else { Progress::Pending }
    }

    fn kick_all(&mut self) {
        let cpus = self.plan.topology.cpus();
        let mut last_kicked = None;
        while self.in_flight < self.plan.policy.in_flight && self.next < cpus.len() {
            let cpu = &cpus[self.next];
            self.next += 1;
            if self.asked.contains(cpu.index) && self.kick(cpu) {
                last_kicked = Some(cpu.index);
            }
        }
        if let Some(cpu) = last_kicked {
            self.deadline = self.plan.timeout.deadline(self.platform.now(), self.in_flight);
            self.platform.event(cpu, Event::Wait);
        }
    }

    /// Whether `cpu` is in flight now.
    fn kick(&mut self, cpu: &'a Cpu) -> bool {
        match kick(self.smp, &self.plan, self.platform, cpu) {
            Ok(generation) => {
                self.outcomes[cpu.index.get()] = Outcome::InFlight(generation);
                self.in_flight += 1;
                true
            }
            Err(outcome) => {
                self.finish(cpu.index, outcome);
                false
            }
        }
    }

    /// Looks at every CPU in flight; gives up those that are not online if `overdue`.
    fn meet(&mut self, overdue: bool) {
        let cpus = self.plan.topology.cpus();
        for cpu in &cpus[self.oldest..self.next] {
            let Some(generation) = self.generation_in_flight(cpu) else {
                continue;
            };
            if !overdue && !is_over(self.smp, cpu.index) {
                continue;
            }
            let outcome = conclude(self.smp, &self.plan, cpu, generation);
            self.in_flight -= 1;
            self.finish(cpu.index, outcome);
        }
        while self.oldest < self.next && self.generation_in_flight(&cpus[self.oldest]).is_none() {
            self.oldest += 1;
        }
    }

    /// The kick of `cpu` that is waited for, if it was considered for one.
    fn generation_in_flight(&self, cpu: &Cpu) -> Option<Generation> {
        // The caller's outcomes may be those of an earlier bring-up, or too few: only what was asked for is ours.
        match self.outcomes.get(cpu.index.get())? {
            Outcome::InFlight(generation) if self.asked.contains(cpu.index) => Some(*generation),
            _ => None,
        }
    }
}

/// Has the method of `cpu` start it, under a new generation.
pub(crate) fn kick<P: Platform>(smp: &Smp, plan: &Plan<'_>, platform: &P, cpu: &Cpu) -> Result<Generation, Outcome> {
    let method = plan.method(cpu).ok_or(Outcome::Failed(NO_METHOD))?;
    let claim = smp.claim_word(cpu.index);
    smp.reset_stage(cpu.index);
    let generation = claim.kick().map_err(|Lost(state)| Outcome::Busy(state))?;
    platform.event(cpu.index, Event::Kick);
    let booted = method.cpu_boot(cpu, ContextId::new(cpu.index, generation));
    platform.event(cpu.index, Event::Kicked);
    match booted {
        // One that has claimed in spite of the refusal runs, and is waited for.
        Err(error) if claim.withdraw(generation).is_ok() => Err(Outcome::Failed(error)),
        _ => Ok(generation),
    }
}

/// Whether the wait for `cpu`, which was kicked, is over: it is online, or says itself that it is stuck.
pub(crate) fn is_over(smp: &Smp, cpu: CpuIndex) -> bool {
    smp.masks.online.contains(cpu) || smp.claim_word(cpu).state() == State::Stuck
}

pub(crate) fn ask_firmware(plan: &Plan<'_>, cpu: &Cpu) -> FirmwareState {
    plan.method(cpu).map_or(FirmwareState::Unknown, |method| method.affinity_info(cpu))
}

/// Ends the wait for the kick `generation` of `cpu`: what became of it.
pub(crate) fn conclude(smp: &Smp, plan: &Plan<'_>, cpu: &Cpu, generation: Generation) -> Outcome {
    match smp.claim_word(cpu.index).abandon(generation) {
        Ok(State::Claimed) | Err(Lost(State::Stuck)) => {
            Outcome::Stuck { stage: smp.stage(cpu.index), firmware: ask_firmware(plan, cpu) }
        }
        Ok(_) => Outcome::TimedOut(ask_firmware(plan, cpu)),
        Err(Lost(State::Online)) => {
            // It may be about to say so in the mask.
            smp.masks.online.insert(cpu.index);
            Outcome::Online
        }
        Err(Lost(state)) => Outcome::Busy(state),
    }
}
