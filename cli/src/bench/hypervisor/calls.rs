//! What a guest's calls, interrupts and reads that trap cost, in instructions, beside what they cost without a hypervisor.

use serde::Serialize;

use super::super::BenchError;
use crate::boot::{self, BootOptions};
use crate::console::Silent;
use crate::error::Error;
use crate::image::{self, BuiltImage};
use crate::machine::MACHINES;
use crate::setup::Host;
use crate::stack::Stack;
use crate::verdict::Verdict;

/// How often the yardstick does what it does more than once.
const TIMES: f64 = 1000.0;
/// With these a nanosecond is an instruction.
const COUNTED: [&str; 2] = ["-icount", "shift=0"];
const COUNTER: &str = "cortex-a76,cntfrq=1000000000";

/// What calls, interrupts and what traps cost a system on two CPUs.
#[derive(Clone, Debug, Serialize)]
pub struct Calls {
    /// Who answers.
    pub name: &'static str,
    /// Instructions of a call of PSCI_VERSION, with the loop around it, which has three beside the call.
    pub version: f64,
    /// Instructions of reading an id register, with the loop around it, which has two beside that.
    pub id: f64,
    /// Instructions from an SGI on one CPU to its end on the other, of both CPUs together.
    pub interrupt: f64,
    /// Instructions from CPU_ON to the first one of the CPU, of both CPUs together.
    pub first: f64,
}

/// Counts them, ours last.
///
/// # Errors
/// [`Error`]: the first run that goes wrong.
pub fn count(host: &Host) -> Result<Vec<Calls>, Error> {
    let yardstick = image::build(host, &image::YARDSTICK, &[])?;
    let firmware = Some(image::build(host, &image::FIRMWARE, &[])?.flat);
    let guest = Some(yardstick.flat.clone());
    let hypervisor = BuiltImage { guest, ..image::build(host, &image::HYPERVISOR, &[])? };
    let systems = [
        ("bare: QEMU's own PSCI", "kernel", yardstick.clone()),
        ("bare: our firmware's PSCI", "firmware,kernel", BuiltImage { firmware, ..yardstick }),
        ("guest of our hypervisor", "hypervisor,kernel", hypervisor),
    ];
    let count = |(name, stack, image): (&'static str, &str, BuiltImage)| {
        let Ok(stack) = stack.parse::<Stack>();
        let phase = |phase| phase_of(host, &stack, &image, phase);
        let each = |name| phase(name).map(|instructions| instructions / TIMES);
        Ok(Calls { name, version: each("version")?, id: each("id")?, interrupt: each("ipi")?, first: phase("first")? })
    };
    systems.into_iter().map(count).collect()
}

/// Instructions of a phase of the yardstick.
fn phase_of(host: &Host, stack: &Stack, image: &BuiltImage, phase: &str) -> Result<f64, Error> {
    let word = format!("yardstick={phase}");
    let options = BootOptions {
        machine: &MACHINES[0],
        stack: stack.clone(),
        cpus: 2,
        append: Some(if stack.has_hypervisor() { format!("-- {word}") } else { word }),
        cpu_model: Some(COUNTER.to_owned()),
        qemu_arguments: COUNTED.map(str::to_owned).to_vec(),
        ..BootOptions::default()
    };
    let run = boot::run(host, image, &options, &mut Silent)?;
    match (&run.verdict, &run.report) {
        (Verdict::AllOnline, Some(report)) => Ok(report.bringup_ns as f64),
        (verdict, _) => {
            let what = format!("{verdict:?}");
            Err(BenchError::Run { subject: phase.to_owned(), cpus: options.cpus, what }.into())
        }
    }
}
