//! What a scenario does to the machine: [`Control`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille::hotplug::{FreezeError, Frozen, Hotplug, HotplugError, HotplugState, Instance, Step, StepFailure};
use reveille::{CpuIndex, EnableMethod, Instant, Outcome, Plan, Policy, Smp, SmpOptions, Summary};
use reveille_trace_format::Phase;

use crate::fault::Fault;
use crate::parked::ParkedFault;
use crate::world::{Job, Power, World};

/// What a boot came to.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The count, or why nothing was done.
    pub summary: Result<Summary, HotplugError>,
    /// What became of each CPU, by its logical number.
    pub outcomes: Vec<Outcome>,
    /// The step that failed on the boot CPU.
    pub boot_cpu: Result<(), StepFailure>,
}

impl Boot {
    /// How many CPUs are online, the boot CPU included.
    #[must_use]
    pub fn online(&self) -> usize {
        self.summary.map_or(1, |summary| summary.online)
    }
}

/// A request that runs beside others ([`Control::together`]).
pub type Request<'m, T> = Box<dyn FnOnce(&Control<'_, 'm>) -> T + Send + 'm>;

/// The control CPU's hands: requests as a kernel makes them, each from the thread that calls, and what only a simulated machine
/// has.
#[derive(Clone, Copy)]
pub struct Control<'w, 'm> {
    pub(crate) world: &'w World<'m>,
    pub(crate) hotplug: Hotplug<'w>,
    pub(crate) steps: &'w [Step<'w>],
    pub(crate) methods: &'w [&'w dyn EnableMethod],
}

/// The CPU with this number, which every machine of this size has.
fn index(cpu: usize) -> CpuIndex {
    CpuIndex::new(cpu).unwrap_or(CpuIndex::BOOT)
}

impl<'w, 'm> Control<'w, 'm> {
    /// Boots as a kernel does: the boot CPU through its steps, then all others that firmware can start.
    pub fn boot(&self) -> Boot {
        let plan = self.plan();
        let mut outcomes = vec![Outcome::NotAsked; self.world.topology.cpus().len()];
        self.smp().masks.boot_cpu_init();
        let boot_cpu = self.hotplug.advance_boot_cpu(self.hotplug.steps().online());
        if boot_cpu.is_ok() {
            self.smp().init_cpus(&plan, &mut outcomes);
            self.span("smp_prepare_cpus", || self.smp().prepare_cpus(&plan, &mut outcomes));
            let summary = self.bring_up(&mut outcomes);
            return Boot { summary, outcomes, boot_cpu };
        }
        Boot { summary: Ok(Summary { asked: 1, online: 1 }), outcomes, boot_cpu }
    }

    /// Brings up the CPUs that are present and not online, all at once.
    ///
    /// # Errors
    /// [`HotplugError`]: nothing was done.
    pub fn bring_up(&self, outcomes: &mut [Outcome]) -> Result<Summary, HotplugError> {
        let summary =
            self.span("bringup_nonboot_cpus", || self.hotplug.bring_up(&self.plan(), self.world, outcomes))?;
        let told = outcomes.iter().copied().enumerate().filter(|&(_, outcome)| outcome != Outcome::NotAsked);
        told.for_each(|(cpu, outcome)| self.world.state().outcomes[cpu] = outcome);
        Ok(summary)
    }

