//! The control CPU's side: one request at a time, each ending by its deadline (Linux's `_cpu_up` and `_cpu_down`).

use super::error::{HotplugError, StepFailure};
use super::instances::Instance;
use super::slot::{Failure, Order, Phase};
use super::step::{Direction, HotplugState, Section, Step};
use super::{Hotplug, HotplugPlatform};
use crate::bringup::{self, Event, NO_METHOD, Outcome, Plan, Platform};
use crate::cpu::CpuIndex;
use crate::method::{CallError, FirmwareState};
use crate::rendezvous::{Generation, State};
use crate::smp::Smp;
use crate::sync::Ordering;
use crate::time::Deadline;
use crate::topology::Cpu;

/// Whether `cpu`, which touches nothing more, or never will again, is off.
fn kill(plan: &Plan<'_>, cpu: &Cpu) -> FirmwareState {
    plan.method(cpu).map_or(FirmwareState::Unknown, |method| method.cpu_kill(cpu))
}

/// A request under way. No other is until it is dropped.
pub(super) struct Request<'a>(&'a Smp);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// Looks until there is something to see, or the deadline has come.
fn wait<P: Platform, T>(platform: &P, deadline: Deadline, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        // The time first: what is there at the deadline counts.
        let overdue = deadline.is_past(platform.now());
        let seen = look();
        if seen.is_some() || overdue {
            return seen;
        }
        platform.relax();
    }
}

fn deadline<P: Platform>(plan: &Plan<'_>, platform: &P) -> Deadline {
    plan.timeout.deadline(platform.now(), 1)
}

