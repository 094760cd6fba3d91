//! A [`Topology`] from a devicetree, by the rules of Linux arm64 (`of_parse_and_init_cpus`) and of the binding `arm/cpus.yaml`.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

use super::{Cpu, FdtOptions, Findings, LeftOut, MethodIndex, Placement, Reason, Topology, TopologyError};
use crate::cpu::{CpuIndex, HwId};

/// How deep sockets and clusters may nest in `cpu-map` before what lies deeper is not placed.
const MAX_MAP_DEPTH: usize = 8;

impl Topology {
    /// Reads the machine's CPUs from `/cpus` of a devicetree, replacing what the topology held, and calls `left_out` for
    /// every CPU that cannot be used, each once.
    ///
    /// - A node is a CPU's if its `device_type` is `cpu`, or its name without the unit address.
    /// - The boot CPU is the node whose id is [`FdtOptions::boot_cpu`], wherever it stands; it needs no `enable-method`, and
    ///   neither `nr_cpus` nor [`MAX_CPUS`](crate::MAX_CPUS) leaves it out. If no node is, every CPU is left out: the machine is described
    ///   wrongly, and runs on the CPU that boots.
    /// - Of nodes with one id the first counts. Of several strings in `enable-method` the first that is known counts.
    /// - `status = "disabled"` says that the CPU is quiescent until its enable method starts it (Devicetree Specification
    ///   0.4, section 3.8.1): it is used. Any other value but `okay` leaves it out.
    ///
    /// # Errors
    /// [`TopologyError`], with nothing but the boot CPU in the topology.
    pub fn read_fdt(
        &mut self,
        fdt: &Fdt<'_>,
        options: &FdtOptions<'_>,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, TopologyError> {
        self.clear(options.boot_cpu);
        let cpus = fdt.find_node("/cpus").ok_or(TopologyError::NoCpus)?;
        let cells = match cell(&cpus, "#address-cells").or(cell(&fdt.root(), "#address-cells")).unwrap_or(1) {
            cells @ (1 | 2) => cells,
            cells => return Err(TopologyError::AddressCells(cells)),
        };
        let is_boot = |node| HwId::of_node(&node, cells, options.hw_id_mask) == Ok(options.boot_cpu);
        let boot_cpu_found = cpus.children().filter(is_cpu).any(is_boot);

        let mut reader = Reader { topology: self, options, cells, boot_cpu_found, boot_cpu_read: false };
        let mut findings = Findings { boot_cpu_found, left_out: 0 };
        for node in cpus.children().filter(is_cpu) {
            if let Err(reason) = reader.read(&node) {
                findings.left_out += 1;
                let hw_id = HwId::of_node(&node, cells, u64::MAX).ok();
                left_out(LeftOut { node: node.name(), hw_id, reason });
            }
        }
        if let Some(map) = cpus.child("cpu-map") {
            Placer { topology: self, clusters: 0 }.place_below(map, MAX_MAP_DEPTH);
        }
        Ok(findings)
    }
}

/// Whether a child of `/cpus` is a CPU: by its `device_type`, or by its name without the unit address. Its other children are
/// `cpu-map`, idle states and caches.
#[must_use]
pub fn is_cpu(node: &FdtNode<'_>) -> bool {
    let device_type = node.property("device_type");
    device_type.is_some_and(|device_type| device_type.value() == b"cpu\0") || node.name_without_address() == "cpu"
}

fn cell(node: &FdtNode<'_>, name: &str) -> Option<u32> {
    number(node, name, 1).map(|number| number as u32)
}

