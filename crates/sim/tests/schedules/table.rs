//! Tables of steps, of every shape that matters: [`Table`].

use fastrand::Rng;
use reveille::hotplug::{HotplugState, Instance, Instances, Section, Step};
use reveille::{CpuIndex, Smp};
use reveille_sim::{Control, StepName};

const PREPARE: [&str; 3] = ["memory:prepare", "threads:prepare", "trace:prepare"];
const STARTING: [&str; 3] = ["irq:starting", "timer:starting", "clock:starting"];
const ONLINE: [&str; 3] = ["worker:online", "watchdog:online", "cache:online"];
const ACTIVE: &str = "sched:active";

/// How many steps each section has, and which are special.
#[derive(Clone, Debug)]
pub struct Table {
    pub steps: Vec<Planned>,
}

/// A step to be.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub section: Section,
    pub order: u16,
    pub name: &'static str,
    pub multi: bool,
    /// How many instances it has from the beginning, if it can have any.
    pub instances: u8,
    pub cant_stop: bool,
}

impl Table {
    pub fn random(rng: &mut Rng) -> Self {
        let mut steps = Vec::new();
        let sections = [(Section::Prepare, PREPARE), (Section::Starting, STARTING), (Section::Online, ONLINE)];
        for (section, names) in sections {
            let count = rng.usize(0..=names.len());
            for (order, name) in names.into_iter().enumerate().take(count) {
                let (multi, cant_stop) = (rng.u8(..4) == 0, rng.u8(..4) == 0);
                let instances = if multi { rng.u8(0..3) } else { 0 };
                steps.push(Planned { section, order: order as u16, name, multi, instances, cant_stop });
            }
        }
        let online = Section::Online;
        steps.push(Planned { section: online, order: 9, name: ACTIVE, multi: false, instances: 0, cant_stop: false });
        Self { steps }
    }

    pub fn of(&self, section: Section) -> impl Iterator<Item = &Planned> {
        self.steps.iter().filter(move |step| step.section == section)
    }

    /// The state after all steps.
    pub fn online(&self) -> HotplugState {
        HotplugState(self.steps.len() as u16 + 2)
    }

    pub fn prepared(&self) -> HotplugState {
        HotplugState(self.of(Section::Prepare).count() as u16)
    }

    /// Gives the multi-instance steps the instances that they have from the beginning.
    pub fn add_instances(&self, control: &Control<'_, '_>) {
        for step in self.multi() {
            for number in 0..step.instances {
                assert_eq!(control.add_instance(step.name, instance(number)), Ok(()));
            }
        }
    }

    pub fn multi(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().filter(|step| step.multi)
    }

    /// Calls `run` with the steps themselves, of which one enters CPUs into the active mask of `smp`.
    pub fn with<T>(&self, smp: &Smp, run: impl FnOnce(&[Step<'_>]) -> T) -> T {
        let sets: Vec<Instances> = self.steps.iter().map(|_| Instances::new()).collect();
        let activate = |cpu: CpuIndex| {
            smp.masks.active.insert(cpu);
            Ok(())
        };
        let deactivate = |cpu: CpuIndex| {
            smp.masks.active.remove(cpu);
            Ok(())
        };
        let make = |(planned, set)| {
            let Planned { section, order, name, multi, cant_stop, .. } = planned;
            let step = match (multi, name) {
                (true, _) => Step::multi(section, order, name, set).each(&|_, _| Ok(()), &|_, _| Ok(())),
                (_, ACTIVE) => Step::new(section, order, name).startup(&activate).teardown(&deactivate),
                _ => Step::new(section, order, name),
            };
            if cant_stop { step.cant_stop() } else { step }
        };
        let steps: Vec<Step<'_>> = self.steps.iter().copied().zip(&sets).map(make).collect();
        run(&steps)
    }
}

pub fn step_name(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

pub fn instance(number: u8) -> Instance {
    Instance::new(number).unwrap()
}
