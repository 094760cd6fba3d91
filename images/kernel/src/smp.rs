//! Which CPUs there are, what they own, how they are brought up (Linux's `arch/arm64/kernel/smp.c` and `kernel/cpu.c`).
//!
//! Linux brings CPUs up one after the other. Here all are kicked before any is waited for, so `cpu_up` of a CPU ends with its
//! kick and the wait is that of all: docs/paths/linux-psci.md says what else differs for that reason.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

use dtoolkit::fdt::Fdt;
use reveille::topology::{FdtOptions, Findings, LeftOut};
use reveille::{
    CallError, Cpu, CpuIndex, EnableMethod, Event, HwId, Instant, Outcome, Plan, Platform, Summary, Topology,
};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::boot_table::Start;
use reveille_runtime::arch::interrupts;
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::{clock, console, per_cpu, println, thread, trace};
use reveille_trace_format::Record;
use spin::{Mutex, MutexGuard, Once};

use crate::cpu_ops::{self, Methods};
use crate::hotplug::hotplug;
use crate::names::name;
use crate::options::Options;
use crate::secondary::secondary_start_kernel;
use crate::spin_table;

static TOPOLOGY: Mutex<Topology> = Mutex::new(Topology::new(HwId(0)));
static PLAN: Once<Plan<'static>> = Once::new();

/// What `setup_arch` has found about CPUs.
pub struct Setup {
    /// Why CPUs cannot come up, by their index.
    pub outcomes: Vec<Outcome>,
    /// Whether a CPU was left out because the description of the machine is wrong.
    pub faults: bool,
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
        options: &Options,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String>;
}

impl CpuSource for Fdt<'_> {
    const NAME: &'static str = "devicetree";

    fn parse_and_init_cpus(
        &self,
        topology: &mut Topology,
        boot_cpu: HwId,
        options: &Options,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String> {
        let _span = trace::span(name::of_parse_and_init_cpus);
        let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
        let nr_cpus = options.smp.nr_cpus;
        let fdt_options = FdtOptions { boot_cpu, hw_id_mask: AFFINITY_MASK, methods: &names, nr_cpus };
        topology.read_fdt(self, &fdt_options, left_out).map_err(|error| error.to_string())
    }
}

/// Reads the CPUs from `source` and enters those with a usable method into the possible mask.
pub fn smp_init_cpus<S: CpuSource>(source: &S, boot_cpu: HwId, options: &Options, methods: Methods) -> Setup {
    let _span = trace::span(name::smp_init_cpus);
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

/// Whether `cpu` waits in a pen until it is started.
pub fn comes_from_a_pen(cpu: CpuIndex) -> bool {
    method(&cpus::topology().cpus()[cpu.get()]).is_some_and(|method| method.name() == spin_table::NAME)
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
    pub began: AtomicU64,
}

impl Control {
    /// One that does `relax` while it waits.
    pub const fn new(relax: fn()) -> Self {
        Self { relax, began: AtomicU64::new(0) }
    }
}

/// The spans that lead to the call of the enable method, outermost first, with the method's own.
fn kick_spans(cpu: CpuIndex) -> [reveille::trace::Name; 5] {
    let boot = if comes_from_a_pen(cpu) { name::smp_spin_table_cpu_boot } else { name::cpu_psci_cpu_boot };
    [name::cpu_up, name::bringup_cpu, name::__cpu_up, name::boot_secondary, boot]
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
                for span in kick_spans(cpu) {
                    trace::record_at(now, reveille::trace::Kind::Begin, span, target);
                }
                trace::record_at(now, reveille::trace::Kind::Instant, name::kick, target);
            }
            Event::Kicked => {
                for span in kick_spans(cpu).into_iter().rev() {
                    trace::record_at(now, reveille::trace::Kind::End, span, 0);
                }
            }
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
    }
}

/// Writes what `cpu`, which has an idle thread and a per-CPU area, boots from. Once: what it boots from never changes.
///
/// # Errors
/// There is no boot table.
pub fn write_boot_record(cpu: CpuIndex) -> Result<(), &'static str> {
    let table = cpu_ops::boot_table().ok_or("there is no boot table")?;
    if table.is_set(cpu) {
        return Ok(());
    }
    let start = Start {
        hw_id: cpus::hw_id(cpu),
        claim: SMP.claim_word(cpu),
        entry: secondary_start_kernel,
        stack_top: thread::fork_idle(cpu)? as u64,
        thread_pointer: per_cpu::offset(cpu) as u64,
        argument: 0,
    };
    // SAFETY: stack and per-CPU area were made for this CPU and are never given to another; everything is mapped in the
    // tables that the boot table was sealed with, and the claim word is in a static.
    unsafe { table.set(cpu, &start) }.map_err(|_| "the boot record is written already")
}

/// The end of a CPU that nobody waits for: what it owns stays its own.
pub fn park() -> ! {
    let _masked = interrupts::mask();
    loop {
        interrupts::wait();
    }
}
