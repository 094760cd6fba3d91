//! What is done to a CPU on its way up and down: [`Step`], and the [`StepTable`] of a system, in order.

use core::fmt;

use super::instances::{Instance, Instances};
use crate::cpu::CpuIndex;

/// When a step runs, and where (Linux's sections of `enum cpuhp_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// On the control CPU, before the CPU runs and after it is off. Its startup may fail.
    Prepare,
    /// On the CPU itself, with interrupts masked, before it is online and after. It must not fail: a CPU whose startup does
    /// not come online, and a teardown's error is reported and passed over.
    Starting,
    /// On the CPU itself, in a thread of its own, while it is online. It may fail.
    Online,
}

/// Why a step failed, as a code of the system's own choosing (Linux's steps return `-errno`). It is kept as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {0}")]
pub struct StepError(pub i32);

/// What a step does to a CPU.
pub type Callback<'a> = &'a (dyn Fn(CpuIndex) -> Result<(), StepError> + Sync);
/// What a multi-instance step does to a CPU for one of its instances.
pub type InstanceCallback<'a> = &'a (dyn Fn(CpuIndex, Instance) -> Result<(), StepError> + Sync);

/// The two directions of a walk through the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Startups, in order.
    Up,
    /// Teardowns, in reverse.
    Down,
}

impl Direction {
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// By the name of what is called.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "startup",
            Self::Down => "teardown",
        })
    }
}

#[derive(Clone, Copy)]
enum Callbacks<'a> {
    Single { startup: Option<Callback<'a>>, teardown: Option<Callback<'a>> },
    Multi { instances: &'a Instances, startup: Option<InstanceCallback<'a>>, teardown: Option<InstanceCallback<'a>> },
}

/// One thing that a subsystem does to every CPU on its way up, and undoes on its way down (Linux's `struct cpuhp_step`).
///
/// ```
/// use reveille::hotplug::{Section, Step, StepError};
/// use reveille::CpuIndex;
///
/// fn start_timer(_cpu: CpuIndex) -> Result<(), StepError> {
///     Ok(())
/// }
///
/// static TIMER: Step<'static> = Step::new(Section::Starting, 20, "timer:starting").startup(&start_timer);
/// ```
#[derive(Clone, Copy)]
pub struct Step<'a> {
    name: &'static str,
    section: Section,
    order: u16,
    /// Behind all others of its section.
    last: bool,
    cant_stop: bool,
    callbacks: Callbacks<'a>,
}

impl<'a> Step<'a> {
    /// A step that does nothing yet. Within its section, steps start in the order of `order`; `name` is for people, in Linux's
    /// form `subsystem:section`.
    #[must_use]
    pub const fn new(section: Section, order: u16, name: &'static str) -> Self {
        Self {
            name,
            section,
            order,
            last: false,
            cant_stop: false,
            callbacks: Callbacks::Single { startup: None, teardown: None },
        }
    }

    const fn library(section: Section, name: &'static str) -> Self {
        Self { last: true, ..Self::new(section, 0, name) }
    }

    /// A step that has instances, which come and go while the system runs ([`super::Hotplug::add_instance`]).
    #[must_use]
    pub const fn multi(section: Section, order: u16, name: &'static str, instances: &'a Instances) -> Self {
        let callbacks = Callbacks::Multi { instances, startup: None, teardown: None };
        Self { name, section, order, last: false, cant_stop: false, callbacks }
    }

    /// The same with this startup.
    ///
    /// # Panics
    /// On a multi-instance step.
    #[must_use]
    pub const fn startup(mut self, callback: Callback<'a>) -> Self {
        match &mut self.callbacks {
            Callbacks::Single { startup, .. } => *startup = Some(callback),
            Callbacks::Multi { .. } => panic!("a multi-instance step starts its instances"),
        }
        self
    }

    /// The same with this teardown.
    ///
    /// # Panics
    /// On a multi-instance step.
    #[must_use]
    pub const fn teardown(mut self, callback: Callback<'a>) -> Self {
        match &mut self.callbacks {
            Callbacks::Single { teardown, .. } => *teardown = Some(callback),
            Callbacks::Multi { .. } => panic!("a multi-instance step tears down its instances"),
        }
        self
    }

    /// The same with these two for each instance.
    ///
    /// # Panics
    /// On a step without instances.
    #[must_use]
    pub const fn each(mut self, up: InstanceCallback<'a>, down: InstanceCallback<'a>) -> Self {
        match &mut self.callbacks {
            Callbacks::Single { .. } => panic!("the step has no instances"),
            Callbacks::Multi { startup, teardown, .. } => (*startup, *teardown) = (Some(up), Some(down)),
        }
        self
    }

