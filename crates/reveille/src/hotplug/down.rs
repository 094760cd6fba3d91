//! A request's way down: a CPU goes back through its steps, dies and is confirmed dead (Linux's `_cpu_down`).

use super::error::{HotplugError, StepFailure};
use super::request::{deadline, kill, wait};
use super::slot::{Order, Phase};
use super::step::HotplugState;
use super::{Hotplug, HotplugPlatform};
use crate::bringup::{NO_METHOD, Plan};
use crate::method::{CallError, FirmwareState};
use crate::rendezvous::State;
use crate::time::Deadline;
use crate::topology::Cpu;

impl Hotplug<'_> {
    pub(super) fn down<P: HotplugPlatform>(
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
}