/// A property that is one number of `cells` cells.
fn number(node: &FdtNode<'_>, name: &str, cells: u32) -> Option<u64> {
    let property = node.property(name)?;
    let value = property.value();
    let is_number = value.len() == cells as usize * 4;
    is_number.then(|| value.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

impl HwId {
    fn of_node(node: &FdtNode<'_>, cells: u32, mask: u64) -> Result<Self, Reason> {
        let id = number(node, "reg", cells).ok_or(Reason::BadReg)?;
        if id & !mask == 0 { Ok(Self(id)) } else { Err(Reason::BadId) }
    }
}

struct Reader<'a> {
    topology: &'a mut Topology,
    options: &'a FdtOptions<'a>,
    cells: u32,
    boot_cpu_found: bool,
    boot_cpu_read: bool,
}

impl Reader<'_> {
    /// Enters the CPU of `node` into the topology.
    fn read(&mut self, node: &FdtNode<'_>) -> Result<(), Reason> {
        let hw_id = HwId::of_node(node, self.cells, self.options.hw_id_mask)?;
        if hw_id == self.options.boot_cpu {
            if core::mem::replace(&mut self.boot_cpu_read, true) {
                return Err(Reason::Duplicate);
            }
            self.store(CpuIndex::BOOT, node, hw_id, self.method(node).ok());
            return Ok(());
        }
        if !self.boot_cpu_found {
            return Err(Reason::BootCpuMissing);
        }
        if self.topology.find(hw_id).is_some() {
            return Err(Reason::Duplicate);
        }
        if !may_be_started(node) {
            return Err(Reason::Status);
        }
        let method = self.method(node)?;
        let index = self.topology.next_index(self.options.nr_cpus)?;
        self.topology.others += 1;
        self.store(index, node, hw_id, Some(method));
        Ok(())
    }

    fn store(&mut self, index: CpuIndex, node: &FdtNode<'_>, hw_id: HwId, method: Option<MethodIndex>) {
        self.topology.phandles[index.get()] = cell(node, "phandle").unwrap_or(0);
        self.topology.cpus[index.get()] = Cpu {
            index,
            hw_id,
            method,
            release_address: number(node, "cpu-release-addr", 2).or(number(node, "cpu-release-addr", 1)),
            placement: None,
            numa_node: cell(node, "numa-node-id"),
            acpi: None,
        };
    }

    fn method(&self, node: &FdtNode<'_>) -> Result<MethodIndex, Reason> {
        let names = node.property("enable-method").ok_or(Reason::NoMethod)?;
        let known = |name: &[u8]| self.options.methods.iter().position(|method| method.as_bytes() == name);
        let position = names.value().split(|&byte| byte == 0).find_map(known).ok_or(Reason::UnknownMethod)?;
        u8::try_from(position).map(MethodIndex).map_err(|_| Reason::UnknownMethod)
    }
}

fn may_be_started(node: &FdtNode<'_>) -> bool {
    let status = node.property("status");
    status.is_none_or(|status| matches!(status.value(), b"okay\0" | b"ok\0" | b"disabled\0"))
}

/// Walks `cpu-map` (binding `cpu/cpu-topology.txt`). Numbers are counted, not read from the nodes' names.
struct Placer<'a> {
    topology: &'a mut Topology,
    /// How many clusters with cores have been seen.
    clusters: u16,
}

impl Placer<'_> {
    /// Places what lies below a socket, a cluster, or the map itself.
    fn place_below(&mut self, group: FdtNode<'_>, depth: usize) {
        let mut cores = 0;
        for node in group.children() {
            if node.name().starts_with("core") {
                self.place_core(node, cores);
                cores = cores.saturating_add(1);
            } else if let Some(depth) = depth.checked_sub(1) {
                self.place_below(node, depth);
            }
        }
        if cores > 0 {
            self.clusters = self.clusters.saturating_add(1);
        }
    }

    fn place_core(&mut self, node: FdtNode<'_>, core: u16) {
        self.place(&node, core, 0);
        let threads = node.children().filter(|child| child.name().starts_with("thread"));
        for (thread, node) in threads.enumerate() {
            self.place(&node, core, u16::try_from(thread).unwrap_or(u16::MAX));
        }
    }

    /// Places the CPU that a leaf refers to. The first leaf that does counts.
    fn place(&mut self, leaf: &FdtNode<'_>, core: u16, thread: u16) {
        let phandles = &self.topology.phandles[..=self.topology.others];
        let refers_to = |phandle: u32| phandles.iter().position(|&other| other == phandle);
        let place = cell(leaf, "cpu").filter(|&phandle| phandle != 0).and_then(refers_to);
        if let Some(index) = place {
            let placement = Placement { cluster: self.clusters, core, thread };
            self.topology.cpus[index].placement.get_or_insert(placement);
        }
    }
}