impl<'a> Hotplug<'a> {
    /// Brings `cpu` up through all steps, and does not return before it is there or back where it was. With
    /// [`Outcome::TimedOut`] before, a CPU that has come meanwhile or still does is adopted.
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn cpu_up<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, cpu: CpuIndex) -> Result<(), HotplugError> {
        self.set_state(plan, platform, cpu, self.steps.online()).map(|_| ())
    }

    /// Takes `cpu` down through all steps, and does not return before firmware says that it is off, or it is back where it was.
    /// The caller may run on that CPU, in a thread that the system can move away.
    ///
    /// A STARTING teardown that fails is passed over, and is what is returned.
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn cpu_down<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: CpuIndex,
    ) -> Result<Option<StepFailure>, HotplugError> {
        self.set_state(plan, platform, cpu, HotplugState::OFFLINE)
    }

    /// Takes `cpu` up or down to `target` (Linux's `target` file of a CPU). As [`Self::cpu_up`] and [`Self::cpu_down`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn set_state<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: CpuIndex,
        target: HotplugState,
    ) -> Result<Option<StepFailure>, HotplugError> {
        if !self.steps.can_hold(target) {
            return Err(HotplugError::CannotHold(target));
        }
        let cpu = plan.topology.cpus().get(cpu.get()).ok_or(HotplugError::NotPresent)?;
        let _request = self.begin_enabled(plan, platform)?;
        self.go(plan, platform, cpu, target)
    }

    /// Refuses requests from here on, until [`Self::enable`] was called as often (Linux's `cpu_hotplug_disable`).
    ///
    /// # Errors
    /// [`HotplugError::Busy`].
    pub fn disable<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P) -> Result<(), HotplugError> {
        let _request = self.begin(plan, platform)?;
        self.smp.disabled().fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes one [`Self::disable`] back.
    ///
    /// # Errors
    /// [`HotplugError::Busy`], or [`HotplugError::AlreadyThere`] if hotplug is not disabled.
    pub fn enable<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P) -> Result<(), HotplugError> {
        let _request = self.begin(plan, platform)?;
        let count = self.smp.disabled().load(Ordering::Relaxed);
        let less = count.checked_sub(1).ok_or(HotplugError::AlreadyThere("enabled"))?;
        self.smp.disabled().store(less, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn begin<P: Platform>(&self, plan: &Plan<'_>, platform: &P) -> Result<Request<'a>, HotplugError> {
        let begun = wait(platform, deadline(plan, platform), || self.smp.begin_request().then_some(()));
        begun.map(|()| Request(self.smp)).ok_or(HotplugError::Busy)
    }

    pub(super) fn begin_enabled<P: Platform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
    ) -> Result<Request<'a>, HotplugError> {
        let request = self.begin(plan, platform)?;
        let enabled = self.smp.disabled().load(Ordering::Relaxed) == 0;
        if enabled { Ok(request) } else { Err(HotplugError::Disabled) }
    }

    /// The request itself.
    pub(super) fn go<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        target: HotplugState,
    ) -> Result<Option<StepFailure>, HotplugError> {
        if !self.smp.masks.present.contains(cpu.index) {
            return Err(HotplugError::NotPresent);
        }
        self.recover(plan, cpu)?;
        let state = self.state(cpu.index);
        platform.request_begins(cpu.index, state, target);
        if target > state {
            self.up(plan, platform, cpu, target).map(|()| None)
        } else if target < state {
            self.down(plan, platform, cpu, target)
        } else {
            Err(HotplugError::AlreadyThere(self.steps.name(state)))
        }
    }

    /// Takes a CPU that got stuck, or did not go off in time, for off if firmware says so now.
    pub(super) fn recover(&self, plan: &Plan<'_>, cpu: &Cpu) -> Result<(), HotplugError> {
        let claim = self.smp.claim_word(cpu.index);
        let slot = self.smp.hotplug(cpu.index);
        match claim.state() {
            State::Stuck | State::Dead => {
                let firmware = kill(plan, cpu);
                if firmware != FirmwareState::Off || claim.confirm_off().is_err() {
                    return Err(HotplugError::NotOff(firmware));
                }
                slot.end();
                let _ = slot.take_note();
                slot.set_state(self.steps.prepared());
                Ok(())
            }
            _ if matches!(slot.phase(), Phase::Asked | Phase::Running) => {
                Err(HotplugError::StillRunning(self.step_under_way(cpu.index)))
            }
            _ => Ok(()),
        }
    }

    fn up<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        target: HotplugState,
    ) -> Result<(), HotplugError> {
        let from = self.state(cpu.index);
        let prepared = self.steps.prepared();
        if from < prepared {
            self.walk(cpu.index, target.min(prepared)).map_err(|failure| self.step_error(&failure))?;
        }
        if target <= prepared {
            return Ok(());
        }
        self.ask(cpu.index, Order::Walk(target))?;
        if from > prepared {
            platform.wake(cpu.index);
        } else if let Err(outcome) = self.start(plan, platform, cpu) {
            return Err(self.undo_prepare(cpu.index, from, outcome));
        }
        match self.settle(plan, platform, cpu.index) {
            Err(HotplugError::Step(failure)) if failure.undo.is_none() && from <= prepared => {
                let back = self.down(plan, platform, cpu, from);
                let state = self.steps.name(self.state(cpu.index));
                Err(back.map_or(HotplugError::NotUndone { failure, state }, |_| HotplugError::Step(failure)))
            }
            result => result,
        }
    }

    /// A CPU that was prepared did not come up: undoes that, unless the CPU may be using it.
    pub(super) fn undo_prepare(&self, cpu: CpuIndex, from: HotplugState, outcome: Outcome) -> HotplugError {
        self.smp.hotplug(cpu).withdraw();
        if matches!(self.smp.claim_word(cpu).state(), State::Stuck) {
            return HotplugError::NotUp(outcome);
        }
        match self.walk(cpu, from) {
            Ok(()) => HotplugError::NotUp(outcome),
            Err(failure) => HotplugError::NotUpNorUndone { outcome, failure: self.describe(&failure) },
        }
    }

    /// Kicks `cpu` and waits until it is online.
    fn start<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, cpu: &Cpu) -> Result<(), Outcome> {
        platform.prepare(cpu).map_err(Outcome::Failed)?;
        let adopted = self.adopt(plan, cpu);
        let mut generation = match adopted {
            Some(generation) => generation,
            None => bringup::kick(self.smp, plan, platform, cpu)?,
        };
        platform.event(cpu.index, Event::Wait);
        let claim = self.smp.claim_word(cpu.index);
        let mut adopted = adopted.is_some();
        let seen = wait(platform, deadline(plan, platform), || {
            // One that was to be adopted had parked before, and is off now.
            let has_parked = adopted
                && claim.state() == State::Kicked
                && bringup::ask_firmware(plan, cpu) == FirmwareState::Off
                && claim.withdraw(generation).is_ok();
            if has_parked {
                adopted = false;
                return match bringup::kick(self.smp, plan, platform, cpu) {
                    Ok(kicked) => {
                        generation = kicked;
                        None
                    }
                    Err(outcome) => Some(outcome),
                };
            }
            bringup::is_over(self.smp, cpu.index).then(|| bringup::conclude(self.smp, plan, cpu, generation))
        });
        let outcome = seen.unwrap_or_else(|| bringup::conclude(self.smp, plan, cpu, generation));
        let outcome = self.with_note(cpu.index, outcome);
        platform.event(cpu.index, Event::Done(outcome));
        if outcome == Outcome::Online { Ok(()) } else { Err(outcome) }
    }

    /// Says which step failed on a CPU that got stuck, if it said so.
    pub(super) fn with_note(&self, cpu: CpuIndex, outcome: Outcome) -> Outcome {
        let stuck = matches!(outcome, Outcome::Stuck { .. });
        stuck.then(|| self.take_failure(cpu)).flatten().map_or(outcome, Outcome::Step)
    }

    /// Waits again for the last kick of a CPU that was abandoned, if it is on its way after all.
    fn adopt(&self, plan: &Plan<'_>, cpu: &Cpu) -> Option<Generation> {
        let claim = self.smp.claim_word(cpu.index);
        let is_coming = claim.state() == State::Abandoned
            && matches!(bringup::ask_firmware(plan, cpu), FirmwareState::On | FirmwareState::OnPending);
        is_coming.then(|| claim.reopen().ok()).flatten()
    }

    fn ask(&self, cpu: CpuIndex, order: Order) -> Result<(), HotplugError> {
        let slot = self.smp.hotplug(cpu);
        if slot.ask(order) { Ok(()) } else { Err(HotplugError::StillRunning(self.step_under_way(cpu))) }
    }

    /// Waits until the thread of `cpu` has done what it was asked for.
    fn settle<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, cpu: CpuIndex) -> Result<(), HotplugError> {
        let slot = self.smp.hotplug(cpu);
        let ended = || Some(slot.phase()).filter(|phase| matches!(phase, Phase::Done | Phase::Failed));
        match wait(platform, deadline(plan, platform), ended) {
            Some(Phase::Failed) => Err(self.take_failure(cpu).map_or(HotplugError::NoAnswer, HotplugError::Step)),
            Some(_) => Ok(()),
            None => Err(self.overdue(cpu)),
        }
    }

    /// What keeps `cpu` from doing what it was asked for. An order that was not begun is taken back.
    pub(super) fn overdue(&self, cpu: CpuIndex) -> HotplugError {
        let slot = self.smp.hotplug(cpu);
        if slot.withdraw() { HotplugError::NoAnswer } else { HotplugError::Hung(self.step_under_way(cpu)) }
    }

    /// The step that the thread of `cpu` is at with what it was asked for last.
    fn step_under_way(&self, cpu: CpuIndex) -> &'static str {
        let slot = self.smp.hotplug(cpu);
        let state = slot.state().0;
        self.steps.name_at(match slot.order() {
            Order::Single { position, .. } => position,
            Order::Walk(target) if target.0 < state => state - 1,
            // One that has passed its last step has only to say so.
            Order::Walk(_) => state.min(self.steps.online().0 - 1),
        })
    }

    fn down<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        target: HotplugState,
    ) -> Result<Option<StepFailure>, HotplugError> {
        let from = self.state(cpu.index);
        let prepared = self.steps.prepared();
        if from > prepared {
            self.send_down(plan, platform, cpu, target)?;
            if target > prepared {
                return self.settle(plan, platform, cpu.index).map(|()| None);
            }
        }
        self.end_down(plan, platform, cpu, from, target, deadline(plan, platform))
    }

    /// Asks `cpu`, which is online, to go down to `target`.
    pub(super) fn send_down<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        target: HotplugState,
    ) -> Result<(), HotplugError> {
        if target <= self.steps.prepared() {
            self.may_go(plan, cpu)?;
        }
        self.ask(cpu.index, Order::Walk(target))?;
        platform.wake(cpu.index);
        Ok(())
    }

    /// Waits until `cpu` is off, if it was sent down from a state `from` in which it was online, and undoes what was prepared for
    /// it, down to `target`.
    pub(super) fn end_down<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        from: HotplugState,
        target: HotplugState,
        deadline: Deadline,
    ) -> Result<Option<StepFailure>, HotplugError> {
        let prepared = self.steps.prepared();
        let mut passed_over = None;
        if from > prepared {
            self.wait_for_death(plan, platform, cpu, from, deadline)?;
            passed_over = self.take_failure(cpu.index);
        }
        let Err(failure) = self.walk(cpu.index, target) else { return Ok(passed_over) };
        let error = self.step_error(&failure);
        if failure.undo.is_none() && from > prepared && self.up(plan, platform, cpu, from).is_err() {
            let state = self.steps.name(self.state(cpu.index));
            return Err(HotplugError::NotUndone { failure: self.describe(&failure), state });
        }
        Err(error)
    }

    /// Whether `cpu`, which runs, may be taken down.
    fn may_go(&self, plan: &Plan<'_>, cpu: &Cpu) -> Result<(), HotplugError> {
        if self.smp.masks.online.snapshot().count() == 1 {
            return Err(HotplugError::LastCpu);
        }
        if cpu.index.is_boot() {
            // Nothing was prepared for it to come up with.
            let meaning = "it is the boot CPU";
            return Err(HotplugError::CannotDie(CallError { call: "cpu_can_disable", code: 0, meaning }));
        }
        let method = plan.method(cpu).ok_or(HotplugError::CannotDie(NO_METHOD))?;
        method.cpu_can_disable(cpu).map_err(HotplugError::CannotDie)
    }

    /// Waits until `cpu`, which was asked to go, is off (Linux's `takedown_cpu` and `__cpu_die`).
    fn wait_for_death<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        from: HotplugState,
        deadline: Deadline,
    ) -> Result<(), HotplugError> {
        let slot = self.smp.hotplug(cpu.index);
        let claim = self.smp.claim_word(cpu.index);
        let mut firmware = FirmwareState::Unknown;
        let ended = wait(platform, deadline, || {
            if claim.state() == State::Dead {
                firmware = kill(plan, cpu);
                let is_off = matches!(firmware, FirmwareState::Off | FirmwareState::Unknown);
                return (is_off && claim.confirm_off().is_ok()).then_some(Phase::Done);
            }
            Some(slot.phase()).filter(|phase| matches!(phase, Phase::Failed | Phase::Refused))
        });
        match ended {
            Some(Phase::Failed) => Err(self.take_failure(cpu.index).map_or(HotplugError::NoAnswer, HotplugError::Step)),
            Some(Phase::Refused) => Err(self.bring_back(plan, platform, cpu, from)),
            Some(_) => {
                slot.end();
                slot.set_state(self.steps.prepared());
                Ok(())
            }
            None if claim.state() == State::Online => Err(self.overdue(cpu.index)),
            None => Err(HotplugError::NotOff(firmware)),
        }
    }

    /// A CPU that could not be switched off goes through its ONLINE steps again.
    fn bring_back<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: &Cpu,
        to: HotplugState,
    ) -> HotplugError {
        let code = self.smp.hotplug(cpu.index).refusal();
        let error = plan.method(cpu).map_or(NO_METHOD, |method| method.die_error(code));
        if to > self.steps.ap_online() {
            let back = self.ask(cpu.index, Order::Walk(to)).and_then(|()| {
                platform.wake(cpu.index);
                self.settle(plan, platform, cpu.index)
            });
            match back {
                Ok(()) => {}
                Err(HotplugError::Step(failure)) => {
                    return HotplugError::NotUndone { failure, state: self.steps.name(self.state(cpu.index)) };
                }
                Err(error) => return error,
            }
        }
        HotplugError::DieRefused(error)
    }

    fn step_error(&self, failure: &Failure) -> HotplugError {
        HotplugError::Step(self.describe(failure))
    }

    /// Gives the multi-instance `step` one more instance: starts it on every CPU that has passed the step, and from now on on
    /// each that does (Linux's `cpuhp_state_add_instance`).
    ///
    /// # Errors
    /// [`HotplugError`]. What was started is torn down again.
    pub fn add_instance<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        step: &Step<'_>,
        instance: Instance,
    ) -> Result<(), HotplugError> {
        self.change_instance(plan, platform, step, instance, Direction::Up)
    }

    /// Takes an instance away: tears it down on every CPU that has passed the step (Linux's `cpuhp_state_remove_instance`).
    ///
    /// # Errors
    /// [`HotplugError`]. Where it was torn down it is started again.
    pub fn remove_instance<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        step: &Step<'_>,
        instance: Instance,
    ) -> Result<(), HotplugError> {
        self.change_instance(plan, platform, step, instance, Direction::Down)
    }

    fn change_instance<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        step: &Step<'_>,
        instance: Instance,
        direction: Direction,
    ) -> Result<(), HotplugError> {
        let _request = self.begin(plan, platform)?;
        let position = self.steps.position(step).ok_or(HotplugError::NoSuchInstance)?;
        let Some(instances) = step.instances() else { return Err(HotplugError::NoSuchInstance) };
        if instances.contains(instance) != (direction == Direction::Down) {
            return Err(HotplugError::NoSuchInstance);
        }
        let passed = |cpu: &&Cpu| self.state(cpu.index).0 > position;
        if step.section() == Section::Starting && plan.topology.cpus().iter().any(|cpu| passed(&cpu)) {
            return Err(HotplugError::TooLate(step.name()));
        }
        for cpu in plan.topology.cpus().iter().filter(passed) {
            let change = |cpu, direction| self.change_on(plan, platform, cpu, position, instance, direction);
            if let Err(mut error) = change(cpu.index, direction) {
                let done = plan.topology.cpus()[..cpu.index.get()].iter().rev().filter(passed);
                for cpu in done {
                    // The other CPUs are not left as they are because one cannot be brought back.
                    let undone = change(cpu.index, direction.opposite());
                    if let (HotplugError::Step(failed), Err(HotplugError::Step(undo))) = (&mut error, undone) {
                        failed.undo = failed.undo.or(Some((undo.step, undo.error)));
                    }
                }
                return Err(error);
            }
        }
        match direction {
            Direction::Up => instances.insert(instance),
            Direction::Down => instances.remove(instance),
        }
        Ok(())
    }

    fn change_on<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: CpuIndex,
        position: u16,
        instance: Instance,
        direction: Direction,
    ) -> Result<(), HotplugError> {
        if position < self.steps.prepared().0 {
            return self
                .invoke_instance(cpu, position, instance, direction)
                .map_err(|error| self.step_error(&Failure { position, direction, error, undo: None }));
        }
        self.ask(cpu, Order::Single { position, instance, direction })?;
        platform.wake(cpu);
        self.settle(plan, platform, cpu)
    }
}
