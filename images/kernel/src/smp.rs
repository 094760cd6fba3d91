//! Which CPUs there are, what they own, how they are brought up (Linux's `arch/arm64/kernel/smp.c` and `kernel/cpu.c`).
//!
//! Linux brings CPUs up one after the other. Here all are kicked before any is waited for, so `cpu_up` of a CPU ends with its
//! kick and the wait is that of all: docs/paths/linux-psci.md says what else differs for that reason.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use reveille::topology::{Findings, LeftOut};
use reveille::{
    CallError, Cpu, CpuIndex, EnableMethod, Event, HwId, Instant, Outcome, Plan, Platform, Summary, Topology,
};
use reveille_runtime::arch::interrupts;
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::{clock, console, println, trace};
use reveille_trace_format::Record;
use spin::{Mutex, MutexGuard, Once};

use crate::arch::spans;
use crate::hotplug::hotplug;
use crate::names::name;
use crate::options::Options;

static TOPOLOGY: Mutex<Topology> = Mutex::new(Topology::new(HwId(0)));
static PLAN: Once<Plan<'static>> = Once::new();

/// What `setup_arch` has found about CPUs.
pub struct Setup {
    /// Why CPUs cannot come up, by their index.
    pub outcomes: Vec<Outcome>,
    /// Whether a CPU was left out because the description of the machine is wrong.
    pub faults: bool,
}

/// The enable methods of this machine, in the order in which the topology counts them.
pub type Methods = Vec<&'static dyn EnableMethod>;

/// What describes the CPUs of the machine.
pub trait CpuSource {
    /// What people call it.
    const NAME: &'static str;

    /// Reads the CPUs that `methods` start into `topology`, calling `left_out` for every other (Linux's `cpu_read_ops` for each).
    ///
    /// # Errors
    /// Why none but the boot CPU could be read.
    fn parse_and_init_cpus(
        &self,
        topology: &mut Topology,
        boot_cpu: HwId,
        options: &Options,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String>;
}

/// Reads the CPUs from `source` and enters those with a usable method into the possible mask.
pub fn smp_init_cpus<S: CpuSource>(source: &S, boot_cpu: HwId, options: &Options, methods: Methods) -> Setup {
    let _span = trace::span(spans::INIT_CPUS);
    let mut topology = TOPOLOGY.lock();
    let mut faults = false;
    let read = source.parse_and_init_cpus(&mut topology, boot_cpu, options, &methods, &mut |left_out| {
        faults |= left_out.reason.is_fault();
        report_left_out(&left_out);
    });
    match read {
        Ok(findings) if !findings.boot_cpu_found => {
            faults = true;
            println!("The {} does not name the boot CPU {boot_cpu}: no other CPU will be started", S::NAME);
        }
        Ok(_) => {}
        Err(error) => {
            faults = true;
            println!("{error}: no other CPU will be started");
        }
    }
    let topology: &'static Topology = MutexGuard::leak(topology);
    cpus::set_topology(topology);
    let plan = PLAN.call_once(|| Plan {
        topology,
        methods: Vec::leak(methods),
        options: options.smp,
        policy: options.policy,
        timeout: options.timeout,
    });
    let mut setup = Setup { outcomes: vec![Outcome::NotAsked; topology.cpus().len()], faults };
    SMP.init_cpus(plan, &mut setup.outcomes);
    setup
}

/// Says, to people and the host, that a CPU was left out.
fn report_left_out(left_out: &LeftOut<'_>) {
    // Node names are 31 characters in a tree that keeps to the specification.
    let node: String = left_out.node.chars().take(64).collect();
    let reason = left_out.reason.to_string();
    println!("{node} is left out: {reason}");
    console::tell_host(&Record::LeftOut {
        node: &node,
        hw_id: left_out.hw_id.map(|hw_id| hw_id.0),
        reason: &reason,
        fault: left_out.reason.is_fault(),
    });
}

/// Which CPUs there are, and how they are brought up.
///
/// # Panics
/// Before [`smp_init_cpus`].
pub fn plan() -> Plan<'static> {
    *PLAN.get().expect("the CPUs are known before they are brought up")
}

/// The enable method of `cpu`.
pub fn method(cpu: &Cpu) -> Option<&'static dyn EnableMethod> {
    plan().methods.get(usize::from(cpu.method?.0)).copied()
}

/// What the bring-up came to.
pub struct BroughtUp {
    /// How many CPUs were asked for, and how many of them are online.
    pub summary: Summary,
    /// What became of each CPU, by its index.
    pub outcomes: Vec<Outcome>,
}

/// Enters every CPU that can be started into the present mask.
pub fn smp_prepare_cpus(setup: &mut Setup) {
    let _span = trace::span(name::smp_prepare_cpus);
    SMP.prepare_cpus(&plan(), &mut setup.outcomes);
}

/// Brings the present CPUs up, through all steps. Prints nothing between the first kick and the last arrival.
pub fn smp_init(mut outcomes: Vec<Outcome>) -> BroughtUp {
    let _span = trace::span(name::smp_init);
    let plan = plan();
    let present = SMP.masks.present.snapshot().count();
    println!("Bringing up secondary CPUs: {present} present, {}", plan.policy);
    let summary = {
        let _span = trace::span(name::bringup_nonboot_cpus);
        // There is nothing else to do yet while it waits.
        hotplug().bring_up(&plan, &Control::new(interrupts::relax), &mut outcomes)
    };
    let summary = summary.unwrap_or_else(|reason| panic!("the first request for CPUs: {reason}"));
    smp_cpus_done(&summary);
    BroughtUp { summary, outcomes }
}

fn smp_cpus_done(summary: &Summary) {
    let _span = trace::span(name::smp_cpus_done);
    println!("Brought up {} of {} CPUs", summary.online, summary.asked);
}

/// The control CPU's side of a request.
pub struct Control {
    /// What is done in every turn of a wait.
    relax: fn(),
    /// When its turn came, in nanoseconds.
    pub began: Cell<u64>,
}

impl Control {
    /// One that does `relax` while it waits.
    pub const fn new(relax: fn()) -> Self {
        Self { relax, began: Cell::new(0) }
    }
}

impl Platform for Control {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn relax(&self) {
        (self.relax)();
    }

    /// All that a CPU needs is made by steps.
    fn prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn event(&self, cpu: CpuIndex, event: Event) {
        let target = cpu.get() as u32;
        let now = reveille_runtime::arch::timer::ticks();
        match event {
            Event::Kick => {
                for span in spans::kick(cpu) {
                    trace::record_at(now, reveille::trace::Kind::Begin, span, target);
                }
                trace::record_at(now, reveille::trace::Kind::Instant, name::kick, target);
            }
            Event::Kicked => {
                for span in spans::kick(cpu).into_iter().rev() {
                    trace::record_at(now, reveille::trace::Kind::End, span, 0);
                }
            }
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
    }
}

/// The end of a CPU that nobody waits for: what it owns stays its own.
pub fn park() -> ! {
    interrupts::sleep_for_ever()
}