    /// [`Hotplug::cpu_up`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn cpu_up(&self, cpu: usize) -> Result<(), HotplugError> {
        self.hotplug.cpu_up(&self.plan(), self.world, index(cpu))
    }

    /// [`Hotplug::cpu_down`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn cpu_down(&self, cpu: usize) -> Result<Option<StepFailure>, HotplugError> {
        self.hotplug.cpu_down(&self.plan(), self.world, index(cpu))
    }

    /// [`Hotplug::set_state`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn set_state(&self, cpu: usize, state: HotplugState) -> Result<Option<StepFailure>, HotplugError> {
        self.hotplug.set_state(&self.plan(), self.world, index(cpu), state)
    }

    /// [`Hotplug::add_instance`], of the step called `step`.
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn add_instance(&self, step: &str, instance: Instance) -> Result<(), HotplugError> {
        let step = self.steps.iter().find(|other| other.name() == step).ok_or(HotplugError::NoSuchInstance)?;
        self.hotplug.add_instance(&self.plan(), self.world, step, instance)
    }

    /// [`Hotplug::remove_instance`], of the step called `step`.
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn remove_instance(&self, step: &str, instance: Instance) -> Result<(), HotplugError> {
        let step = self.steps.iter().find(|other| other.name() == step).ok_or(HotplugError::NoSuchInstance)?;
        self.hotplug.remove_instance(&self.plan(), self.world, step, instance)
    }

    /// [`Hotplug::disable`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn disable(&self) -> Result<(), HotplugError> {
        self.hotplug.disable(&self.plan(), self.world)
    }

    /// [`Hotplug::enable`].
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn enable(&self) -> Result<(), HotplugError> {
        self.hotplug.enable(&self.plan(), self.world)
    }

    /// [`Hotplug::freeze_secondary_cpus`].
    ///
    /// # Errors
    /// [`FreezeError`].
    pub fn freeze(&self) -> Result<Frozen, FreezeError> {
        self.hotplug.freeze_secondary_cpus(&self.plan(), self.world)
    }

    /// [`Hotplug::thaw_secondary_cpus`]; `told` hears what became of each CPU.
    ///
    /// # Errors
    /// [`HotplugError`].
    pub fn thaw(
        &self,
        frozen: &Frozen,
        told: &mut dyn FnMut(CpuIndex, Result<(), HotplugError>),
    ) -> Result<(), HotplugError> {
        self.hotplug.thaw_secondary_cpus(&self.plan(), self.world, frozen, told)
    }

    /// Runs `requests` beside each other, as threads of a kernel do, and returns when all have ended: what each came to.
    pub fn together<T: Send + 'm>(&self, requests: Vec<Request<'m, T>>) -> Vec<T> {
        let slots: Vec<Arc<Mutex<Option<T>>>> = requests.iter().map(|_| Arc::new(Mutex::new(None))).collect();
        for (request, slot) in requests.into_iter().zip(&slots) {
            let slot = slot.clone();
            let delay = self.world.state().rng.u64(0..=10_000);
            let job = Box::new(move |control: &Control<'_, 'm>| {
                let value = request(control);
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            });
            self.world.spawn(Job::Request(job), None, delay);
        }
        let take = |slot: &Arc<Mutex<Option<T>>>| loop {
            if let Some(value) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                break value;
            }
            self.world.poll();
        };
        slots.iter().map(take).collect()
    }

    /// From now on `fault` is one of the machine's.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.world.state();
        state.faults.push(fault);
        state.injected.push(fault);
    }

    /// From now on `fault` is wrong with the CPU `cpu` where firmware parks it.
    pub fn inject_parked(&self, cpu: usize, fault: ParkedFault) {
        self.world.state().parked_faults.push((cpu, fault));
    }

    /// From now on nothing is wrong with `cpu`. One that was started and is dead is reset.
    pub fn mend(&self, cpu: usize) {
        let mut state = self.world.state();
        state.faults.retain(|fault| fault.cpu != cpu);
        state.parked_faults.retain(|&(other, _)| other != cpu);
        let on_its_way = state.tasks.iter().any(|task| !task.ended && task.cpu == Some(index(cpu)));
        if let Some(processor) = state.processors.get_mut(cpu)
            && processor.power == Power::OnPending
            && !on_its_way
        {
            processor.power = Power::Off;
        }
    }

    /// Lets virtual time pass.
    pub fn sleep(&self, time: Duration) {
        crate::world::pause(time);
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.clock()
    }

    /// By how much a wait may end after its deadline: the longest that a wait looks away.
    #[must_use]
    pub fn slack(&self) -> Duration {
        // One that looks away, and a few calls that are interrupted before it has asked firmware and said so.
        Duration::from_nanos(self.world.longest_poll() + 1_000_000)
    }

    /// The state of `cpu`.
    #[must_use]
    pub fn state(&self, cpu: usize) -> HotplugState {
        self.hotplug.state(index(cpu))
    }

    /// The library's side of it, for whatever else it can do.
    #[must_use]
    pub const fn hotplug(&self) -> Hotplug<'w> {
        self.hotplug
    }

    /// What the CPUs share.
    #[must_use]
    pub fn smp(&self) -> &'w Smp {
        self.world.smp()
    }

    /// The plan by which all of this is done.
    #[must_use]
    pub fn plan(&self) -> Plan<'w> {
        let settings = &self.world.settings;
        let (options, policy, timeout): (SmpOptions, Policy, _) = (settings.options, settings.policy, settings.timeout);
        Plan { topology: self.world.topology, methods: self.methods, options, policy, timeout }
    }

    fn span<T>(&self, name: &'static str, body: impl FnOnce() -> T) -> T {
        self.world.trace(CpuIndex::BOOT, Phase::Begin, name, None);
        let value = body();
        self.world.trace(CpuIndex::BOOT, Phase::End, name, None);
        value
    }
}
