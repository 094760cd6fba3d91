//! Which CPUs a machine has, what they are called, how each is started: [`Topology`].
//!
//! [`Topology::read_fdt`] reads it from a devicetree, [`Topology::read_madt`] from ACPI's MADT, and [`Topology::probe`] asks for one CPU
//! after the other. Whatever is wrong with these, reading
//! ends: a CPU that cannot be used is left out and reported with a [`Reason`], the rest boots.

mod acpi;
mod blob;
mod fdt;
mod probe;

use core::fmt;

use crate::cpu::{CpuIndex, HwId, MAX_CPUS};

pub use acpi::MadtOptions;
pub use blob::{FdtError, open_fdt};
pub use fdt::is_cpu;
pub use probe::ProbeOptions;

/// Which of the caller's enable methods starts a CPU: an index into the slice that [`Topology::read_fdt`] was given, or what
/// [`MadtOptions`] said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodIndex(pub u8);

/// Where a CPU sits, as `/cpus/cpu-map` tells; CPUs that share all numbers above a level share that level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The outermost cluster; nested clusters are numbered in the order in which their leaves appear.
    pub cluster: u16,
    /// The core within its cluster.
    pub core: u16,
    /// The thread within its core; 0 for cores without threads.
    pub thread: u16,
}

/// A CPU of the machine that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its logical number: its place in [`Topology::cpus`].
    pub index: CpuIndex,
    /// What the hardware calls it.
    pub hw_id: HwId,
    /// How it is started. `None` only for a boot CPU, which needs no starting.
    pub method: Option<MethodIndex>,
    /// The physical address of what the CPU polls until it is started: `cpu-release-addr`, the word of a spin-table pen, or the mailbox
    /// of ACPI's parking protocol.
    pub release_address: Option<u64>,
    /// Where `cpu-map` places it.
    pub placement: Option<Placement>,
    /// `numa-node-id`.
    pub numa_node: Option<u32>,
    /// What ACPI calls it, if the topology was read from ACPI.
    pub acpi: Option<AcpiCpu>,
}

/// The numbers that ACPI has for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcpiCpu {
    /// The UID of its processor object in the namespace, by which other tables name it.
    pub uid: u32,
    /// The number of its interface to a GICv2, by which the parking protocol names it.
    pub cpu_interface: u32,
}

impl Cpu {
    const fn boot(hw_id: HwId) -> Self {
        Self {
            index: CpuIndex::BOOT,
            hw_id,
            method: None,
            release_address: None,
            placement: None,
            numa_node: None,
            acpi: None,
        }
    }
}

/// Why a CPU that the machine's description names is not in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The node has no `reg`, or one that is not one or two cells as `#address-cells` says.
    BadReg,
    /// `reg` has bits set that are no affinity field.
    BadId,
    /// Its MADT entry is too short for a CPU, or does not fit into the table.
    BadEntry,
    /// Its MADT entry is not enabled.
    NotEnabled,
    /// Its MADT entry is not enabled, and online-capable: it may be added to the machine later.
    OnlineCapable,
    /// An earlier node has the same id.
    Duplicate,
    /// `status` is neither `okay` nor `disabled`.
    Status,
    /// The node has no `enable-method`; in ACPI, there is no PSCI and the CPU has no mailbox.
    NoMethod,
    /// None of its `enable-method` strings is one of the caller's.
    UnknownMethod,
    /// No node or entry names the CPU that boots, so what is said of the others is not relied on.
    BootCpuMissing,
    /// The machine has more CPUs than `nr_cpus` allows.
    AboveNrCpus,
    /// The machine has more CPUs than [`MAX_CPUS`].
    AboveBuildMaximum,
}

impl Reason {
    /// Whether the machine's description is at fault, rather than someone having asked for fewer CPUs.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Status | Self::NotEnabled | Self::OnlineCapable | Self::AboveNrCpus)
    }
}

