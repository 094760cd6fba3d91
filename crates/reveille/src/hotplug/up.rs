//! A request's way up: a CPU is prepared, kicked, waited for, and goes through its steps (Linux's `_cpu_up`).

use super::error::HotplugError;
use super::request::{deadline, wait};
use super::slot::Order;
use super::step::HotplugState;
use super::{Hotplug, HotplugPlatform};
use crate::bringup::{self, Event, Outcome, Plan};
use crate::cpu::CpuIndex;
use crate::method::FirmwareState;
use crate::rendezvous::{Generation, State};
use crate::topology::Cpu;

impl Hotplug<'_> {
    pub(super) fn up<P: HotplugPlatform>(
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
}
