//! The machine that users build and run: [`Machine`].

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reveille::hotplug::{Hotplug, Section, Step, StepTable};
use reveille::{CpuIndex, EnableMethod, MAX_CPUS, Policy, Smp, SmpOptions, Timeout};
use reveille_trace_format::Record;

use crate::control::Control;
use crate::fault::Fault;
use crate::fiber::Fiber;
use crate::parked::{self, Hardware, MakeMethod, ParkedFault};
use crate::processor;
use crate::records;
use crate::steps::{self, Placed};
use crate::topology::{Description, topology};
use crate::world::{Job, Parking, Settings, Shared, World};

/// How a machine is to be.
#[must_use]
pub struct Builder<'m> {
    settings: Settings,
    smp: Option<&'m Smp>,
    steps: Vec<&'m Step<'m>>,
    faults: Vec<Fault>,
    parked: Option<Box<MakeMethod<'m>>>,
    parked_faults: Vec<(usize, ParkedFault)>,
    /// The places in the MADT of CPUs that it gives no mailbox.
    without_version: Vec<usize>,
}

/// A machine that has not run yet.
pub struct Machine<'m>(Builder<'m>);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// What the scenario returned.
    pub value: T,
    /// The virtual time at which nothing happened any more, in nanoseconds.
    pub end: u64,
    /// How many turns the CPUs took.
    pub turns: u64,
    /// What the machine would have told its host, as a kernel does: the CPUs, and everything that happened on them.
    pub records: Vec<Record<String>>,
}

impl<'m> Machine<'m> {
    /// A machine with `cpus` CPUs (1 to [`MAX_CPUS`]), the boot CPU included, that boots as the library does by default.
    pub fn builder(cpus: usize) -> Builder<'m> {
        let settings = Settings {
            seed: 0,
            cpus: cpus.clamp(1, MAX_CPUS),
            bringup: 0,
            options: SmpOptions::ALL,
            policy: Policy::PARALLEL,
            timeout: Timeout::DEFAULT,
            parking: Parking::Off,
            affinity_info: true,
            stopped_from_outside: false,
            power_up: 100_000,
            turns: 10_000_000,
        };
        Builder {
            settings,
            smp: None,
            steps: Vec::new(),
            faults: Vec::new(),
            parked: None,
            parked_faults: Vec::new(),
            without_version: Vec::new(),
        }
    }

    /// Runs `scenario` on the boot CPU, and then on until nothing happens any more.
    ///
    /// # Panics
    /// If something happened that must not, with the seed. After every turn: `active ⊆ online ⊆ present ⊆ possible`, and that
    /// the run ends. At every step: that it runs on the right CPU and alone, that startups and teardowns alternate and are undone
    /// in reverse, and that no CPU uses memory that was taken from it, nor is any taken from one that may use it. At the end:
    /// that claim words, masks and hotplug states agree with each other and with the steps.
    ///
    /// Also if a step or the scenario panics, or if the steps make no table.
    pub fn run<T>(self, scenario: impl FnOnce(&Control<'_, 'm>) -> T) -> Run<T> {
        let Builder { mut settings, smp, steps, faults, parked, parked_faults, without_version } = self.0;
        settings.bringup = steps.iter().filter(|step| step.section() == Section::Prepare).count() as u16;
        let seed = settings.seed;
        let smp = smp.map_or_else(|| Shared::Own(Box::new(Smp::new())), Shared::Given);
        let topology = topology(match parked {
            None => Description::Devicetree(settings.cpus),
            Some(_) => Description::Madt(settings.cpus, without_version),
        });
        settings.cpus = topology.cpus().len();
        let world = World::new(smp, topology, settings, faults);
        world.state().parked_faults.clone_from(&parked_faults);
        let placed = steps::place(&steps);
        let text = match catch_unwind(AssertUnwindSafe(|| run(&world, &placed, parked.as_deref(), scenario))) {
            Ok(Ok(run)) => return run,
            Ok(Err(text)) => text,
            Err(payload) => match payload.downcast::<String>() {
                Ok(text) => *text,
                Err(payload) => {
                    payload.downcast_ref::<&str>().map_or("it panicked".to_owned(), |&text| text.to_owned())
                }
            },
        };
        let parked = parked_faults.iter().map(|(cpu, fault)| format!("CPU {cpu} {fault:?}"));
        let faults: Vec<String> = world.state().injected.iter().map(Fault::to_string).chain(parked).collect();
        let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
        let last = world.last_events();
        panic!(
            "{text}\n  simulated machine: seed {seed}, faults: {faults}\n  .seed({seed}) with the same machine and \
             scenario runs the same again; what happened last:\n{last}"
        );
    }
}

