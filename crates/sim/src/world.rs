//! The state of the machine and its time: [`World`]. Whoever runs gives way in it, and [`State::next`] says who is next.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use reveille::{CpuIndex, Instant, Outcome, Platform, Policy, Smp, SmpOptions, Timeout, Topology};
use reveille_trace_format::Phase;

use crate::control::Control;
use crate::fault::{Fault, FaultKind};
use crate::fiber::{Pause, suspend};
use crate::parked::{Mailboxes, Parked, ParkedFault};
use crate::steps::Record;

/// Gives way for this much virtual time. For steps and scenarios; outside of a simulated machine it does nothing.
pub fn pause(time: Duration) {
    suspend(Pause::For(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
}

/// What a CPU does that finds nobody waiting for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parking {
    /// It switches itself off.
    #[default]
    Off,
    /// It sleeps, and firmware goes on to say that it is on.
    Asleep,
}

/// How the machine is, and what is done with it: what does not change while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub seed: u64,
    pub cpus: usize,
    /// The state in which all PREPARE steps are done.
    pub bringup: u16,
    pub options: SmpOptions,
    pub policy: Policy,
    pub timeout: Timeout,
    pub parking: Parking,
    /// Whether firmware can be asked about a CPU.
    pub affinity_info: bool,
    /// Whether CPUs are switched off by the control CPU, and not by themselves.
    pub stopped_from_outside: bool,
    /// How long a CPU takes from its kick to its first instruction, about.
    pub power_up: u64,
    /// How many turns the machine runs before it is taken to run for ever.
    pub turns: u64,
}

/// What firmware knows of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    Off,
    OnPending,
    On,
}

/// One CPU as it is.
pub(crate) struct Processor {
    pub power: Power,
    /// When firmware will notice that it is off.
    pub off_at: Option<u64>,
    /// How many threads of control run on it: one, or two if firmware has started it twice.
    pub running: usize,
    /// Whether what was prepared for it is its own to use, and whether it uses it.
    pub lent: bool,
    pub used: bool,
    /// The task that is its hotplug thread, and whether it has been woken.
    pub thread: Option<usize>,
    pub woken: bool,
    pub record: Record,
    pub trace: Vec<Traced>,
}

/// An event of a CPU's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    pub ns: u64,
    pub phase: Phase,
    pub name: &'static str,
    pub target: Option<usize>,
}

/// A request that runs beside others.
pub(crate) type Requested<'m> = Box<dyn FnOnce(&Control<'_, 'm>) + Send + 'm>;

/// What a task begins with.
pub(crate) enum Job<'m> {
    /// The scenario itself, which is not kept here.
    Scenario,
    /// A CPU executes its first instruction, with this context id.
    Arrive { cpu: CpuIndex, context: u32 },
    /// A CPU waits at its mailbox.
    Park { cpu: CpuIndex },
    /// The boot CPU's hotplug thread.
    BootThread,
    /// A request beside others.
    Request(Requested<'m>),
}

/// A thread of control.
pub(crate) struct Task<'m> {
    pub job: Option<Job<'m>>,
    /// The CPU whose way up and down it is; `None` for threads that may run anywhere.
    pub cpu: Option<CpuIndex>,
    ready_at: Option<u64>,
    sleeps: bool,
    pub ended: bool,
    /// How often it has polled since anything happened, and the count of happenings then.
    polls: u32,
    seen: u64,
}

/// What changes while the machine runs.
pub(crate) struct State<'m> {
    pub now: u64,
    pub rng: Rng,
    pub tasks: Vec<Task<'m>>,
    pub running: usize,
    pub turns: u64,
    /// Counts what polls may be waiting for.
    happened: u64,
    pub faults: Vec<Fault>,
    /// All faults that there ever were.
    pub injected: Vec<Fault>,
    /// CPUs and what is wrong with them where firmware parks them.
    pub parked_faults: Vec<(usize, ParkedFault)>,
    pub parked: Vec<Parked>,
    pub processors: Vec<Processor>,
    /// What the last bring-up said of each CPU.
    pub outcomes: Vec<Outcome>,
}

/// The memory that all CPUs share.
pub(crate) enum Shared<'m> {
    Own(Box<Smp>),
    Given(&'m Smp),
}

/// A machine while it runs.
pub(crate) struct World<'m> {
    smp: Shared<'m>,
    pub topology: &'static Topology,
    pub settings: Settings,
    pub mailboxes: Mailboxes,
    state: Mutex<State<'m>>,
}

/// The longest that a brief pause takes, in nanoseconds: an interrupt comes in between.
const INTERRUPTED: u64 = 50_000;

