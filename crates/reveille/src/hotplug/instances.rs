//! The instances of a multi-instance step: [`Instances`], and the requests that add and remove one on every CPU.

use super::error::HotplugError;
use super::slot::{Failure, Order};
use super::step::{Direction, Section, Step};
use super::{Hotplug, HotplugPlatform};
use crate::bringup::Plan;
use crate::cpu::CpuIndex;
use crate::sync::{AtomicU32, Ordering};
use crate::topology::Cpu;

/// One of the things that a multi-instance step does to every CPU (one of several timers, say), by a number of the
/// subsystem's choosing below [`Instances::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance(u8);

impl Instance {
    /// The instance `number`; `None` from [`Instances::MAX`] on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Instances::MAX { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Which instances a multi-instance step has now (Linux's `cpuhp_step.list`).
pub struct Instances(AtomicU32);

impl Instances {
    /// How many instances a step can have.
    pub const MAX: u8 = 32;

    crate::sync::const_unless_loom! {
        /// No instance.
        #[must_use]
        pub fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Whether `instance` is there.
    #[must_use]
    pub fn contains(&self, instance: Instance) -> bool {
        self.0.load(Ordering::Acquire) & 1 << instance.0 != 0
    }

    pub(super) fn insert(&self, instance: Instance) {
        self.0.fetch_or(1 << instance.0, Ordering::Release);
    }

    pub(super) fn remove(&self, instance: Instance) {
        self.0.fetch_and(!(1 << instance.0), Ordering::Release);
    }

    /// Those that are there, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Instance> + use<> {
        let bits = self.0.load(Ordering::Acquire);
        (0..Self::MAX).filter(move |number| bits & 1 << number != 0).map(Instance)
    }
}

impl Default for Instances {
    fn default() -> Self {
        Self::new()
    }
}

impl Hotplug<'_> {
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