fn run<'m, T>(
    world: &World<'m>,
    placed: &[Placed<'m>],
    parked: Option<&MakeMethod<'m>>,
    scenario: impl FnOnce(&Control<'_, 'm>) -> T,
) -> Result<Run<T>, String> {
    let calls = steps::calls(world, placed);
    let wrapped = steps::wrap(placed, &calls);
    let table = StepTable::collect(&wrapped).map_err(|error| error.to_string())?;
    let hotplug = Hotplug::new(world.smp(), &table);
    let own = parked.map(|make| make(Hardware { world }));
    let methods = [own.as_deref().unwrap_or(world)];
    let control = Control { world, hotplug, steps: &wrapped, methods: &methods };
    let mut value = None;
    {
        let scenario = || value = Some(scenario(&control));
        let mut scenario = Some(Fiber::new(scenario));
        let mut fibers: Vec<Option<Fiber<'_>>> = Vec::new();
        world.spawn(Job::Scenario, None, 0);
        world.spawn(Job::BootThread, Some(CpuIndex::BOOT), 0);
        if own.is_some() {
            world.set_up_mailboxes();
            for cpu in world.topology.cpus().iter().skip(1) {
                world.spawn(Job::Park { cpu: cpu.index }, Some(cpu.index), 0);
            }
        }
        loop {
            let Some((next, job)) = next(world) else { break };
            if fibers.len() <= next {
                fibers.resize_with(next + 1, || None);
            }
            match job {
                Some(Job::Scenario) => fibers[next] = scenario.take(),
                Some(job) => fibers[next] = Some(Fiber::new(move || perform(control, job))),
                None => {}
            }
            let pause = fibers[next].as_mut().and_then(Fiber::resume);
            if pause.is_none() {
                fibers[next] = None;
            }
            world.state().gave_way(pause, world.longest_poll());
            world.check_turn()?;
        }
    }
    world.check_quiet(hotplug, placed)?;
    let value = value.ok_or("the scenario does not end, and nothing else happens")?;
    let records = records::of(&control);
    let state = world.state();
    Ok(Run { value, end: state.now, turns: state.turns, records })
}

fn next<'m>(world: &World<'m>) -> Option<(usize, Option<Job<'m>>)> {
    let mut state = world.state();
    let next = state.next()?;
    let job = state.tasks[next].job.take();
    Some((next, job))
}

fn perform<'m>(control: Control<'_, 'm>, job: Job<'m>) {
    match job {
        Job::Scenario => {}
        Job::Arrive { cpu, context } => {
            let _ = processor::live(control.world, control.hotplug, cpu, context);
        }
        Job::Park { cpu } => parked::live(control.world, control.hotplug, cpu),
        Job::BootThread => processor::boot_thread(control.world, control.hotplug),
        Job::Request(request) => request(&control),
    }
}

impl<'m> Builder<'m> {
    /// The seed of the interleaving: 0 without one.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// One more step.
    pub fn step(mut self, step: &'m Step<'m>) -> Self {
        self.steps.push(step);
        self
    }

    /// More steps, in any order: those of a link-time table, say.
    pub fn steps(mut self, steps: impl IntoIterator<Item = &'m Step<'m>>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// One more thing that is wrong with a CPU.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// More things that are wrong.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// The state of the CPUs, for steps that change masks. It must be new. Without one the machine has its own.
    pub fn smp(mut self, smp: &'m Smp) -> Self {
        self.smp = Some(smp);
        self
    }

    /// How many CPUs may be on their way at once.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// `maxcpus` and `nosmp`.
    pub fn options(mut self, options: SmpOptions) -> Self {
        self.settings.options = options;
        self
    }

    /// How long CPUs are waited for.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// What CPUs do that nobody waits for.
    pub fn parking(mut self, parking: Parking) -> Self {
        self.settings.parking = parking;
        self
    }

    /// Whether firmware can be asked about CPUs; it can if nobody says.
    pub fn affinity_info(mut self, affinity_info: bool) -> Self {
        self.settings.affinity_info = affinity_info;
        self
    }

    /// CPUs cannot switch themselves off: the control CPU does that, as with Broadcom's CFE, which cannot be asked about CPUs either.
    pub fn stopped_from_outside(mut self) -> Self {
        self.settings.stopped_from_outside = true;
        self.affinity_info(false)
    }

    /// CPUs wait where firmware parks them, each at a mailbox of ACPI's parking protocol, and then in a pen. `method` makes the enable
    /// method that brings them up from there. The topology is read from a MADT, with GICs' interfaces that are no logical numbers.
    ///
    /// Of the [faults](Self::fault) those of PSCI have no effect. One that is `dead` acknowledges, and does not arrive.
    pub fn parked(mut self, method: impl for<'w> Fn(Hardware<'w, 'm>) -> Box<dyn EnableMethod + 'w> + 'm) -> Self {
        self.parked = Some(Box::new(method));
        self.settings.parking = Parking::Off;
        self
    }

    /// One more thing that is wrong with the CPU `cpu` where firmware parks it.
    pub fn parked_fault(mut self, cpu: usize, fault: ParkedFault) -> Self {
        self.parked_faults.push((cpu, fault));
        self
    }

    /// The MADT has no version of the parking protocol for the CPU at this place in it, which is left out of the topology; the logical
    /// numbers of those behind it are one less than their places.
    pub fn without_parking_version(mut self, place: usize) -> Self {
        self.without_version.push(place);
        self
    }

    /// How long a CPU takes from its kick to its first instruction, about: 100 µs if nobody says.
    pub fn power_up(mut self, time: Duration) -> Self {
        self.settings.power_up = time.as_nanos() as u64;
        self
    }

    /// After how many turns a run is taken to go on for ever.
    pub fn most_turns(mut self, turns: u64) -> Self {
        self.settings.turns = turns;
        self
    }

    /// The machine.
    #[must_use]
    pub fn build(self) -> Machine<'m> {
        Machine(self)
    }
}

/// Calls `run` with each of `seeds`, on as many threads of the host as it has CPUs.
///
/// # Panics
/// If a run does. No more are begun then.
pub fn each_seed(seeds: Range<u64>, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        next.store(seeds.end, Ordering::Relaxed);
                        std::panic::resume_unwind(payload);
                    }
                }
            });
        }
    });
}
