//! Which CPUs there are, how they are brought up, and what each new one does (Xen's `xen/arch/arm/smpboot.c`).
//!
//! Xen brings CPUs up one after the other. Here all are kicked before any is waited for: docs/paths/xen.md. What each goes through are the
//! steps of [`crate::hotplug`], by which CPUs also go and come back later.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;
use reveille::trace::{Kind, Name};
use reveille::{
    Arrival, CallError, ContextId, Cpu, CpuIndex, EnableMethod, Event, Instant, Outcome, Platform, Summary,
};
use reveille_aarch64::boot_table::EntryTimes;
use reveille_aarch64::psci::{Psci, PsciNode};
use reveille_aarch64::spin_table::SpinTable;
use reveille_runtime::arch::cpu_start::{self, DevicetreeCpus, to_physical, write_boot_record};
use reveille_runtime::arch::processor::{self, Features};
use reveille_runtime::arch::{interrupts, memory_map, timer};
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::hotplug as shared;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::plan::{self, Methods, Setup, Wishes, plan};
use reveille_runtime::{clock, println, thread, trace};
use spin::Once;

use crate::hotplug::hotplug;
use crate::names::name;

static BOOT_CPU: Once<Features> = Once::new();

/// Notes the features of the boot CPU, which those of the others are compared with.
pub fn identify_boot_cpu() {
    BOOT_CPU.call_once(Features::of_this_cpu);
}

/// Finds out which CPUs there are, and enters those that can be started into the possible mask.
pub fn smp_init_cpus(fdt: &Fdt<'static>, wishes: &Wishes) -> Setup {
    let _span = trace::span(name::smp_init_cpus);
    let methods = methods(psci_init(fdt));
    let cpus = DevicetreeCpus { fdt, reading: Some(name::dt_smp_init_cpus) };
    plan::init_cpus(&cpus, processor::hw_id(), wishes, methods)
}

/// PSCI, if the devicetree has it.
fn psci_init(fdt: &Fdt<'_>) -> Option<PsciNode> {
    let _span = trace::span(name::psci_init);
    cpu_start::find_psci(fdt)
}

/// The ways to start CPUs: spin-table, which needs nothing but what the nodes of the CPUs say, and PSCI where there is one.
fn methods(psci: Option<PsciNode>) -> Methods {
    let table = cpu_start::seal_boot_table(psci.as_ref());
    // SAFETY: what is mapped is the word that was asked for, and nobody knows better than the devicetree where it is.
    let spin_table = unsafe { SpinTable::new(to_physical, memory_map::word) };
    let mut methods: Methods = vec![Box::leak(Box::new(spin_table))];
    if let Some(node) = psci {
        methods.push(Box::leak(Box::new(Psci::new(&node, table.entry_point()))));
    }
    methods
}

/// Enters every CPU that can be started into the present mask.
pub fn smp_prepare_cpus(setup: &mut Setup) {
    let _span = trace::span(name::smp_prepare_cpus);
    SMP.prepare_cpus(&plan(), &mut setup.outcomes);
}

/// What the bring-up came to.
pub struct BroughtUp {
    /// How many CPUs were asked for, and how many of them are online.
    pub summary: Summary,
    /// What became of each CPU, by its index.
    pub outcomes: Vec<Outcome>,
    /// Whether the machine's description is wrong about CPUs.
    faults: bool,
}

impl BroughtUp {
    /// Whether every CPU that was asked for is online.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let failed = self.outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Online | Outcome::NotAsked));
        !failed && !self.faults && self.summary.online == self.summary.asked
    }
}

/// Brings the present CPUs up. Prints nothing between the first kick and the last arrival.
pub fn bring_up(setup: Setup) -> BroughtUp {
    let Setup { mut outcomes, faults } = setup;
    let plan = plan();
    println!("Bringing up {} CPUs, {}", SMP.masks.present.snapshot().count(), plan.policy);
    let summary = hotplug().bring_up(&plan, &Control::new(interrupts::relax), &mut outcomes);
    let summary = summary.unwrap_or_else(|reason| panic!("the first request for CPUs: {reason}"));
    outcomes[CpuIndex::BOOT.get()] = Outcome::Online;
    println!("Brought up {} CPUs", summary.online);
    BroughtUp { summary, outcomes, faults }
}

