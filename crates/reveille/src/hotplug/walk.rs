//! Walking through the steps, and back where one fails (Linux's `cpuhp_up_callbacks` and `cpuhp_down_callbacks`).

use super::Hotplug;
use super::instances::Instance;
use super::slot::Failure;
use super::step::{Direction, HotplugState, StepError};
use crate::cpu::CpuIndex;

/// What one step's callback came to: its error, and that of undoing the instances before.
type Invoked = Result<(), (StepError, Option<StepError>)>;

impl Hotplug<'_> {
    /// Calls what the step at `position` has for this direction (Linux's `cpuhp_invoke_callback`).
    pub(super) fn invoke(&self, cpu: CpuIndex, position: u16, direction: Direction) -> Invoked {
        let step = self.steps.step(position);
        match step.instances() {
            None => step.call(cpu, None, direction).map_err(|error| (error, None)),
            Some(instances) => {
                for instance in instances.iter() {
                    let Err(error) = self.invoke_instance(cpu, position, instance, direction) else { continue };
                    let undone = instances
                        .iter()
                        .filter(|&other| other < instance)
                        .rev()
                        .try_for_each(|other| self.invoke_instance(cpu, position, other, direction.opposite()));
                    return Err((error, undone.err()));
                }
                Ok(())
            }
        }
    }

    /// Calls what a multi-instance step has for one instance.
    pub(super) fn invoke_instance(
        &self,
        cpu: CpuIndex,
        position: u16,
        instance: Instance,
        direction: Direction,
    ) -> Result<(), StepError> {
        self.steps.step(position).call(cpu, Some(instance), direction)
    }

    /// Takes `cpu` from the state that it is in to `to`, on the CPU where these steps run. If a step fails, those that were
    /// done are undone, in reverse; if that fails too, the CPU stays where it is.
    pub(super) fn walk(&self, cpu: CpuIndex, to: HotplugState) -> Result<(), Failure> {
        let slot = self.smp.hotplug(cpu);
        let from = slot.state();
        let direction = if to > from { Direction::Up } else { Direction::Down };
        while slot.state() != to {
            let Err((position, error, undo)) = self.advance(cpu, direction) else { continue };
            if let Some(undo) = undo {
                return Err(Failure { position, direction, error, undo: Some((position, undo)) });
            }
            while slot.state() != from {
                if let Err((undone, error_of_undo, _)) = self.advance(cpu, direction.opposite()) {
                    return Err(Failure { position, direction, error, undo: Some((undone, error_of_undo)) });
                }
            }
            return Err(Failure { position, direction, error, undo: None });
        }
        Ok(())
    }

    /// Takes `cpu` one step on.
    fn advance(&self, cpu: CpuIndex, direction: Direction) -> Result<(), (u16, StepError, Option<StepError>)> {
        let slot = self.smp.hotplug(cpu);
        let state = slot.state().0;
        let (position, next) = match direction {
            Direction::Up => (state, state + 1),
            Direction::Down => (state - 1, state - 1),
        };
        self.invoke(cpu, position, direction).map_err(|(error, undo)| (position, error, undo))?;
        slot.set_state(HotplugState(next));
        Ok(())
    }

    /// Takes `cpu` down to `to`, whatever its steps and their instances say; the first failure.
    pub(super) fn walk_down_regardless(&self, cpu: CpuIndex, to: HotplugState) -> Result<(), Failure> {
        let slot = self.smp.hotplug(cpu);
        let mut first = Ok(());
        while slot.state() > to {
            let position = slot.state().0 - 1;
            let step = self.steps.step(position);
            let mut note = |result: Result<(), StepError>| {
                let failure = |error| Failure { position, direction: Direction::Down, error, undo: None };
                first = first.and(result.map_err(failure));
            };
            match step.instances() {
                None => note(step.call(cpu, None, Direction::Down)),
                Some(instances) => {
                    instances.iter().for_each(|instance| note(step.call(cpu, Some(instance), Direction::Down)));
                }
            }
            slot.set_state(HotplugState(position));
        }
        first
    }
}
