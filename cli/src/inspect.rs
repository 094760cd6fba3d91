//! Checks a board's devicetree, for someone whose second core does not come up: which CPUs would, how each is started, and what
//! is wrong with the others.
//!
//! What counts as a CPU, and what becomes of it, is decided by the library ([`reveille::Topology`],
//! [`reveille_aarch64::psci::PsciNode`]), so a kernel on the library comes to the same. `board` asks it and adds what it does
//! not tell; `nodes`, `methods` and `cpu_map` look for what is wrong; [`finding`] says what each finding means; [`text`]
//! shows it all.

mod board;
mod cpu_map;
pub mod finding;
mod memory;
mod methods;
mod nodes;
mod property;
pub mod text;

use std::path::{Path, PathBuf};

use dtoolkit::fdt::Fdt;
use reveille::HwId;
use reveille::topology::open_fdt;
use serde::Serialize;

use crate::devicetree;
use crate::error::Error;
use board::Board;
use finding::{Finding, Severity};

/// Where a running Linux shows the devicetree that it was started with.
const OWN_DEVICETREE: &str = "/sys/firmware/fdt";
/// The version of the JSON.
const SCHEMA: u32 = 1;

/// What was found out about one devicetree.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: String,
    /// What the board calls itself (`model`).
    pub model: Option<String>,
    /// What its devicetree says it is (`compatible`).
    pub compatible: Vec<String>,
    /// The CPU that is taken for the one that boots.
    pub boot_cpu: BootCpu,
    /// The CPUs, in the order of the devicetree.
    pub cpus: Vec<CpuNode>,
    /// The PSCI firmware, where there is some to use.
    pub psci: Option<PsciFirmware>,
    /// What is wrong or odd, the worst first.
    pub findings: Vec<Finding>,
}

/// The CPU that boots: a devicetree does not say for certain, since that CPU names itself by its id register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BootCpu {
    /// Its id.
    pub id: u64,
    /// How it was chosen.
    pub by: BootCpuSource,
}

/// How the boot CPU was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootCpuSource {
    /// The user named it.
    Given,
    /// The header of the file does (`boot_cpuid_phys`), and there is such a CPU.
    Header,
    /// It is the first CPU in the tree.
    FirstNode,
    /// No CPU in the tree has an id that can be read.
    Nothing,
}

/// A CPU of the devicetree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuNode {
    /// The name of its node.
    pub node: String,
    /// Its id, where one can be read.
    pub id: Option<u64>,
    /// Its logical number, if a kernel on the library would use it.
    pub index: Option<usize>,
    /// Its `compatible` strings.
    pub compatible: Vec<String>,
    /// Its `enable-method` strings.
    pub enable_method: Vec<String>,
    /// Its `cpu-release-addr`.
    pub release_address: Option<u64>,
    /// Where `cpu-map` places it.
    pub placement: Option<Placement>,
    /// Its `numa-node-id`.
    pub numa_node: Option<u32>,
    /// Whether it is the boot CPU.
    pub boots: bool,
    /// Whether it can come up.
    pub can_come_up: bool,
}

/// Where a CPU sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The cluster.
    pub cluster: u16,
    /// The core in it.
    pub core: u16,
    /// The thread on that.
    pub thread: u16,
}

/// PSCI firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PsciFirmware {
    /// How it is called: `smc` or `hvc`.
    pub conduit: &'static str,
    /// Whether it is of version 0.1, whose function ids are in the devicetree.
    pub v0_1: bool,
    /// The id of CPU_ON.
    pub cpu_on: Option<u32>,
    /// The id of CPU_OFF.
    pub cpu_off: Option<u32>,
}

impl Inspection {
    /// Whether something keeps a CPU from coming up.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity() == Severity::Error)
    }

    /// How many CPUs can come up, the boot CPU among them.
    #[must_use]
    pub fn can_come_up(&self) -> usize {
        self.cpus.iter().filter(|cpu| cpu.can_come_up).count()
    }
}

/// Inspects `files`, and without any the devicetree that the running machine was started with. What is no devicetree, or cannot
/// be read, is an [`Error::Devicetree`] beside the others' inspections.
#[must_use]
pub fn inspect_all(files: &[PathBuf], boot_cpu: Option<HwId>) -> (Vec<Inspection>, Vec<Error>) {
    let own = [PathBuf::from(OWN_DEVICETREE)];
    let (mut inspections, mut errors) = (Vec::new(), Vec::new());
    for file in if files.is_empty() { &own } else { files } {
        let result = if files.is_empty() && !file.exists() { Err(no_own()) } else { inspect_file(file, boot_cpu) };
        match result {
            Ok(inspection) => inspections.push(inspection),
            Err(error) => errors.push(error),
        }
    }
    (inspections, errors)
}

fn no_own() -> Error {
    let problem = "this machine was not started with one, or its kernel does not show it; name a file".into();
    Error::Devicetree { path: OWN_DEVICETREE.into(), problem }
}

fn inspect_file(path: &Path, boot_cpu: Option<HwId>) -> Result<Inspection, Error> {
    let problem = |problem| Error::Devicetree { path: path.to_owned(), problem };
    let bytes = devicetree::read(path)?;
    let fdt = open_fdt(&bytes).map_err(|error| problem(error.to_string()))?;
    Ok(inspect(&path.display().to_string(), &fdt, boot_cpu))
}

/// Inspections as JSON (`docs/inspect.schema.json`); nothing where there are none.
#[must_use]
pub fn json(inspections: &[Inspection]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        inspections: &'a [Inspection],
    }
    if inspections.is_empty() {
        return String::new();
    }
    // Numbers, strings and lists of them can always be written.
    let json = serde_json::to_string_pretty(&Document { schema: SCHEMA, inspections });
    json.map_or_else(|error| error.to_string(), |json| json + "\n")
}

/// Inspects a devicetree that is called `file`.
#[must_use]
pub fn inspect(file: &str, fdt: &Fdt<'_>, boot_cpu: Option<HwId>) -> Inspection {
    let board = Board::read(fdt, boot_cpu);
    let mut findings = Vec::new();
    nodes::check(&board, &mut findings);
    methods::check(&board, &mut findings);
    cpu_map::check(&board, &mut findings);
    findings.sort_by_key(Finding::severity);
    let root = fdt.root();
    Inspection {
        file: file.to_owned(),
        model: property::strings(&root, "model").into_iter().next(),
        compatible: property::strings(&root, "compatible"),
        boot_cpu: board.boot_cpu,
        psci: board.psci.ok().map(PsciFirmware::from),
        cpus: board.cpus.iter().map(|cpu| cpu.describe(&board)).collect(),
        findings,
    }
}
