//! All CPUs at once, through all steps: the boot's bring-up (Linux's `bringup_nonboot_cpus`).

use super::error::{HotplugError, StepFailure};
use super::slot::{Order, Phase};
use super::step::HotplugState;
use super::{Hotplug, HotplugPlatform};
use crate::bringup::{Bringup, Event, Outcome, Plan, Platform, Progress, Summary};
use crate::cpu::CpuIndex;
use crate::mask::CpuMask;
use crate::method::CallError;
use crate::time::Instant;
use crate::topology::Cpu;

/// The system's platform, with the PREPARE steps in what it prepares.
struct Stepping<'a, P> {
    hotplug: Hotplug<'a>,
    platform: &'a P,
}

impl<P: HotplugPlatform> Platform for Stepping<'_, P> {
    fn now(&self) -> Instant {
        self.platform.now()
    }

    fn relax(&self) {
        self.platform.relax();
    }

    /// PREPARE steps, and the order for what comes after them: the CPU's thread needs no other.
    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        let Hotplug { smp, steps } = self.hotplug;
        self.hotplug.walk(cpu.index, steps.prepared()).map_err(|failure| {
            smp.hotplug(cpu.index).note(&failure);
            CallError {
                call: steps.name_at(failure.position),
                code: failure.error.0.into(),
                meaning: "its startup failed",
            }
        })?;
        self.platform.prepare(cpu)?;
        smp.hotplug(cpu.index).ask(Order::Walk(steps.online()));
        Ok(())
    }

    fn event(&self, cpu: CpuIndex, event: Event) {
        let Hotplug { smp, steps } = self.hotplug;
        if let Event::Done(outcome @ (Outcome::Failed(_) | Outcome::TimedOut(_))) = event
            && self.hotplug.state(cpu) == steps.prepared()
            && let HotplugError::NotUpNorUndone { .. } = self.hotplug.undo_prepare(cpu, HotplugState::OFFLINE, outcome)
        {
            // The state that the CPU is in tells where the undoing stopped.
            smp.hotplug(cpu).withdraw();
        }
        self.platform.event(cpu, event);
    }
}

impl Hotplug<'_> {
    /// Brings up the present CPUs that are not online, as [`crate::Smp::bring_up`] does, and through all steps: PREPARE steps
    /// of all before any is kicked, the others on all CPUs at the same time. Returns when each has its outcome, and no later
    /// than three times the plan's timeout after the last kick: all CPUs together are waited for once until they are online,
    /// once for their ONLINE steps, and once until those of which a step has failed are off.
    ///
    /// [`Outcome::Online`] is a CPU that has passed all steps. One of which a step has failed is taken down again.
    ///
    /// # Errors
    /// [`HotplugError::Busy`] and [`HotplugError::Disabled`]: nothing was done.
    pub fn bring_up<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        outcomes: &mut [Outcome],
    ) -> Result<Summary, HotplugError> {
        let _request = self.begin_enabled(plan, platform)?;
        let before = self.smp.masks.online.snapshot();
        let settled = self.smp.settled();
        let mut summary = self.start_all(plan, platform, outcomes);
        let new: CpuMask = self.smp.masks.online.snapshot().iter().filter(|&cpu| !before.contains(cpu)).collect();
        self.wait_for_all(plan, platform, settled, &new);
        for cpu in plan.secondaries() {
            let Some(outcome) = outcomes.get_mut(cpu.index.get()) else { break };
            *outcome = self.with_note(cpu.index, *outcome);
            if new.contains(cpu.index)
                && let Err(failed) = self.settled_outcome(cpu.index)
            {
                *outcome = failed;
                summary.online -= 1;
            }
        }
        self.take_failed_down(plan, platform, outcomes, &new);
        Ok(summary)
    }

    /// Takes those of the CPUs `new` of which a step has failed, and that are where they came online, down again, together. What
    /// keeps one from going is in its state, and a later request says it.
    fn take_failed_down<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, outcomes: &[Outcome], new: &CpuMask) {
        let has_failed = |cpu: &&Cpu| {
            let outcome = outcomes.get(cpu.index.get());
            new.contains(cpu.index) && matches!(outcome, Some(Outcome::Step(StepFailure { undo: None, .. })))
        };
        let sent = |cpu: &&Cpu| self.send_down(plan, platform, cpu, HotplugState::OFFLINE).is_ok();
        let going: CpuMask = plan.secondaries().filter(has_failed).filter(sent).map(|cpu| cpu.index).collect();
        let deadline = plan.timeout.deadline(platform.now(), going.count());
        for cpu in plan.secondaries().filter(|cpu| going.contains(cpu.index)) {
            let _ = self.end_down(plan, platform, cpu, self.steps.ap_online(), HotplugState::OFFLINE, deadline);
        }
    }

    /// Until every CPU is online or given up.
    fn start_all<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, outcomes: &mut [Outcome]) -> Summary {
        let stepping = Stepping { hotplug: *self, platform };
        let mut bringup = Bringup::start(self.smp, plan, &stepping, outcomes);
        loop {
            match bringup.poll() {
                Progress::Done(summary) => return summary,
                Progress::Pending => platform.relax(),
            }
        }
    }

    /// Until the threads of all `cpus` have ended what they were asked for, or the deadline.
    fn wait_for_all<P: HotplugPlatform>(&self, plan: &Plan<'_>, platform: &P, since: u32, cpus: &CpuMask) {
        let count = cpus.count();
        let deadline = plan.timeout.deadline(platform.now(), count);
        // The count is one load, and may hold threads that end what they were asked for long ago: then each is looked at.
        let may_be_done = || self.smp.settled().wrapping_sub(since) as usize >= count;
        let is_done = |cpu| !matches!(self.smp.hotplug(cpu).phase(), Phase::Asked | Phase::Running);
        loop {
            let done = may_be_done() && cpus.iter().all(is_done);
            if done || deadline.is_past(platform.now()) {
                return;
            }
            platform.relax();
        }
    }

    /// Whether `cpu`, which came online, has passed its ONLINE steps.
    fn settled_outcome(&self, cpu: CpuIndex) -> Result<(), Outcome> {
        match self.smp.hotplug(cpu).phase() {
            Phase::Done => Ok(()),
            Phase::Failed => self.take_failure(cpu).map_or(Ok(()), |failure| Err(Outcome::Step(failure))),
            _ => match self.overdue(cpu) {
                HotplugError::Hung(step) => Err(Outcome::Hung(step)),
                _ => Err(Outcome::Hung(self.steps.name(self.steps.ap_online()))),
            },
        }
    }
}