    /// The same, but no CPU can be held here (Linux's `cant_stop`).
    #[must_use]
    pub const fn cant_stop(mut self) -> Self {
        self.cant_stop = true;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its section.
    #[must_use]
    pub const fn section(&self) -> Section {
        self.section
    }

    /// Its place among the steps of its section.
    #[must_use]
    pub const fn order(&self) -> u16 {
        self.order
    }

    /// Whether a CPU can be held here.
    #[must_use]
    pub const fn can_stop(&self) -> bool {
        !self.cant_stop
    }

    /// The instances of a multi-instance step.
    #[must_use]
    pub const fn instances(&self) -> Option<&'a Instances> {
        match self.callbacks {
            Callbacks::Single { .. } => None,
            Callbacks::Multi { instances, .. } => Some(instances),
        }
    }

    /// Does to `cpu` what this step does in `direction`; for a multi-instance step, to this instance. For those who wrap steps in
    /// their own, to trace or to test them.
    ///
    /// # Errors
    /// The step's.
    pub fn call(&self, cpu: CpuIndex, instance: Option<Instance>, direction: Direction) -> Result<(), StepError> {
        match (&self.callbacks, instance, direction) {
            (Callbacks::Single { startup: Some(call), .. }, None, Direction::Up)
            | (Callbacks::Single { teardown: Some(call), .. }, None, Direction::Down) => call(cpu),
            (Callbacks::Multi { startup: Some(call), .. }, Some(instance), Direction::Up)
            | (Callbacks::Multi { teardown: Some(call), .. }, Some(instance), Direction::Down) => call(cpu, instance),
            _ => Ok(()),
        }
    }

    fn key(&self) -> (Section, bool, u16) {
        (self.section, self.last, self.order)
    }
}

/// How far a CPU is: how many steps it has passed (Linux's `enum cpuhp_state`). [`StepTable`] says which these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HotplugState(pub u16);

impl HotplugState {
    /// Nothing was done (Linux's `CPUHP_OFFLINE`).
    pub const OFFLINE: Self = Self(0);
}

impl fmt::Display for HotplugState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The library's own two. The orders of users' steps lie between.
static BRINGUP_STEP: Step<'static> = Step::library(Section::Prepare, "cpu:bringup");
static AP_ONLINE_STEP: Step<'static> = Step::library(Section::Starting, "ap:online");
const BRINGUP: &Step<'static> = &BRINGUP_STEP;
const AP_ONLINE: &Step<'static> = &AP_ONLINE_STEP;

/// How many steps a table holds.
pub const MAX_STEPS: usize = 64;

/// The steps of a system, in the order in which a CPU passes them on its way up:
///
/// ```text
/// PREPARE steps ─▶ cpu:bringup ─▶ STARTING steps ─▶ ap:online ─▶ ONLINE steps
/// control CPU      kick, arrive   the new CPU       online mask   its thread
/// ```
///
/// `cpu:bringup` and `ap:online` are the library's own, and count as steps.
#[derive(Clone, Copy)]
pub struct StepTable<'a> {
    steps: [&'a Step<'a>; MAX_STEPS + 2],
    /// How many of each section.
    prepare: u16,
    starting: u16,
    online: u16,
}

/// A table cannot be made of these steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There are more than [`MAX_STEPS`].
    #[error("there are more than {MAX_STEPS} steps")]
    TooMany,
    /// Two steps of a section have the same order.
    #[error("the steps {0} and {1} have the same place")]
    SamePlace(&'static str, &'static str),
}

impl<'a> StepTable<'a> {
    /// A table without steps: a CPU is kicked, and comes online.
    pub const EMPTY: Self = {
        let mut steps = [AP_ONLINE; MAX_STEPS + 2];
        steps[0] = BRINGUP;
        Self { steps, prepare: 0, starting: 0, online: 0 }
    };

