//! The steps of the table, each wrapped in one that gives way, fails where it is told to, and keeps a [`Record`] of its own.

use std::collections::BTreeMap;

use reveille::CpuIndex;
use reveille::hotplug::{Direction, Instance, Section, Step, StepError};
use reveille::rendezvous::State;
use reveille_trace_format::Phase;

use crate::fault::FaultKind;
use crate::processor;
use crate::world::World;

/// The error of a step that fails because it was told to.
pub(crate) const TOLD_TO_FAIL: StepError = StepError(-5);

/// Which steps a CPU has passed, as the steps themselves have seen it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The places of the steps without instances, in the order in which they were started.
    pub passed: Vec<u16>,
    /// The instances that were started, by the place of their step.
    pub instances: BTreeMap<u16, u32>,
    /// The instances of which the last call failed: where undoing fails, they are where it stopped.
    pub failed: BTreeMap<u16, u32>,
    /// The task that is in a step for this CPU.
    pub inside: Option<usize>,
    /// The CPU was switched off with steps of its own passed, which nobody undoes: what they did is gone with its power.
    pub lost: bool,
}

/// One step, where it stands in the table.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'m> {
    pub step: &'m Step<'m>,
    /// The state from which its startup leads to the next.
    pub place: u16,
}

/// The steps in the order of the table, with their places: the library's own two are between the sections.
pub(crate) fn place<'m>(steps: &[&'m Step<'m>]) -> Vec<Placed<'m>> {
    let mut sorted = steps.to_vec();
    sorted.sort_by_key(|step| (step.section(), step.order()));
    let own = |section| match section {
        Section::Prepare => 0,
        Section::Starting => 1,
        Section::Online => 2,
    };
    let placed = |(number, step): (usize, &'m Step<'m>)| Placed { step, place: number as u16 + own(step.section()) };
    sorted.into_iter().enumerate().map(placed).collect()
}

type Call<'w> = Box<dyn Fn(CpuIndex) -> Result<(), StepError> + Sync + 'w>;
type InstanceCall<'w> = Box<dyn Fn(CpuIndex, Instance) -> Result<(), StepError> + Sync + 'w>;

/// What a wrapped step calls.
pub(crate) enum Calls<'w> {
    Single { up: Call<'w>, down: Call<'w> },
    Multi { up: InstanceCall<'w>, down: InstanceCall<'w> },
}

pub(crate) fn calls<'w, 'm>(world: &'w World<'m>, placed: &[Placed<'m>]) -> Vec<Calls<'w>> {
    let single =
        |placed: Placed<'m>, direction| -> Call<'w> { Box::new(move |cpu| world.step(placed, cpu, None, direction)) };
    let multi = |placed: Placed<'m>, direction| -> InstanceCall<'w> {
        Box::new(move |cpu, instance| world.step(placed, cpu, Some(instance), direction))
    };
    let of = |&placed: &Placed<'m>| match placed.step.instances() {
        None => Calls::Single { up: single(placed, Direction::Up), down: single(placed, Direction::Down) },
        Some(_) => Calls::Multi { up: multi(placed, Direction::Up), down: multi(placed, Direction::Down) },
    };
    placed.iter().map(of).collect()
}

/// The steps that call these.
pub(crate) fn wrap<'s>(placed: &[Placed<'s>], calls: &'s [Calls<'s>]) -> Vec<Step<'s>> {
    let one = |(placed, calls): (&Placed<'s>, &'s Calls<'s>)| {
        let inner = placed.step;
        let (section, order, name) = (inner.section(), inner.order(), inner.name());
        let step = match (calls, inner.instances()) {
            (Calls::Multi { up, down }, Some(instances)) => Step::multi(section, order, name, instances).each(up, down),
            (Calls::Single { up, down }, _) => Step::new(section, order, name).startup(up).teardown(down),
            (Calls::Multi { .. }, None) => Step::new(section, order, name),
        };
        if inner.can_stop() { step } else { step.cant_stop() }
    };
    placed.iter().zip(calls).map(one).collect()
}

impl<'m> World<'m> {
    /// What the library calls.
    fn step(
        &self,
        placed: Placed<'m>,
        cpu: CpuIndex,
        instance: Option<Instance>,
        direction: Direction,
    ) -> Result<(), StepError> {
        self.enter(placed, cpu, instance, direction);
        if let Err(text) = self.state().processors[cpu.get()].record.check(placed, instance, direction) {
            self.violation(&format!("CPU {cpu}: {text}"));
        }
        self.trace(cpu, Phase::Begin, placed.step.name(), None);
        self.step_aside();
        let result = match self.told(placed, cpu, direction) {
            Told::Succeed => placed.step.call(cpu, instance, direction),
            Told::Fail => Err(TOLD_TO_FAIL),
            Told::Stop => {
                processor::stop();
                Ok(())
            }
        };
        self.step_aside();
        self.trace(cpu, Phase::End, placed.step.name(), None);
        let running = self.state().running;
        // On a CPU that is about to say that it is dead. One that is on its way up stops there.
        let dying = self.smp().claim_word(cpu).state() == State::Online;
        let passed_over = placed.step.section() == Section::Starting && direction == Direction::Down && dying;
        let record = &mut self.state().processors[cpu.get()].record;
        if record.inside == Some(running) {
            record.inside = None;
        }
        // What its caller passes over is gone with the CPU.
        let kept = if passed_over { Ok(()) } else { result };
        record.note(placed.place, instance, direction, kept);
        result
    }