impl<'m> World<'m> {
    pub(crate) fn new(smp: Shared<'m>, topology: &'static Topology, settings: Settings, faults: Vec<Fault>) -> Self {
        let processor = |index| Processor {
            power: if index == 0 { Power::On } else { Power::Off },
            off_at: None,
            running: usize::from(index == 0),
            lent: false,
            used: false,
            thread: None,
            woken: false,
            record: Record::default(),
            trace: Vec::new(),
        };
        let state = State {
            now: 0,
            rng: Rng::with_seed(settings.seed),
            tasks: Vec::new(),
            running: 0,
            turns: 0,
            happened: 0,
            injected: faults.clone(),
            faults,
            parked_faults: Vec::new(),
            parked: vec![Parked::NEW; settings.cpus],
            processors: (0..settings.cpus).map(processor).collect(),
            outcomes: vec![Outcome::NotAsked; settings.cpus],
        };
        let mailboxes = Mailboxes::new(settings.cpus);
        Self { smp, topology, settings, mailboxes, state: Mutex::new(state) }
    }

    pub(crate) fn smp(&self) -> &Smp {
        match &self.smp {
            Shared::Own(smp) => smp,
            Shared::Given(smp) => smp,
        }
    }

    /// The state. Never kept while giving way.
    pub(crate) fn state(&self) -> MutexGuard<'_, State<'m>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run: something happened that must not.
    pub(crate) fn violation(&self, text: &str) -> ! {
        panic!("{text}");
    }

    /// The fault of `cpu` that `wanted` looks for.
    pub(crate) fn fault<T>(&self, cpu: CpuIndex, wanted: impl Fn(FaultKind) -> Option<T>) -> Option<T> {
        self.state().faults.iter().filter(|fault| fault.cpu == cpu.get()).find_map(|fault| wanted(fault.kind))
    }

    pub(crate) fn has_fault(&self, cpu: CpuIndex, kind: FaultKind) -> bool {
        self.fault(cpu, |other| (other == kind).then_some(())).is_some()
    }

    /// Something happens to `cpu` now.
    pub(crate) fn trace(&self, cpu: CpuIndex, phase: Phase, name: &'static str, target: Option<CpuIndex>) {
        let mut state = self.state();
        let traced = Traced { ns: state.now, phase, name, target: target.map(CpuIndex::get) };
        state.processors[cpu.get()].trace.push(traced);
    }

