//! A machine of fake CPUs on a virtual clock: each does what its [`Behaviour`] says when its time has come.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::rendezvous::{Lost, State};
use reveille::topology::FdtOptions;
use reveille::{
    Arrival, CallError, ContextId, Cpu, CpuIndex, EnableMethod, Event, FirmwareState, HwId, Instant, MAX_CPUS, Outcome,
    Plan, Platform, Policy, Smp, SmpOptions, Stage, Summary, Timeout, Topology,
};

/// What a call of the enable method takes on the virtual clock.
pub const KICK: u64 = 3;
pub const BASE: u64 = 1_000;
pub const PER_CPU: u64 = 10;

/// What a CPU does when it is kicked. Delays count from the start of the call; those that are no longer than [`KICK`] pass
/// before the call returns.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// What the enable method's steps answer.
    pub init: Result<(), i64>,
    pub prepare: Result<(), i64>,
    pub boot: Result<(), i64>,
    /// Whether the platform can make ready what it needs.
    pub room: Result<(), i64>,
    /// When it claims, and reports stage 1 and then its own.
    pub arrives: Option<u64>,
    pub stage: u16,
    /// When it says that it is online.
    pub online: Option<u64>,
    pub firmware: FirmwareState,
}

pub const HEALTHY: Behaviour = Behaviour {
    init: Ok(()),
    prepare: Ok(()),
    boot: Ok(()),
    room: Ok(()),
    arrives: Some(20),
    stage: 5,
    online: Some(40),
    firmware: FirmwareState::On,
};

pub const DEAD: Behaviour = Behaviour { arrives: None, online: None, firmware: FirmwareState::OnPending, ..HEALTHY };

pub const fn refusing(code: i64) -> Behaviour {
    Behaviour { boot: Err(code), ..DEAD }
}

/// Arrives and never comes online.
pub const fn stuck(stage: u16) -> Behaviour {
    Behaviour { stage, online: None, ..HEALTHY }
}

/// Arrives only at `delay`.
pub const fn arriving(delay: u64) -> Behaviour {
    Behaviour { arrives: Some(delay), online: Some(delay + 1), ..HEALTHY }
}

pub const fn error(call: &'static str, code: i64) -> CallError {
    CallError { call, code, meaning: "as the fake says" }
}

#[derive(Clone, Copy)]
enum Step {
    Arrive(ContextId),
    Online(ContextId),
}

struct Inner<'a> {
    now: u64,
    behaviours: Vec<Behaviour>,
    steps: Vec<(u64, Step)>,
    arrivals: Vec<(ContextId, Arrival<'a>)>,
    events: Vec<(u64, CpuIndex, Event)>,
    lost: Vec<(CpuIndex, State)>,
    prepared: Vec<usize>,
    contexts: Vec<ContextId>,
}

/// The machine, and the [`Platform`] and [`EnableMethod`] of its CPUs.
pub struct Machine<'a> {
    pub smp: &'a Smp,
    pub topology: Box<Topology>,
    inner: Mutex<Inner<'a>>,
}

impl<'a> Machine<'a> {
    /// A machine with these CPUs besides the one that boots.
    pub fn new(smp: &'a Smp, secondaries: &[Behaviour]) -> Self {
        smp.masks.boot_cpu_init();
        let behaviours: Vec<_> = [HEALTHY].iter().chain(secondaries).copied().collect();
        let topology = topology(behaviours.len());
        let inner = Inner {
            now: 7,
            behaviours,
            steps: Vec::new(),
            arrivals: Vec::new(),
            events: Vec::new(),
            lost: Vec::new(),
            prepared: Vec::new(),
            contexts: Vec::new(),
        };
        Self { smp, topology, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap()
    }

    fn behaviour(&self, cpu: &Cpu) -> Behaviour {
        self.inner().behaviours[cpu.index.get()]
    }

    /// What the CPU does from the next kick on.
    pub fn mend(&self, cpu: usize, behaviour: Behaviour) {
        self.inner().behaviours[cpu] = behaviour;
    }

    /// Moves the clock on by `nanos`, and lets the CPUs do what falls into that time.
    pub fn advance(&self, nanos: u64) {
        let mut inner = self.inner();
        for _ in 0..nanos {
            inner.now += 1;
            inner.run_due(self.smp);
        }
    }

    /// Lets every CPU do what it still has to do.
    pub fn settle(&self) {
        let last = self.inner().steps.iter().map(|&(time, _)| time).max();
        self.advance(last.map_or(0, |last| last.saturating_sub(self.clock())));
    }

    pub fn clock(&self) -> u64 {
        self.inner().now
    }

    /// Time, CPU, and what happened.
    pub fn events(&self) -> Vec<(u64, usize, Event)> {
        self.inner().events.iter().map(|&(time, cpu, event)| (time, cpu.get(), event)).collect()
    }

    /// The CPUs that lost a race, and the state in which they found their word.
    pub fn lost(&self) -> Vec<(usize, State)> {
        self.inner().lost.iter().map(|&(cpu, state)| (cpu.get(), state)).collect()
    }

    /// The CPUs for which the platform was asked for memory, in order.
    pub fn prepared(&self) -> Vec<usize> {
        self.inner().prepared.clone()
    }

    /// What the enable method was given, in order.
    pub fn contexts(&self) -> Vec<ContextId> {
        self.inner().contexts.clone()
    }

    /// The masks possible, present, online and active as Linux prints them.
    pub fn masks(&self) -> [String; 4] {
        let masks = &self.smp.masks;
        [&masks.possible, &masks.present, &masks.online, &masks.active].map(|mask| mask.snapshot().to_string())
    }

    pub fn unasked(&self) -> Vec<Outcome> {
        vec![Outcome::NotAsked; self.topology.cpus().len()]
    }

    /// Init, prepare and bring-up with this policy.
    pub fn boot(&self, policy: Policy) -> (Summary, Vec<Outcome>) {
        self.boot_with(policy, SmpOptions::ALL)
    }

    pub fn boot_with(&self, policy: Policy, options: SmpOptions) -> (Summary, Vec<Outcome>) {
        let mut outcomes = self.unasked();
        let methods: [&dyn EnableMethod; 1] = [self];
        let plan = Plan { policy, options, ..self.plan(&methods) };
        self.smp.init_cpus(&plan, &mut outcomes);
        self.smp.prepare_cpus(&plan, &mut outcomes);
        let summary = self.smp.bring_up(&plan, self, &mut outcomes);
        (summary, outcomes)
    }

    /// All CPUs, in parallel.
    pub fn plan<'p>(&'p self, methods: &'p [&'p dyn EnableMethod]) -> Plan<'p> {
        Plan {
            topology: &self.topology,
            methods,
            options: SmpOptions::ALL,
            policy: Policy::PARALLEL,
            timeout: Timeout::new(Duration::from_nanos(BASE), Duration::from_nanos(PER_CPU)),
        }
    }
}