    /// Whether the step may run for `cpu` where it does, now.
    fn enter(&self, placed: Placed<'m>, cpu: CpuIndex, instance: Option<Instance>, direction: Direction) {
        let name = placed.step.name();
        let (running, on) = {
            let state = self.state();
            (state.running, state.tasks[state.running].cpu)
        };
        let own = on == Some(cpu);
        match placed.step.section() {
            _ if cpu.is_boot() => {}
            Section::Prepare if own => self.violation(&format!("the PREPARE step {name} runs on CPU {cpu} itself")),
            // An instance may be taken from a CPU that runs.
            Section::Prepare if direction == Direction::Down && instance.is_none() => {
                self.state().processors[cpu.get()].record.forget_lost(self.settings.bringup);
                self.take_back(cpu);
            }
            Section::Prepare => {}
            Section::Starting | Section::Online if own => self.use_memory(cpu),
            _ => self.violation(&format!("the step {name} of CPU {cpu} runs elsewhere")),
        }
        if instance.is_some() && placed.step.section() == Section::Prepare {
            // Instances of a PREPARE step come and go beside whatever the CPU does.
            return;
        }
        let other = self.state().processors[cpu.get()].record.inside.replace(running);
        if other.is_some() {
            self.violation(&format!("CPU {cpu}: {name} is called while another step is"));
        }
    }

    /// What the faults of `cpu` make of the step.
    fn told(&self, placed: Placed<'m>, cpu: CpuIndex, direction: Direction) -> Told {
        let here = |step: crate::StepName| step.names(placed.step.name(), placed.place + 1);
        // The control CPU itself would stop.
        let may_stop = placed.step.section() != Section::Prepare;
        self.fault(cpu, |kind| match (kind, direction) {
            (FaultKind::Fails(step), Direction::Up) | (FaultKind::FailsDown(step), Direction::Down) if here(step) => {
                Some(Told::Fail)
            }
            (FaultKind::Stops(step) | FaultKind::Panics(step), Direction::Up)
            | (FaultKind::StopsDown(step), Direction::Down)
                if may_stop && here(step) =>
            {
                Some(Told::Stop)
            }
            _ => None,
        })
        .unwrap_or(Told::Succeed)
    }
}

enum Told {
    Succeed,
    Fail,
    Stop,
}

fn bit(instance: Instance) -> u32 {
    1 << instance.number()
}

/// What `of` has at `place`.
pub(crate) fn bits_of(of: &BTreeMap<u16, u32>, place: u16) -> u32 {
    of.get(&place).copied().unwrap_or_default()
}

impl Record {
    fn has_instances_above(&self, place: u16) -> bool {
        self.instances.range(place + 1..).any(|(&other, bits)| bits & !bits_of(&self.failed, other) != 0)
    }

    /// Whether a call is in order: startups and teardowns alternate, and are undone in reverse.
    fn check(&self, placed: Placed<'_>, instance: Option<Instance>, direction: Direction) -> Result<(), String> {
        let Placed { step, place } = placed;
        let last = self.passed.last().copied();
        let wrong = match (instance, direction) {
            (None, Direction::Up) => last.is_some_and(|last| last >= place) || self.has_instances_above(place),
            (None, Direction::Down) => last != Some(place) || self.has_instances_above(place),
            (Some(instance), _) if bits_of(&self.failed, place) & bit(instance) != 0 => false,
            (Some(instance), Direction::Up) => bits_of(&self.instances, place) & bit(instance) != 0,
            (Some(instance), Direction::Down) => bits_of(&self.instances, place) & bit(instance) == 0,
        };
        if wrong {
            let passed = &self.passed;
            return Err(format!("the {direction} of {} is out of order, after {passed:?}", step.name()));
        }
        Ok(())
    }

    /// Forgets the steps that ran on the CPU itself, if its power is gone: those from `bringup` on.
    pub(crate) fn forget_lost(&mut self, bringup: u16) {
        if self.lost {
            self.passed.retain(|&place| place < bringup);
            self.instances.retain(|&place, _| place < bringup);
            self.failed.retain(|&place, _| place < bringup);
            (self.inside, self.lost) = (None, false);
        }
    }

    fn note(&mut self, place: u16, instance: Option<Instance>, direction: Direction, result: Result<(), StepError>) {
        let Some(instance) = instance else {
            match (direction, result) {
                (_, Err(_)) => {}
                (Direction::Up, Ok(())) => self.passed.push(place),
                (Direction::Down, Ok(())) => drop(self.passed.pop()),
            }
            return;
        };
        let (up, failed) = (self.instances.entry(place).or_default(), self.failed.entry(place).or_default());
        match (direction, result) {
            (_, Err(_)) => *failed |= bit(instance),
            (Direction::Up, Ok(())) => (*up, *failed) = (*up | bit(instance), *failed & !bit(instance)),
            (Direction::Down, Ok(())) => (*up, *failed) = (*up & !bit(instance), *failed & !bit(instance)),
        }
    }
}
