//! The control CPU's side: one request at a time, each ending by its deadline (Linux's `_cpu_up` and `_cpu_down`).

use super::error::{HotplugError, StepFailure};
use super::slot::{Failure, Order, Phase};
use super::step::HotplugState;
use super::{Hotplug, HotplugPlatform};
use crate::bringup::{Plan, Platform};
use crate::cpu::CpuIndex;
use crate::method::FirmwareState;
use crate::rendezvous::State;
use crate::smp::Smp;
use crate::sync::Ordering;
use crate::time::Deadline;
use crate::topology::Cpu;

/// Whether `cpu`, which touches nothing more, or never will again, is off.
pub(super) fn kill(plan: &Plan<'_>, cpu: &Cpu) -> FirmwareState {
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
pub(super) fn wait<P: Platform, T>(platform: &P, deadline: Deadline, mut look: impl FnMut() -> Option<T>) -> Option<T> {
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

pub(super) fn deadline<P: Platform>(plan: &Plan<'_>, platform: &P) -> Deadline {
    plan.timeout.deadline(platform.now(), 1)
}

impl<'a> Hotplug<'a> {
    /// Brings `cpu` up through all steps, and does not return before it is there or back where it was. With
    /// [`crate::Outcome::TimedOut`] before, a CPU that has come meanwhile or still does is adopted.
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

    pub(super) fn ask(&self, cpu: CpuIndex, order: Order) -> Result<(), HotplugError> {
        let slot = self.smp.hotplug(cpu);
        if slot.ask(order) { Ok(()) } else { Err(HotplugError::StillRunning(self.step_under_way(cpu))) }
    }

    /// Waits until the thread of `cpu` has done what it was asked for.
    pub(super) fn settle<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        cpu: CpuIndex,
    ) -> Result<(), HotplugError> {
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

    pub(super) fn step_error(&self, failure: &Failure) -> HotplugError {
        HotplugError::Step(self.describe(failure))
    }
}
