//! What keeps the command from doing its work. Each error reads as one sentence after `reveille: `.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::bench::BenchError;
use crate::image::{ImageError, ImageFormat};
use crate::setup::SetupError;
use crate::stack::Stack;

/// Why the command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no machine of that name.
    #[error("unknown machine '{name}' (there is: {known})")]
    UnknownMachine {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An option means nothing on a simulated machine.
    #[error("{option} means nothing on a simulated machine")]
    NotSimulated {
        /// The option.
        option: &'static str,
    },
    /// An option means something only where CPUs can misbehave.
    #[error("{option} is for --machine sim and for stacks that begin with firmware")]
    OnlyMisbehaving {
        /// The option.
        option: &'static str,
    },
    /// An option means something to firmware of ours only.
    #[error("{option} is for stacks that begin with firmware, such as --stack firmware,kernel")]
    OnlyFirmware {
        /// The option.
        option: &'static str,
    },
    /// An option means something to the hypervisor of ours only.
    #[error("{option} is for stacks with a hypervisor, such as --stack hypervisor,linux")]
    OnlyGuests {
        /// The option.
        option: &'static str,
    },
    /// The hypervisor of ours does not run on such a processor.
    #[error("the hypervisor needs a processor with Virtualization Host Extensions (ARMv8.1), which {model} has not")]
    NoVhe {
        /// Which.
        model: String,
    },
    /// An option means something on the simulated machine only.
    #[error("{option} is for --machine sim")]
    OnlySimulated {
        /// The option.
        option: &'static str,
    },
    /// A fault is that of a CPU that is not there, or of the one that boots.
    #[error("the fault {fault} is of none of the CPUs that are started (1 to {last})")]
    NoSuchCpu {
        /// The fault.
        fault: String,
        /// The last CPU.
        last: u32,
    },
    /// Something can go wrong elsewhere, and not there.
    #[error("the fault {fault} cannot be had on {place}")]
    FaultElsewhere {
        /// The fault.
        fault: String,
        /// Where it cannot be had.
        place: &'static str,
    },
    /// The machine does not take so many CPUs.
    #[error("the machine {machine} {}, not {asked}", count(range))]
    CpuCount {
        /// The machine's name.
        machine: &'static str,
        /// How many were asked for.
        asked: u32,
        /// How many it takes.
        range: RangeInclusive<u32>,
    },
    /// The machine does not boot such a file.
    #[error("the machine {machine} boots an {} only", format_name(*boots))]
    Format {
        /// The machine's name.
        machine: &'static str,
        /// What it boots.
        boots: ImageFormat,
    },
    /// The machine boots one form of an image.
    #[error("the machine {machine} boots one form of an image, so --format means nothing there")]
    NoFormats {
        /// The machine's name.
        machine: &'static str,
    },
    /// The machine's firmware describes it, and nothing else.
    #[error("the machine {machine} has no {what}, so {option} means nothing there")]
    NotDescribed {
        /// The machine's name.
        machine: &'static str,
        /// What could describe it elsewhere.
        what: &'static str,
        /// The option or word that asks for it.
        option: &'static str,
    },
    /// The command line cannot be put into firmware's environment.
    #[error("the kernel's command line cannot be handed over: {problem}")]
    CommandLine {
        /// What is wrong with it.
        problem: String,
    },
    /// The machine has but one CPU model.
    #[error("the machine {machine} cannot have another CPU model")]
    NoCpuModels {
        /// The machine's name.
        machine: &'static str,
    },
    /// A soak takes CPUs down, and the last one stays.
    #[error("a soak takes at least 2 CPUs")]
    NothingToSoak,
    /// Only the kernel of ours can be told to take CPUs down and up.
    #[error("a soak is the kernel's own, and the stack {stack} ends with another system")]
    SoakElsewhere {
        /// The stages.
        stack: Stack,
    },
    /// Torture is about the CPUs that are started.
    #[error("torture takes at least 2 CPUs")]
    NothingToTorture,
    /// There is no scenario of that name.
    #[error("there is no scenario {name} (there are {known})")]
    NoSuchScenario {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The machine cannot enter images at that level.
    #[error("the machine {machine} cannot enter an image at EL{level}")]
    EntryLevel {
        /// The machine's name.
        machine: &'static str,
        /// The level.
        level: u8,
    },
    /// The machine has no exception levels.
    #[error("the machine {machine} has no exception levels, so --el means nothing there")]
    NoEntryLevels {
        /// The machine's name.
        machine: &'static str,
    },
    /// The stages do not belong together.
    #[error("the stack {stack} cannot be booted: {problem}")]
    StackOrder {
        /// The stages.
        stack: Stack,
        /// What is wrong with them.
        problem: &'static str,
    },
    /// A file that was named as a stage or given to one cannot be used.
    #[error("{problem}")]
    Foreign {
        /// Which, and why.
        problem: String,
    },
    /// There is no room for what firmware says.
    #[error("there is no temporary folder for what the firmware says: {source}")]
    FirmwareLog {
        /// What the host says.
        source: io::Error,
    },
    /// What the guests of the hypervisor need could not be had.
    #[error("the guests cannot be started: {problem}")]
    Guests {
        /// Why.
        problem: String,
    },
    /// QEMU was asked for its machine's devicetree.
    #[error("QEMU does not say what its machine has: {reason}")]
    NoDevicetree {
        /// Why.
        reason: String,
    },
    /// The machine cannot boot those stages.
    #[error("the machine {machine} cannot boot the stack {stack}")]
    NoStack {
        /// The machine's name.
        machine: &'static str,
        /// The stages.
        stack: Stack,
    },
    /// The first stage takes the machine in one way only.
    #[error("with --stack {stack} there is no choice of {option}")]
    StackWithout {
        /// The stages.
        stack: Stack,
        /// The option that asks for another way.
        option: &'static str,
    },
    /// The machine cannot have that interrupt controller.
    #[error("the machine {machine} cannot have a GICv{version}")]
    NoSuchGic {
        /// The machine's name.
        machine: &'static str,
        /// The version that was asked for.
        version: u8,
    },
    /// The interrupt controller does not serve so many CPUs.
    #[error("a GICv{version} serves 1 to {limit} CPUs, not {asked}")]
    GicCpuCount {
        /// The controller's version.
        version: u8,
        /// How many were asked for.
        asked: u32,
        /// The most that it serves.
        limit: u32,
    },
    /// The devicetree cannot be used.
    #[error("cannot use {} as a devicetree: {problem}", path.display())]
    Devicetree {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be written. Found before the boot.
    #[error("cannot write the {what} to {}: {source}", path.display())]
    OutputPath {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        what: &'static str,
        /// What the host says.
        source: io::Error,
    },
    /// Writing a file failed after the boot.
    #[error("the {what} in {} is not whole: {source}", path.display())]
    OutputWrite {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        what: &'static str,
        /// What the host says.
        source: io::Error,
    },
    /// The standard output did not take everything.
    #[error("what was printed is not whole: {source}")]
    Unprinted {
        /// What the host says.
        source: io::Error,
    },
    /// A report cannot be read.
    #[error("cannot read {} as a report: {problem}", path.display())]
    ReportRead {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something cannot be measured.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The host lacks something.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The image could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// QEMU could not be started.
    #[error("cannot run {program}: {source}")]
    QemuStart {
        /// The program.
        program: String,
        /// What the host says.
        source: io::Error,
    },
    /// QEMU did not accept its arguments.
    #[error("QEMU refused to start: {message}")]
    QemuRefused {
        /// What it said.
        message: String,
    },
    /// Someone asked the command to end.
    #[error("interrupted")]
    Interrupted,
}

/// What people call one of an image's files.
fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Image => "Image",
        ImageFormat::Elf => "ELF file",
    }
}

/// What a machine takes, in words.
fn count(cpus: &RangeInclusive<u32>) -> String {
    let (least, most) = (cpus.start(), cpus.end());
    if least == most { format!("has {most} CPUs") } else { format!("takes {least} to {most} CPUs") }
}
