//! MIPS: follows Linux 2.6 on the SiByte SB1250, `arch/mips/{kernel,fw/cfe,sibyte}`. All that this kernel knows of its machine it knows
//! from CFE.
//!
//! - [`prom`]: CFE's entry state, its environment and its memory;
//! - [`smp`]: which CPUs there are, and how CFE starts and stops them;
//! - [`boot_record`]: what a CPU boots from, and where it enters;
//! - [`calibrate`]: whether its clock is that of the others;
//! - `fault`: a CFE that starts CPUs wrongly.

mod boot_record;
mod calibrate;
#[cfg(feature = "faults")]
pub mod fault;
mod prom;
mod smp;
pub mod spans;

pub use boot_record::write_boot_record;
use reveille::HwId;
use reveille_mips::cfe::Cfe;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{interrupt_controllers, processor::Features};
use reveille_runtime::devicetree::Interrupt;
use reveille_runtime::plan::Setup;
use reveille_runtime::{interrupt_controller, println, trace};

use crate::names::name;
use crate::options::Options;

/// The machine, as CFE describes it.
pub struct Machine {
    cfe: &'static Cfe,
}

/// The processor, memory, the console, and which CPUs there are (Linux's `arch/mips/kernel/setup.c`).
///
/// # Errors
/// What makes it impossible to go on.
pub fn setup_arch(arguments: &BootArguments, boot_cpu: HwId) -> Result<(Machine, Options, Setup), &'static str> {
    let _span = trace::span(name::setup_arch);
    cpu_probe()?;
    let cfe = prom::prom_init(arguments, boot_cpu)?;
    let command_line = prom::command_line(cfe);
    let options = Options::from_command_line(&command_line);
    #[cfg(feature = "faults")]
    crate::fault::read_command_line(&command_line);
    let setup = smp::plat_smp_setup(cfe, boot_cpu, &options);
    Ok((Machine { cfe }, options, setup))
}

/// Whether the kernel runs on this processor. What it is in full is noted when there are per-CPU areas.
fn cpu_probe() -> Result<(), &'static str> {
    let _span = trace::span(name::cpu_probe);
    let features = Features::of_this_cpu();
    // What a CPU like this one has to have is what it has itself.
    features.conflict(&features).map_or(Ok(()), |_| Err("the processor has no UserLocal register"))
}

impl Machine {
    /// The interrupt controller. This CPU's part of it is a step.
    ///
    /// # Errors
    /// What is missing.
    pub fn init_irq(&self) -> Result<(), &'static str> {
        // Where there is one CPU the coherence manager does not exist, and asking it is a bus error.
        let several = self.cfe.has_several_cpus().map_err(|_| "CFE does not say whether there are several CPUs")?;
        interrupt_controller::set(interrupt_controllers::init(several)?);
        Ok(())
    }

    /// How fast Count runs. This CPU's timer is a step.
    ///
    /// # Errors
    /// CFE does not say.
    pub fn time_init(&self) -> Result<(), &'static str> {
        let frequency = prom::count_frequency(self.cfe)?;
        println!("Count runs at {}.{} MHz", frequency / 1_000_000, frequency / 100_000 % 10);
        Ok(())
    }

    /// CFE's console has no interrupt that it tells of.
    ///
    /// # Errors
    /// Always.
    pub fn console_interrupt(&self) -> Result<Interrupt, &'static str> {
        Err("CFE names no interrupt of the console")
    }
}