/// The control CPU's side of a request.
pub struct Control {
    /// What is done in every turn of a wait.
    relax: fn(),
}

impl Control {
    /// One that does `relax` while it waits.
    pub const fn new(relax: fn()) -> Self {
        Self { relax }
    }
}

/// What leads to a CPU's start, outermost first.
const KICK: [Name; 3] = [name::cpu_up, name::__cpu_up, name::arch_cpu_up];

/// What starts `cpu`, under the name that it has in Xen.
fn start_name(cpu: CpuIndex) -> Name {
    let method = plan::method(&cpus::topology().cpus()[cpu.get()]).map_or("", EnableMethod::name);
    if method == "psci" { name::call_psci_cpu_on } else { name::smp_spin_table_cpu_up }
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
        let now = timer::ticks();
        match event {
            Event::Kick => {
                KICK.iter()
                    .chain([&start_name(cpu)])
                    .for_each(|&span| trace::record_at(now, Kind::Begin, span, target));
                trace::record_at(now, Kind::Instant, name::kick, target);
            }
            Event::Kicked => {
                KICK.iter().chain([&start_name(cpu)]).rev().for_each(|&span| trace::record_at(now, Kind::End, span, 0));
            }
            Event::Prepare | Event::Prepared | Event::Wait | Event::Done(_) => {}
        }
    }
}

/// What Xen's notifiers of CPU_UP_PREPARE do: the stack of the idle thread, and here the record that the CPU boots from.
///
/// # Errors
/// There is no room for the stack, or no boot table.
pub fn prepare(cpu: CpuIndex) -> Result<(), &'static str> {
    trace::prepare(cpu);
    write_boot_record(cpu, secondary_switched)
}

/// Where a CPU goes on that has claimed its kick: on its own stack, with MMU, caches and vectors, interrupts masked.
extern "C" fn secondary_switched(context: u64, _argument: u64, times: &EntryTimes) -> ! {
    let Some(context) = ContextId::from_raw(context as u32) else {
        panic!("a CPU arrived with the context {context:#x}, which names no CPU");
    };
    trace_entry(times);
    start_secondary(SMP.claimed(context))
}

/// Notes what the entry code kept in registers until there was memory to write to.
fn trace_entry(times: &EntryTimes) {
    let begin = |time, name: Name| trace::record_at(time, Kind::Begin, name, 0);
    let end = |time, name: Name| trace::record_at(time, Kind::End, name, 0);
    begin(times.entry, name::init_secondary);
    begin(times.cpu_setup, name::cpu_init);
    end(times.enable_mmu, name::cpu_init);
    begin(times.enable_mmu, name::enable_mmu);
    end(times.switched, name::enable_mmu);
    begin(times.switched, name::secondary_switched);
}

fn start_secondary(arrival: Arrival<'_>) -> ! {
    trace::begin(name::start_secondary, 0);
    thread::adopt_idle();
    if hotplug().starting(&arrival).is_err() {
        hotplug().fail(arrival);
        shared::give_up();
    }
    if hotplug().come_online(arrival).is_err() {
        // Given up. What was prepared for this CPU stays its own; what others have sent it meanwhile goes to them.
        hotplug().take_cpu_down(smp_processor_id());
        shared::give_up();
    }
    trace::instant(name::online, 0);
    shared::wake_own_thread();
    trace::end(name::start_secondary);
    trace::begin(name::idle_loop, 0);
    thread::idle(shared::cpu_die)
}

/// A CPU that lacks what the boot CPU has is of no use.
///
/// # Errors
/// The register that says so.
pub fn identify_cpu() -> Result<(), &'static str> {
    let _span = trace::span(name::identify_cpu);
    let boot_cpu = BOOT_CPU.get().expect("the boot CPU was looked at first");
    match Features::of_this_cpu().conflict(boot_cpu) {
        Some((register, ..)) => Err(register),
        None => Ok(()),
    }
}
