//! What the library makes of a devicetree, and the nodes that it looked at.

use dtoolkit::Node;
use dtoolkit::fdt::{Fdt, FdtNode};
use reveille::topology::{FdtOptions, Reason, TopologyError, is_cpu};
use reveille::{HwId, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::psci::{Conduit, PsciNode, PsciNodeError};

use super::{BootCpu, BootCpuSource, CpuNode, Placement, PsciFirmware, property};

/// The enable methods that arm64 has for devicetrees.
const METHODS: &[&str] = &[PSCI, SPIN_TABLE];
/// Firmware starts the CPU.
pub const PSCI: &str = "psci";
/// The CPU polls a word in memory.
pub const SPIN_TABLE: &str = "spin-table";

/// A devicetree, as the library reads it.
pub struct Board<'a> {
    pub fdt: Fdt<'a>,
    /// The node `/cpus`.
    pub cpus_node: Option<FdtNode<'a>>,
    /// How many cells an id has; `None` where that is neither 1 nor 2.
    pub address_cells: Option<u32>,
    pub boot_cpu: BootCpu,
    /// Why there is no topology.
    pub error: Option<TopologyError>,
    pub cpus: Vec<BoardCpu<'a>>,
    pub psci: Result<PsciNode, PsciNodeError>,
}

/// A node that the library takes for a CPU's.
pub struct BoardCpu<'a> {
    pub node: FdtNode<'a>,
    /// Its id, where one could be read.
    pub id: Option<u64>,
    /// What the library made of it.
    pub fate: Fate,
}

/// What became of a CPU.
#[derive(Clone, Copy)]
pub enum Fate {
    /// It is in the topology.
    Used(reveille::Cpu),
    /// It is not.
    LeftOut(Reason),
    /// There is no topology.
    NoTopology,
}

impl<'a> Board<'a> {
    /// Reads the devicetree; `boot_cpu` is the boot CPU if the user knows it.
    pub fn read(fdt: &Fdt<'a>, boot_cpu: Option<HwId>) -> Self {
        let cpus_node = fdt.find_node("/cpus");
        let nodes: Vec<FdtNode<'a>> = cpus_node.into_iter().flat_map(|cpus| cpus.children()).filter(is_cpu).collect();
        let address_cells = cpus_node.as_ref().and_then(|cpus| address_cells(fdt, cpus));
        let read_id = |node: &FdtNode<'a>| read_id(node, address_cells?);
        let ids = nodes.iter().filter_map(read_id);
        let boot_cpu = choose_boot_cpu(fdt, ids, boot_cpu);
        let mut topology = Box::new(Topology::new(HwId(boot_cpu.id)));
        let options = FdtOptions {
            boot_cpu: HwId(boot_cpu.id),
            hw_id_mask: AFFINITY_MASK,
            methods: METHODS,
            nr_cpus: usize::MAX,
        };
        let mut left_out = Vec::new();
        let error = topology
            .read_fdt(fdt, &options, &mut |cpu| left_out.push((cpu.node.as_ptr(), cpu.hw_id, cpu.reason)))
            .err();
        let fate = |node: FdtNode<'a>| {
            // Names may be there twice; their places in the file are not.
            let left_out = left_out.iter().find(|(name, ..)| std::ptr::eq(*name, node.name().as_ptr()));
            let id = left_out.map_or_else(|| read_id(&node), |(_, id, _)| id.map(|id| id.0));
            let fate = match (left_out, id.and_then(|id| topology.find(HwId(id)))) {
                (Some((.., reason)), _) => Fate::LeftOut(*reason),
                (None, Some(cpu)) if error.is_none() => Fate::Used(*cpu),
                _ => Fate::NoTopology,
            };
            BoardCpu { node, id, fate }
        };
        let cpus = nodes.into_iter().map(fate).collect();
        Self { fdt: *fdt, cpus_node, address_cells, boot_cpu, error, cpus, psci: PsciNode::from_fdt(fdt) }
    }

    /// The path of a child of `/cpus`.
    pub fn path(node: &FdtNode<'_>) -> String {
        format!("/cpus/{}", node.name())
    }

    /// Whether firmware can start CPUs.
    pub fn has_cpu_on(&self) -> bool {
        self.psci.is_ok_and(|psci| psci.functions.cpu_on.is_some())
    }
}