impl<'a> Inner<'a> {
    fn run_due(&mut self, smp: &'a Smp) {
        while let Some(position) = self.steps.iter().position(|&(time, _)| time <= self.now) {
            match self.steps.remove(position).1 {
                Step::Arrive(context) => self.arrive(smp, context),
                Step::Online(context) => self.come_online(context),
            }
        }
    }

    fn arrive(&mut self, smp: &'a Smp, context: ContextId) {
        match smp.claim(context) {
            Ok(arrival) => {
                arrival.stage(Stage(1));
                arrival.stage(Stage(self.behaviours[context.cpu().get()].stage));
                self.arrivals.push((context, arrival));
            }
            Err(Lost(state)) => self.lost.push((context.cpu(), state)),
        }
    }

    /// Does nothing for a CPU that has parked.
    fn come_online(&mut self, context: ContextId) {
        let Some(position) = self.arrivals.iter().position(|&(other, _)| other == context) else {
            return;
        };
        if let Err(Lost(state)) = self.arrivals.remove(position).1.online() {
            self.lost.push((context.cpu(), state));
        }
    }
}

impl Platform for Machine<'_> {
    fn now(&self) -> Instant {
        Instant(self.clock())
    }

    fn relax(&self) {
        self.advance(1);
    }

    fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.inner().prepared.push(cpu.index.get());
        self.behaviour(cpu).room.map_err(|code| error("stack", code))
    }

    fn event(&self, cpu: CpuIndex, event: Event) {
        let mut inner = self.inner();
        let now = inner.now;
        inner.events.push((now, cpu, event));
    }
}

impl EnableMethod for Machine<'_> {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn cpu_init(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.behaviour(cpu).init.map_err(|code| error("init", code))
    }

    fn cpu_prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.behaviour(cpu).prepare.map_err(|code| error("prepare", code))
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let behaviour = self.behaviour(cpu);
        let mut inner = self.inner();
        let now = inner.now;
        inner.contexts.push(context);
        inner.steps.extend(behaviour.arrives.map(|delay| (now + delay, Step::Arrive(context))));
        inner.steps.extend(behaviour.online.map(|delay| (now + delay, Step::Online(context))));
        inner.steps.sort_by_key(|&(time, _)| time);
        drop(inner);
        self.advance(KICK);
        behaviour.boot.map_err(|code| error("boot", code))
    }

    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        self.behaviour(cpu).firmware
    }
}

/// `count` CPUs, all with the first method.
pub fn topology(count: usize) -> Box<Topology> {
    let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value.to_vec()).unwrap();
    let mut cpus = DeviceTreeNode::new("cpus").unwrap();
    for id in 0..count as u32 {
        let mut cpu = DeviceTreeNode::new(format!("cpu@{id:x}")).unwrap();
        cpu.add_property(property("reg", &id.to_be_bytes()));
        cpu.add_property(property("enable-method", b"fake\0"));
        cpus.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(cpus);
    let blob = tree.to_dtb();
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: u64::MAX, methods: &["fake"], nr_cpus: MAX_CPUS };
    let mut topology = Box::new(Topology::new(HwId(0)));
    let findings = topology.read_fdt(&Fdt::new(&blob).unwrap(), &options, &mut |_| ()).unwrap();
    assert_eq!(findings.left_out, 0);
    topology
}
