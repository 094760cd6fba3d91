//! The boot CPU, from its first Rust to the thread that does the loader's work (LK's `top/main.c`, `kernel/init.c`).

use alloc::string::String;
use alloc::sync::Arc;
use core::convert::Infallible;

use dtoolkit::fdt::Fdt;
use reveille::CpuIndex;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{interrupt_controllers, interrupts, power, processor, timer};
use reveille_runtime::cpus::{SMP, hw_id};
use reveille_runtime::plan::{Setup, value};
use reveille_runtime::{
    clock, console, devicetree, interrupt_controller, ipi, memory, per_cpu, println, thread, trace,
};

use crate::layout::Layout;
use crate::names::name;
use crate::options::Options;
use crate::payload::program;
use crate::report::Report;
use crate::{check, cpus, hand_over, payload, secondary, start};

/// What the boot has found, for the thread that does the work.
pub struct Loader {
    pub fdt: Fdt<'static>,
    pub options: Options,
    pub layout: Layout,
    /// The exception level at which all CPUs entered, or to which they went from EL3, and at which they leave.
    pub level: u8,
    pub setup: Setup,
}

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    lk_main(&arguments)
}

fn lk_main(arguments: &BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    trace::begin(name::lk_main, 0);
    thread_init_early();
    {
        // The exception vectors were set with the MMU.
        let _span = trace::span(name::arch_early_init);
    }
    let started = start_up(arguments);
    let loader = started.unwrap_or_else(|reason| panic!("{reason}"));
    interrupts::enable();
    let spawned = thread::spawn_bound("bootstrap2", CpuIndex::BOOT, move || bootstrap2(loader));
    if let Err(reason) = spawned {
        panic!("{reason}");
    }
    trace::end(name::lk_main);
    thread_become_idle()
}

fn thread_init_early() {
    let _span = trace::span(name::thread_init_early);
    SMP.masks.boot_cpu_init();
}

/// All that comes before threads.
fn start_up(arguments: &BootArguments) -> Result<Loader, &'static str> {
    let fdt = platform_early_init(arguments)?;
    {
        let _span = trace::span(name::target_early_init);
    }
    let options = Options::from_command_line(devicetree::command_line(&fdt));
    #[cfg(feature = "faults")]
    crate::fault::read_command_line(devicetree::command_line(&fdt));
    let layout = heap_init(&fdt)?;
    match console::find(&fdt) {
        Ok(uart) => console::init(uart),
        // Nobody will read this; the next console may.
        Err(reason) => println!("{reason}"),
    }
    let (entered, runs) = (arguments.entry_level, processor::exception_level());
    let first = if start::was_at_el3() { 3 } else { entered };
    println!("Boot loader on CPU {}, entered at EL{first}, running at EL{runs}", processor::hw_id());
    Report::begin(processor::hw_id(), first);
    let options = options?;
    let setup = kernel_init(&fdt, &options)?;
    Ok(Loader { fdt, options, layout, level: entered, setup })
}

/// What the machine is: its devicetree.
fn platform_early_init(arguments: &BootArguments) -> Result<Fdt<'static>, &'static str> {
    let _span = trace::span(name::platform_early_init);
    let known = reveille_boards::ARM64.iter().flat_map(|board| board.devicetree_addresses).copied();
    let fdt = devicetree::find(arguments.devicetree, known)?;
    // Where no debugger listens the loader switches off instead.
    if value(devicetree::command_line(&fdt), "reveille.exit=") == Some("semihosting") {
        power::use_semihosting();
    }
    Ok(fdt)
}

/// The loader's own memory, in the final translation tables.
fn heap_init(fdt: &Fdt<'_>) -> Result<Layout, &'static str> {
    let _span = trace::span(name::heap_init);
    let (ram, reserved) = devicetree::memory(fdt)?;
    let (layout, taken) = Layout::new(&ram, reserved)?;
    memory::init(&ram, taken)?;
    Ok(layout)
}

fn kernel_init(fdt: &Fdt<'static>, options: &Options) -> Result<Setup, &'static str> {
    let _span = trace::span(name::kernel_init);
    let setup = cpus::mp_init(fdt, options);
    thread_init()?;
    timer_init(fdt)?;
    Ok(setup)
}

/// From here on the boot CPU uses its own per-CPU area, and has an idle thread.
fn thread_init() -> Result<(), &'static str> {
    let _span = trace::span(name::thread_init);
    per_cpu::setup_per_cpu_areas(&SMP.masks.possible.snapshot())?;
    thread::adopt_boot_idle();
    Ok(())
}

/// Interrupts and the timer, on the boot CPU.
fn timer_init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let _span = trace::span(name::timer_init);
    interrupt_controller::set(interrupt_controllers::init(fdt)?);
    timer::init(fdt)?;
    let own = hw_id(CpuIndex::BOOT);
    interrupt_controller::init_this_cpu(own)?;
    interrupt_controller::enable_timer(own)?;
    ipi::open_calls();
    Ok(())
}

fn thread_become_idle() -> ! {
    trace::begin(name::thread_become_idle, 0);
    thread::idle(secondary::depart)
}

/// The thread that does the rest.
fn bootstrap2(loader: Loader) {
    trace::end(name::thread_become_idle);
    trace::begin(name::bootstrap2, 0);
    let brought_up = cpus::arch_init(&loader.setup);
    for part in [name::platform_init, name::target_init] {
        // What these set up in LK is not needed: no further devices.
        let _span = trace::span(part);
    }
    let mut report = Report::new(brought_up);
    match apps_init(&loader, &mut report) {
        Ok(never) => match never {},
        Err(reason) => report.refuse(&reason),
    }
}

/// The loader's one application: it loads, checks and starts the payload. Returns if that cannot be.
fn apps_init(loader: &Loader, report: &mut Report) -> Result<Infallible, String> {
    let _span = trace::span(name::apps_init);
    let payload = Arc::new(payload::load(loader)?);
    check::check(loader, &payload, report)?;
    let program = program::prepare(loader, &payload)?;
    hand_over::hand_over(loader, &payload, &program, report)
}