impl BoardCpu<'_> {
    /// The method by which the library would start it.
    pub fn method(&self) -> Option<&'static str> {
        match self.fate {
            Fate::Used(cpu) => METHODS.get(usize::from(cpu.method?.0)).copied(),
            _ => None,
        }
    }

    /// Its place in the library's topology.
    pub fn used(&self) -> Option<&reveille::Cpu> {
        match &self.fate {
            Fate::Used(cpu) => Some(cpu),
            _ => None,
        }
    }

    pub fn boots(&self) -> bool {
        self.used().is_some_and(|cpu| cpu.index.is_boot())
    }

    /// Whether it can come up: it is used, its method can start it, and it can run 64-bit code.
    pub fn can_come_up(&self, board: &Board<'_>) -> bool {
        let Some(cpu) = self.used() else { return false };
        if super::nodes::thirty_two_bit(&self.node).is_some() {
            return false;
        }
        let by_method = match self.method() {
            Some(PSCI) => board.has_cpu_on(),
            Some(SPIN_TABLE) => cpu.release_address.is_some_and(|address| address != 0 && address % 8 == 0),
            _ => false,
        };
        self.boots() || by_method
    }

    /// It, for the report.
    pub fn describe(&self, board: &Board<'_>) -> CpuNode {
        let used = self.used();
        let placement = used.and_then(|cpu| cpu.placement);
        CpuNode {
            node: self.node.name().to_owned(),
            id: self.id,
            index: used.map(|cpu| cpu.index.get()),
            compatible: property::strings(&self.node, "compatible"),
            enable_method: property::strings(&self.node, "enable-method"),
            release_address: property::cells(&self.node, "cpu-release-addr").map(|cells| property::number(&cells)),
            placement: placement.map(|place| Placement {
                cluster: place.cluster,
                core: place.core,
                thread: place.thread,
            }),
            numa_node: property::cell(&self.node, "numa-node-id"),
            boots: self.boots(),
            can_come_up: self.can_come_up(board),
        }
    }
}

impl From<PsciNode> for PsciFirmware {
    fn from(node: PsciNode) -> Self {
        let conduit = match node.conduit {
            Conduit::Smc => "smc",
            Conduit::Hvc => "hvc",
        };
        let functions = node.functions;
        Self { conduit, v0_1: functions.version.is_none(), cpu_on: functions.cpu_on, cpu_off: functions.cpu_off }
    }
}

/// The id of a CPU's node, if it is one that a CPU can have.
fn read_id(node: &FdtNode<'_>, address_cells: u32) -> Option<u64> {
    let cells = property::cells(node, "reg")?;
    let id = property::number(&cells);
    (cells.len() == address_cells as usize && id & !AFFINITY_MASK == 0).then_some(id)
}

/// How many cells an id has: what `/cpus` says, else the root, else 1.
fn address_cells(fdt: &Fdt<'_>, cpus: &FdtNode<'_>) -> Option<u32> {
    let said = |node: &FdtNode<'_>| property::cell(node, "#address-cells");
    let cells = said(cpus).or_else(|| said(&fdt.root())).unwrap_or(1);
    matches!(cells, 1 | 2).then_some(cells)
}

fn choose_boot_cpu(fdt: &Fdt<'_>, ids: impl Iterator<Item = u64>, given: Option<HwId>) -> BootCpu {
    if let Some(HwId(id)) = given {
        return BootCpu { id, by: BootCpuSource::Given };
    }
    let mut ids = ids.peekable();
    let header = u64::from(fdt.boot_cpuid_phys());
    match ids.peek().copied() {
        Some(_) if ids.any(|id| id == header) => BootCpu { id: header, by: BootCpuSource::Header },
        Some(first) => BootCpu { id: first, by: BootCpuSource::FirstNode },
        None => BootCpu { id: 0, by: BootCpuSource::Nothing },
    }
}