    /// The table of these steps, whatever order they come in: those of a link-time table (`linkme`) come in any.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn collect(steps: impl IntoIterator<Item = &'a Step<'a>>) -> Result<Self, TableError> {
        let mut table = Self::EMPTY;
        for step in steps {
            let count = usize::from(table.online().0);
            let place = table.steps[..count].partition_point(|other| other.key() < step.key());
            if let Some(other) = table.steps[..count].get(place).filter(|other| other.key() == step.key()) {
                return Err(TableError::SamePlace(other.name, step.name));
            }
            if count == table.steps.len() {
                return Err(TableError::TooMany);
            }
            table.steps.copy_within(place..count, place + 1);
            table.steps[place] = step;
            *match step.section {
                Section::Prepare => &mut table.prepare,
                Section::Starting => &mut table.starting,
                Section::Online => &mut table.online,
            } += 1;
        }
        Ok(table)
    }

    /// All PREPARE steps are done, and the CPU does not run (the state below Linux's `CPUHP_BRINGUP_CPU`).
    #[must_use]
    pub const fn prepared(&self) -> HotplugState {
        HotplugState(self.prepare)
    }

    /// The CPU runs (Linux's `CPUHP_BRINGUP_CPU`).
    pub(super) const fn running(&self) -> HotplugState {
        HotplugState(self.prepare + 1)
    }

    /// All STARTING steps are done.
    pub(super) const fn started(&self) -> HotplugState {
        HotplugState(self.prepare + 1 + self.starting)
    }

    /// The CPU is in the online mask, and has done no ONLINE step (Linux's `CPUHP_AP_ONLINE_IDLE`).
    #[must_use]
    pub const fn ap_online(&self) -> HotplugState {
        HotplugState(self.prepare + self.starting + 2)
    }

    /// All steps are done (Linux's `CPUHP_ONLINE`).
    #[must_use]
    pub const fn online(&self) -> HotplugState {
        HotplugState(self.prepare + self.starting + 2 + self.online)
    }

    /// The step that leads from the state `position` to the next.
    pub(super) fn step(&self, position: u16) -> &'a Step<'a> {
        self.steps[usize::from(position)]
    }

    /// The step that a CPU has passed last when it is in `state` (Linux's `cpuhp_get_step`); `offline` for none.
    #[must_use]
    pub fn name(&self, state: HotplugState) -> &'static str {
        match state.0.checked_sub(1) {
            None => "offline",
            Some(position) => self.name_at(position),
        }
    }

    /// The name of the step that leads from the state `position` to the next.
    pub(super) fn name_at(&self, position: u16) -> &'static str {
        self.step(position).name
    }

    /// The place of `step`, which is this very one (not one that is equal to it).
    pub(super) fn position(&self, step: &Step<'_>) -> Option<u16> {
        (0..self.online().0).find(|&position| core::ptr::addr_eq(self.step(position), step))
    }

    /// Whether a CPU may be held in `state`: not where it runs and is not online yet, nor at a step that says so.
    #[must_use]
    pub fn can_hold(&self, state: HotplugState) -> bool {
        let between = state > self.prepared() && state < self.ap_online();
        let can_stop = |position| !self.step(position).cant_stop;
        state <= self.online() && !between && state.0.checked_sub(1).is_none_or(can_stop)
    }

    /// Every state above [`HotplugState::OFFLINE`], the section of the step that leads there (`None` for the library's own
    /// two), and its name.
    pub fn states(&self) -> impl Iterator<Item = (HotplugState, Option<Section>, &'static str)> + '_ {
        (0..self.online().0).map(|position| {
            let step = self.step(position);
            let own = core::ptr::addr_eq(step, BRINGUP) || core::ptr::addr_eq(step, AP_ONLINE);
            (HotplugState(position + 1), (!own).then_some(step.section), step.name)
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    static STEPS: [Step<'static>; 4] = [
        Step::new(Section::Online, 5, "active"),
        Step::new(Section::Prepare, 9, "threads"),
        Step::new(Section::Starting, 0, "timer"),
        Step::new(Section::Prepare, 2, "memory").cant_stop(),
    ];

    fn names(table: &StepTable<'_>) -> Vec<&'static str> {
        table.states().map(|(.., name)| name).collect()
    }

    #[test]
    fn steps_stand_in_the_order_of_their_sections_whatever_order_they_come_in() {
        let table = StepTable::collect(&STEPS).unwrap();
        assert_eq!(names(&table), ["memory", "threads", "cpu:bringup", "timer", "ap:online", "active"]);
        assert_eq!([table.prepared(), table.ap_online(), table.online()].map(|state| state.0), [2, 5, 6]);
        let reversed = StepTable::collect(STEPS.iter().rev()).unwrap();
        assert_eq!(names(&reversed), names(&table));
    }

    #[test]
    fn a_table_without_steps_has_the_librarys_two() {
        assert_eq!(names(&StepTable::EMPTY), ["cpu:bringup", "ap:online"]);
    }

    #[test]
    fn a_cpu_is_held_before_it_runs_or_when_it_is_online() {
        let table = StepTable::collect(&STEPS).unwrap();
        let held: Vec<_> = (0..9).filter(|&state| table.can_hold(HotplugState(state))).collect();
        assert_eq!(held, [0, 2, 5, 6]);
    }

    #[test]
    fn two_steps_with_one_place_and_too_many_are_refused() {
        let twice = [Step::new(Section::Online, 1, "one"), Step::new(Section::Online, 1, "other")];
        assert_eq!(StepTable::collect(&twice).err(), Some(TableError::SamePlace("one", "other")));
        let many: Vec<_> = (0..65).map(|order| Step::new(Section::Online, order, "step")).collect();
        assert!(StepTable::collect(&many[..64]).is_ok());
        assert_eq!(StepTable::collect(&many).err(), Some(TableError::TooMany));
    }

    #[test]
    fn the_name_of_a_state_is_that_of_the_step_passed_last() {
        let table = StepTable::collect(&STEPS).unwrap();
        assert_eq!(table.name(HotplugState::OFFLINE), "offline");
        assert_eq!(table.name(table.ap_online()), "ap:online");
        assert_eq!(table.name(table.online()), "active");
    }
}