impl fmt::Display for Reason {
    // One call for all, since a call for each takes seven times the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadReg => "its reg is missing or not one id of #address-cells cells",
            Self::BadId => "its id has bits set outside the affinity fields",
            Self::BadEntry => "its entry in the MADT is damaged",
            Self::NotEnabled => "the MADT says that it is not enabled",
            Self::OnlineCapable => "the MADT says that it may be added later",
            Self::Duplicate => "its id is that of an earlier CPU",
            Self::Status => "its status says that it cannot be used",
            Self::NoMethod => "it has no enable-method",
            Self::UnknownMethod => "its enable-method is unknown",
            Self::BootCpuMissing => "the description of the machine does not name the boot CPU",
            Self::AboveNrCpus => "nr_cpus allows no more CPUs",
            Self::AboveBuildMaximum => "the build's maximum is reached",
        })
    }
}

impl core::error::Error for Reason {}

/// A CPU that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut<'a> {
    /// The name of its node, such as `cpu@100`, or of its MADT entry, such as `GICC uid 4`. For people: the number in a node's name means
    /// nothing.
    pub node: &'a str,
    /// Its id, where one could be read.
    pub hw_id: Option<HwId>,
    /// Why.
    pub reason: Reason,
}

/// Why no topology could be read from a devicetree. The machine then runs on its boot CPU alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The root has no node `cpus`.
    #[error("the devicetree has no /cpus node")]
    NoCpus,
    /// `/cpus` has an `#address-cells` other than 1 or 2.
    #[error("/cpus has #address-cells = {0}, and a CPU's id has 1 or 2")]
    AddressCells(u32),
}

/// What was noticed about the tree as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Findings {
    /// Whether a node names the CPU that boots. If not, the machine runs on that CPU alone.
    pub boot_cpu_found: bool,
    /// How many CPUs were left out.
    pub left_out: usize,
}

/// What [`Topology::read_fdt`] must know besides the tree.
#[derive(Clone, Copy)]
pub struct FdtOptions<'a> {
    /// The CPU that runs, by its own id register.
    pub boot_cpu: HwId,
    /// The bits that an id may have set: on arm64 the affinity fields of MPIDR_EL1, `0xff_00ff_ffff`.
    pub hw_id_mask: u64,
    /// The names of the enable methods that the caller has; a CPU's [`MethodIndex`] counts these.
    pub methods: &'a [&'a str],
    /// `nr_cpus`.
    pub nr_cpus: usize,
}

/// The CPUs of a machine: the boot CPU first, then the others in the order of the devicetree, or of the MADT.
///
/// About 30 KB with the default [`MAX_CPUS`]: make it a `static` (behind a lock), or put it on a heap.
pub struct Topology {
    cpus: [Cpu; MAX_CPUS],
    /// How many CPUs there are besides the boot CPU. Not how many there are: a `static` of zeros takes no room in an image.
    others: usize,
    /// The phandle of each CPU's node, 0 where there is none: too many for the stack that reads a tree.
    phandles: [u32; MAX_CPUS],
}

impl Topology {
    /// A machine with nothing but the CPU that runs. With `HwId(0)`, which [`Self::read_fdt`] replaces, a `static` of it lies in
    /// `.bss`.
    #[must_use]
    pub const fn new(boot_cpu: HwId) -> Self {
        Self { cpus: [Cpu::boot(boot_cpu); MAX_CPUS], others: 0, phandles: [0; MAX_CPUS] }
    }

    /// The CPUs, indexed by [`CpuIndex`]; the first is the boot CPU.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus[..=self.others]
    }

    /// Leaves nothing but the boot CPU.
    fn clear(&mut self, boot_cpu: HwId) {
        self.others = 0;
        self.cpus[0] = Cpu::boot(boot_cpu);
        self.phandles[0] = 0;
    }

    /// The index of the CPU that is entered next.
    fn next_index(&self, nr_cpus: usize) -> Result<CpuIndex, Reason> {
        let index = CpuIndex::new(self.others + 1).ok_or(Reason::AboveBuildMaximum)?;
        if index.get() < nr_cpus { Ok(index) } else { Err(Reason::AboveNrCpus) }
    }

    /// The CPU that the hardware calls `hw_id`.
    #[must_use]
    pub fn find(&self, hw_id: HwId) -> Option<&Cpu> {
        self.cpus().iter().find(|cpu| cpu.hw_id == hw_id)
    }
}
