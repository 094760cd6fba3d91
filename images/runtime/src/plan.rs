//! Which CPUs the machine has and how they are brought up: found out once on the boot CPU ([`init_cpus`]), known to all parts from
//! then on.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use reveille::topology::{Findings, LeftOut};
use reveille::{Cpu, EnableMethod, HwId, Outcome, Plan, Policy, SmpOptions, Timeout, Topology};
use reveille_trace_format::Record;
use spin::{Mutex, MutexGuard, Once};

use crate::cpus::{self, SMP};
use crate::{console, println};

static TOPOLOGY: Mutex<Topology> = Mutex::new(Topology::new(HwId(0)));
static PLAN: Once<Plan<'static>> = Once::new();

/// What was found out about CPUs.
pub struct Setup {
    /// Why CPUs cannot come up, by their index.
    pub outcomes: Vec<Outcome>,
    /// Whether a CPU was left out because the description of the machine is wrong.
    pub faults: bool,
}

/// The enable methods of this machine, in the order in which the topology counts them.
pub type Methods = Vec<&'static dyn EnableMethod>;

/// What the command line asks of a bring-up.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// `nosmp`, `maxcpus=N`, `nr_cpus=N`.
    pub options: SmpOptions,
    /// `reveille.policy=parallel|serial|K`: how many CPUs may be on their way at once.
    pub policy: Policy,
    /// `reveille.timeout_ms=N`: how long to wait for CPUs, from the last kick.
    pub timeout: Timeout,
}

/// What the last word of `line` says that begins with `name`.
#[must_use]
pub fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)).next_back()
}

impl Wishes {
    /// Reads them from a command line. Words that are none of these, and values that cannot be read, are passed over.
    #[must_use]
    pub fn from_command_line(line: &str) -> Self {
        let policy = match value(line, "reveille.policy=") {
            Some("serial") => Policy::SERIAL,
            Some(count) => count.parse().map_or(Policy::PARALLEL, Policy::at_most),
            None => Policy::PARALLEL,
        };
        let timeout = value(line, "reveille.timeout_ms=").and_then(|milliseconds| milliseconds.parse().ok());
        Self {
            options: SmpOptions::from_command_line(line),
            policy,
            timeout: timeout.map_or(Timeout::DEFAULT, |ms| Timeout::new(Duration::from_millis(ms), Duration::ZERO)),
        }
    }
}

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
        options: &SmpOptions,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String>;
}

/// Reads the CPUs from `source` and enters those with a usable method into the possible mask.
pub fn init_cpus<S: CpuSource>(source: &S, boot_cpu: HwId, wishes: &Wishes, methods: Methods) -> Setup {
    let mut topology = TOPOLOGY.lock();
    let mut faults = false;
    let read = source.parse_and_init_cpus(&mut topology, boot_cpu, &wishes.options, &methods, &mut |left_out| {
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
        options: wishes.options,
        policy: wishes.policy,
        timeout: wishes.timeout,
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
/// Before [`init_cpus`].
#[must_use]
pub fn plan() -> Plan<'static> {
    *PLAN.get().expect("the CPUs are known before they are brought up")
}

/// The enable method of `cpu`.
#[must_use]
pub fn method(cpu: &Cpu) -> Option<&'static dyn EnableMethod> {
    plan().methods.get(usize::from(cpu.method?.0)).copied()
}
