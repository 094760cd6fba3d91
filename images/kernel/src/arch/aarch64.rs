//! arm64: follows Linux 5.14 (PSCI) and 4.12 (spin-table), `arch/arm64/kernel`.
//!
//! - [`acpi`]: what ACPI says of CPUs, if it is asked;
//! - [`cpu_ops`]: the ways to start CPUs, and [`spin_table`], one of them;
//! - [`boot_record`]: what a CPU boots from, and where it enters;
//! - `fault`: firmware that starts CPUs wrongly.

mod acpi;
mod boot_record;
mod cpu_ops;
#[cfg(feature = "faults")]
pub mod fault;
pub mod spans;
mod spin_table;

pub use boot_record::write_boot_record;
use dtoolkit::fdt::Fdt;
use reveille::HwId;
use reveille_runtime::arch::cpu_start::DevicetreeCpus;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{interrupt_controllers, power, processor, timer};
use reveille_runtime::devicetree::Interrupt;
use reveille_runtime::plan::{Setup, value};
use reveille_runtime::{console, devicetree, interrupt_controller, memory, println, trace};

use crate::names::name;
use crate::options::Options;
use crate::{report, smp};

/// The machine, as its devicetree describes it.
pub struct Machine {
    fdt: Fdt<'static>,
}

/// Memory, the console, and which CPUs there are (Linux's `arch/arm64/kernel/setup.c`).
///
/// # Errors
/// What makes it impossible to go on.
pub fn setup_arch(arguments: &BootArguments, boot_cpu: HwId) -> Result<(Machine, Options, Setup), &'static str> {
    let _span = trace::span(name::setup_arch);
    let known = reveille_boards::ARM64.iter().flat_map(|board| board.devicetree_addresses).copied();
    let fdt = devicetree::find(arguments.devicetree, known)?;
    let options = setup_machine_fdt(&fdt);
    {
        let _span = trace::span(name::paging_init);
        let (ram, reserved) = devicetree::memory(&fdt)?;
        memory::init(&ram, reserved)?;
    }
    match console::find(&fdt) {
        Ok(uart) => console::init(uart),
        // Nobody will read this; the next console may.
        Err(reason) => println!("{reason}"),
    }
    let level = processor::exception_level();
    println!("Booting on CPU {boot_cpu}, entered at EL{}, running at EL{level}", arguments.entry_level);
    report::tell_boot(boot_cpu, Some(arguments.entry_level));
    #[cfg(feature = "faults")]
    crate::fault::read_command_line(devicetree::command_line(&fdt));
    let smp = match acpi::acpi_boot_table_init(&fdt) {
        Some(acpi) => {
            let psci = acpi.psci_acpi_init();
            smp::smp_init_cpus(&acpi, boot_cpu, &options, cpu_ops::acpi_supported_cpu_ops(psci))
        }
        None => {
            let psci = cpu_ops::psci_dt_init(&fdt);
            let cpus = DevicetreeCpus { fdt: &fdt, reading: Some(name::of_parse_and_init_cpus) };
            smp::smp_init_cpus(&cpus, boot_cpu, &options, cpu_ops::dt_supported_cpu_ops(psci))
        }
    };
    Ok((Machine { fdt }, options, smp))
}

fn setup_machine_fdt(fdt: &Fdt<'_>) -> Options {
    let _span = trace::span(name::setup_machine_fdt);
    let command_line = devicetree::command_line(fdt);
    // Where no debugger listens the kernel switches off instead.
    if value(command_line, "reveille.exit=") == Some("semihosting") {
        power::use_semihosting();
    }
    Options::from_command_line(command_line)
}

impl Machine {
    /// The interrupt controller. This CPU's part of it is a step.
    ///
    /// # Errors
    /// What is missing or cannot be mapped.
    pub fn init_irq(&self) -> Result<(), &'static str> {
        interrupt_controller::set(interrupt_controllers::init(&self.fdt)?);
        Ok(())
    }

    /// The timer. This CPU's is a step.
    ///
    /// # Errors
    /// What is missing.
    pub fn time_init(&self) -> Result<(), &'static str> {
        timer::init(&self.fdt)
    }

    /// The interrupt of the console.
    ///
    /// # Errors
    /// There is none that is known.
    pub fn console_interrupt(&self) -> Result<Interrupt, &'static str> {
        devicetree::console_interrupt(&self.fdt)
    }
}
