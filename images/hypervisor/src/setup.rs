//! The boot CPU, from its first Rust to its idle loop (Xen's `xen/arch/arm/setup.c`).

use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use reveille_aarch64::psci::PsciNode;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{interrupt_controllers, interrupts, power, processor, timer};
use reveille_runtime::cpus::SMP;
use reveille_runtime::hotplug as shared;
use reveille_runtime::plan::{Wishes, value};
use reveille_runtime::{
    clock, console, devicetree, interrupt_controller, ipi, memory, per_cpu, println, report, thread, trace,
};

use crate::domains::{self, life_cycle};
use crate::hotplug::hotplug;
use crate::names::name;
use crate::smpboot::{self, smp_init_cpus, smp_prepare_cpus};
use crate::{guest, modules, virt};

/// The status of a run that could not begin.
const FAILED: u8 = 1;

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    if let Err(reason) = start_xen(&arguments) {
        println!("The hypervisor cannot run here: {reason}");
        power::exit(FAILED)
    }
    trace::end(name::start_xen);
    trace::begin(name::idle_loop, 0);
    thread::idle(shared::cpu_die)
}

fn start_xen(arguments: &BootArguments) -> Result<(), &'static str> {
    trace::begin(name::start_xen, 0);
    smp_clear_cpu_maps();
    let fdt = boot_fdt_info(arguments)?;
    // Before anything can go wrong that would end the run.
    if let Ok(psci) = PsciNode::from_fdt(&fdt) {
        power::use_psci(psci.conduit);
    }
    let command_line = cmdline_parse(&fdt);
    let wishes = Wishes::from_command_line(command_line);
    setup_mm(&fdt)?;
    processor_id(arguments)?;
    let mut cpus = smp_init_cpus(&fdt, &wishes);
    percpu_init_areas()?;
    gic_init(&fdt)?;
    init_timer_interrupt(&fdt)?;
    init_idle_domain();
    interrupts::enable();
    smp_prepare_cpus(&mut cpus);
    let brought_up = smpboot::bring_up(cpus);
    virt::setup_virt_paging()?;
    iommu_setup(&fdt);
    let guests = domains::create(&fdt);
    trace::stop();
    crate::report::tell(&brought_up);
    if !brought_up.is_whole() {
        life_cycle::note_failure();
    }
    if guests.is_empty() {
        println!("There is no guest");
        life_cycle::exit();
    }
    crate::console::init(&fdt)?;
    domains::unpause(&guests, command_line)
}

fn smp_clear_cpu_maps() {
    let _span = trace::span(name::smp_clear_cpu_maps);
    SMP.masks.boot_cpu_init();
}

fn boot_fdt_info(arguments: &BootArguments) -> Result<Fdt<'static>, &'static str> {
    let _span = trace::span(name::boot_fdt_info);
    devicetree::find(arguments.devicetree, core::iter::empty())
}

/// The hypervisor's own command line.
fn cmdline_parse<'a>(fdt: &Fdt<'a>) -> &'a str {
    let _span = trace::span(name::cmdline_parse);
    let own = fdt.find_node("/chosen").and_then(|chosen| chosen.property("xen,xen-bootargs"));
    let command_line = own.and_then(|own| own.value_as().ok()).unwrap_or_else(|| devicetree::command_line(fdt));
    if value(command_line, "reveille.exit=") == Some("semihosting") {
        power::use_semihosting();
    }
    command_line
}

fn setup_mm(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let _span = trace::span(name::setup_mm);
    let (ram, mut reserved) = devicetree::memory(fdt)?;
    modules::reserve(fdt, &mut reserved)?;
    memory::init_whole(&ram, reserved)?;
    // Without one nobody reads what is printed; the run goes on.
    let _ = console::find(fdt).map(console::init);
    Ok(())
}

/// Says which processor this is, and refuses one that cannot run guests as this hypervisor does.
fn processor_id(arguments: &BootArguments) -> Result<(), &'static str> {
    let _span = trace::span(name::processor_id);
    let boot_cpu = processor::hw_id();
    println!("Xen's way up on CPU {boot_cpu}, entered at EL{}", arguments.entry_level);
    report::boot("hypervisor", env!("CARGO_PKG_VERSION"), boot_cpu, Some(arguments.entry_level));
    smpboot::identify_boot_cpu();
    match (arguments.entry_level, processor::exception_level()) {
        (2, 2) => Ok(()),
        (2, _) => Err("the processor has no Virtualization Host Extensions (ARMv8.1)"),
        _ => Err("it was not entered at EL2"),
    }
}

fn percpu_init_areas() -> Result<(), &'static str> {
    let _span = trace::span(name::percpu_init_areas);
    per_cpu::setup_per_cpu_areas(&SMP.masks.possible.snapshot())
}

fn gic_init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let _span = trace::span(name::gic_init);
    interrupt_controller::set(interrupt_controllers::init(fdt)?);
    interrupt_controller::init_this_cpu(processor::hw_id())
}

fn init_timer_interrupt(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let _span = trace::span(name::init_timer_interrupt);
    timer::init(fdt)?;
    interrupt_controller::enable_timer(processor::hw_id())
}

/// From here on this is the boot CPU's idle thread.
fn init_idle_domain() {
    let _span = trace::span(name::init_idle_domain);
    thread::adopt_boot_idle();
    ipi::open_calls();
    hotplug().advance_boot_cpu(hotplug().steps().online()).unwrap_or_else(|reason| panic!("{reason}"));
}

/// Says whether there is an IOMMU that could keep a guest's devices to its memory.
fn iommu_setup(fdt: &Fdt<'_>) {
    const COMPATIBLE: [&str; 3] = ["arm,smmu-v3", "arm,mmu-500", "arm,smmu-v2"];
    let _span = trace::span(name::iommu_setup);
    let found = COMPATIBLE.iter().find(|&&kind| devicetree::find_node(fdt, |node| node.is_compatible(kind)).is_some());
    let devices = guest::granted::find(fdt);
    match found {
        Some(kind) => println!("I/O virtualisation: {kind}, which is not used; {devices}"),
        None => println!("I/O virtualisation: no IOMMU; {devices}"),
    }
}