    /// The last things that happened, each on a line of its own.
    pub(crate) fn last_events(&self) -> String {
        const SHOWN: usize = 16;
        let state = self.state();
        let of = |(cpu, processor): (usize, &Processor)| {
            let last = processor.trace.len().saturating_sub(SHOWN);
            processor.trace[last..].iter().map(move |event| (event.ns, cpu, *event)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = state.processors.iter().enumerate().flat_map(of).collect();
        all.sort_by_key(|&(ns, ..)| ns);
        let line = |&(ns, cpu, Traced { phase, name, target, .. }): &(u64, usize, Traced)| {
            let target = target.map_or(String::new(), |target| format!(" of CPU {target}"));
            let phase = match phase {
                Phase::Begin => "begins",
                Phase::End => "ends",
                Phase::Instant => "is",
            };
            format!("    {:>12} ns  CPU {cpu} {phase} {name}{target}\n", ns)
        };
        all[all.len().saturating_sub(SHOWN)..].iter().map(line).collect()
    }

    /// Gives way for a moment.
    pub(crate) fn step_aside(&self) {
        let cost = {
            let mut state = self.state();
            state.happened += 1;
            state.moment()
        };
        suspend(Pause::For(cost));
    }

    /// Gives way for a moment in which nothing happens that others may be waiting for.
    pub(crate) fn look_aside(&self) {
        let cost = self.state().moment();
        suspend(Pause::For(cost));
    }

    /// The time, without giving way.
    pub(crate) fn clock(&self) -> Instant {
        Instant(self.state().now)
    }

    /// Waits for what others do.
    pub(crate) fn poll(&self) {
        suspend(Pause::Poll);
    }

    /// Adds a thread of control that begins after `delay`; its number.
    pub(crate) fn spawn(&self, job: Job<'m>, cpu: Option<CpuIndex>, delay: u64) -> usize {
        let mut state = self.state();
        let ready_at = Some(state.now.saturating_add(delay));
        let task = Task { job: Some(job), cpu, ready_at, sleeps: false, ended: false, polls: 0, seen: 0 };
        match state.tasks.iter().position(|task| task.ended) {
            Some(free) => {
                state.tasks[free] = task;
                free
            }
            None => {
                state.tasks.push(task);
                state.tasks.len() - 1
            }
        }
    }

    /// The hotplug thread of `cpu`, which is the one that runs, sleeps until it is woken.
    pub(crate) fn sleep(&self, cpu: CpuIndex) {
        let pause = {
            let mut state = self.state();
            let running = state.running;
            let deaf = state.is_deaf(cpu);
            let processor = &mut state.processors[cpu.get()];
            processor.thread = Some(running);
            if processor.woken && !deaf {
                processor.woken = false;
                Pause::For(0)
            } else {
                Pause::UntilWoken
            }
        };
        suspend(pause);
        self.state().processors[cpu.get()].woken = false;
    }

    /// Has the hotplug thread of `cpu` look for what it is asked to do.
    pub(crate) fn rouse(&self, cpu: CpuIndex) {
        let mut state = self.state();
        if state.is_deaf(cpu) {
            return;
        }
        let (now, moment) = (state.now, state.moment());
        let processor = &mut state.processors[cpu.get()];
        processor.woken = true;
        if let Some(thread) = processor.thread
            && state.tasks[thread].sleeps
        {
            state.wake(thread, now + moment);
        }
    }

    /// The cap of a poll's pause: a wait ends by its deadline and this much.
    pub(crate) fn longest_poll(&self) -> u64 {
        let deadline = self.settings.timeout.deadline(Instant(0), 1);
        // There is no way to ask a deadline for its time, but to try.
        let nanos = (0..63).find(|&bit| deadline.is_past(Instant(1 << bit))).map_or(u64::MAX, |bit| 1u64 << bit);
        (nanos / 16).max(1)
    }
}

impl State<'_> {
    fn is_deaf(&self, cpu: CpuIndex) -> bool {
        self.faults.iter().any(|fault| fault.cpu == cpu.get() && fault.kind == FaultKind::Deaf)
    }

    /// The thread of control `task`, which sleeps, goes on at the time `at`.
    pub(crate) fn wake(&mut self, task: usize, at: u64) {
        self.tasks[task].sleeps = false;
        self.tasks[task].ready_at = Some(at);
    }

    /// What a call takes: nothing, some instructions, or an interrupt.
    pub(crate) fn moment(&mut self) -> u64 {
        match self.rng.u32(..64) {
            0..16 => 0,
            16..56 => self.rng.u64(1..=200),
            56..63 => self.rng.u64(200..=2_000),
            _ => self.rng.u64(2_000..=INTERRUPTED),
        }
    }

    /// The task that runs next, with the clock moved on to its time. `None` if none ever will.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let time = self.tasks.iter().filter_map(|task| task.ready_at).min()?;
        let ready = |task: &Task<'_>| task.ready_at == Some(time);
        let count = self.tasks.iter().filter(|task| ready(task)).count();
        let chosen = if count == 1 { 0 } else { self.rng.usize(..count) };
        let next = self.tasks.iter().enumerate().filter(|(_, task)| ready(task)).nth(chosen)?.0;
        self.now = time;
        self.running = next;
        self.turns += 1;
        Some(next)
    }

    /// The task that ran has given way, or ended (`None`).
    pub(crate) fn gave_way(&mut self, pause: Option<Pause>, longest_poll: u64) {
        let (now, happened, random) = (self.now, self.happened, self.rng.u64(..));
        let task = &mut self.tasks[self.running];
        task.ready_at = match pause {
            Some(Pause::For(time)) => Some(now.saturating_add(time)),
            Some(Pause::Poll) => {
                task.polls = if task.seen == happened { task.polls + 1 } else { 0 };
                task.seen = happened;
                let most = (128u64 << task.polls.min(40)).min(longest_poll);
                Some(now + 1 + random % most)
            }
            Some(Pause::UntilWoken) => {
                task.sleeps = true;
                None
            }
            Some(Pause::Stopped) => None,
            None => {
                task.ended = true;
                None
            }
        };
    }
}

impl Platform for World<'_> {
    fn now(&self) -> Instant {
        self.look_aside();
        self.clock()
    }

    fn relax(&self) {
        self.poll();
    }

    fn prepare(&self, cpu: &reveille::Cpu) -> Result<(), reveille::CallError> {
        self.step_aside();
        self.lend(cpu.index);
        self.step_aside();
        Ok(())
    }

    fn event(&self, cpu: CpuIndex, event: reveille::Event) {
        self.heard(cpu, event);
    }
}

impl reveille::hotplug::HotplugPlatform for World<'_> {
    fn wake(&self, cpu: CpuIndex) {
        self.step_aside();
        self.rouse(cpu);
    }
}
