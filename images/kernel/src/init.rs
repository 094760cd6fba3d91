//! The boot CPU, from its first Rust to the init thread (Linux's `init/main.c`).

use reveille::{CpuIndex, HwId};
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{interrupts, power, processor};
use reveille_runtime::cpus::SMP;
use reveille_runtime::hotplug as shared;
use reveille_runtime::plan::Setup;
use reveille_runtime::{clock, per_cpu, println, thread, trace};

use crate::arch::{self, Machine, spans};
use crate::cpuinfo::cpuinfo_store_boot_cpu;
use crate::hotplug::hotplug;
use crate::names::name;
use crate::options::Options;
use crate::{proof, report, smp, soak};

/// What the boot has found, for the init thread.
struct Boot {
    machine: Machine,
    options: Options,
    smp: Setup,
}

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    start_kernel(arguments)
}

fn start_kernel(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    trace::begin(name::start_kernel, 0);
    let boot_cpu = smp_setup_processor_id();
    boot_cpu_init();
    let (machine, options, smp) = arch::setup_arch(&arguments, boot_cpu).unwrap_or_else(|reason| panic!("{reason}"));
    let boot = Boot { machine, options, smp };
    setup_per_cpu_areas();
    smp_prepare_boot_cpu();
    sched_init();
    init_irq(&boot.machine).and_then(|()| time_init(&boot.machine)).unwrap_or_else(|reason| panic!("{reason}"));
    notify_cpu_starting();
    interrupts::enable();
    rest_init(boot)
}

fn smp_setup_processor_id() -> HwId {
    let _span = trace::span(name::smp_setup_processor_id);
    processor::hw_id()
}

fn boot_cpu_init() {
    let _span = trace::span(name::boot_cpu_init);
    SMP.masks.boot_cpu_init();
}

fn setup_per_cpu_areas() {
    let _span = trace::span(name::setup_per_cpu_areas);
    if let Err(reason) = per_cpu::setup_per_cpu_areas(&SMP.masks.possible.snapshot()) {
        panic!("{reason}");
    }
}

/// From here on the boot CPU uses its own per-CPU area (Linux's `smp_prepare_boot_cpu` sets the offset there).
fn smp_prepare_boot_cpu() {
    let _span = trace::span(name::smp_prepare_boot_cpu);
    cpuinfo_store_boot_cpu();
    hotplug().advance_boot_cpu(hotplug().steps().prepared()).unwrap_or_else(|reason| panic!("{reason}"));
}

fn sched_init() {
    let _span = trace::span(name::sched_init);
    thread::adopt_boot_idle();
}

fn init_irq(machine: &Machine) -> Result<(), &'static str> {
    let _span = trace::span(name::init_IRQ);
    machine.init_irq()
}

fn time_init(machine: &Machine) -> Result<(), &'static str> {
    let _span = trace::span(name::time_init);
    machine.time_init()
}

/// The STARTING steps, which the boot CPU goes through like all others. (Linux calls each when its driver is set up.)
fn notify_cpu_starting() {
    let _span = trace::span(name::notify_cpu_starting);
    hotplug().advance_boot_cpu(hotplug().steps().ap_online()).unwrap_or_else(|reason| panic!("{reason}"));
}

/// Starts the init thread; the boot CPU's own thread idles from here on.
fn rest_init(boot: Boot) -> ! {
    {
        let _span = trace::span(name::rest_init);
        if let Err(reason) = thread::spawn("init", CpuIndex::BOOT, move || kernel_init(boot)) {
            panic!("{reason}");
        }
    }
    trace::end(name::start_kernel);
    trace::begin(spans::IDLE, 0);
    thread::idle(shared::cpu_die)
}

/// The init thread.
fn kernel_init(mut boot: Boot) {
    trace::end(spans::IDLE);
    trace::begin(name::kernel_init, 0);
    let brought_up = kernel_init_freeable(&mut boot);
    trace::end(name::kernel_init);
    trace::stop();
    let reasons = report::reasons(&brought_up);
    let mut proofs = proof::run();
    proofs.extend(boot.options.soak.map(soak::run));
    #[cfg(feature = "faults")]
    proofs.extend(crate::fault::run_script());
    if boot.options.console {
        crate::console::run_until_exit(&boot.machine, &reasons);
    }
    let passed = report::tell(&boot.smp, &brought_up, &reasons, &proofs);
    if boot.options.spin {
        spin();
    }
    power::exit(u8::from(!passed))
}

/// Keeps all CPUs busy, for ever.
fn spin() {
    for cpu in SMP.masks.active.snapshot().iter() {
        if let Err(reason) = thread::spawn_bound("spin", cpu, || while core::hint::black_box(true) {}) {
            println!("CPU {cpu}: {reason}");
        }
    }
    thread::sleep_until(u64::MAX);
}

fn kernel_init_freeable(boot: &mut Boot) -> smp::BroughtUp {
    let _span = trace::span(name::kernel_init_freeable);
    smp::smp_prepare_cpus(&mut boot.smp);
    do_pre_smp_initcalls();
    let brought_up = smp::smp_init(boot.smp.outcomes.clone());
    sched_init_smp();
    brought_up
}

/// What must run before other CPUs do: the ONLINE steps of this one.
fn do_pre_smp_initcalls() {
    let _span = trace::span(name::do_pre_smp_initcalls);
    hotplug().advance_boot_cpu(hotplug().steps().online()).unwrap_or_else(|reason| panic!("{reason}"));
}

/// Threads may be placed on every CPU that is active from here on: each has entered that mask itself.
fn sched_init_smp() {
    let _span = trace::span(name::sched_init_smp);
}
