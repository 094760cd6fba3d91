//! Devicetrees for the tests, and what reading one comes to.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::topology::{FdtOptions, Findings, Reason, TopologyError};
use reveille::{HwId, MAX_CPUS, Topology};

/// The affinity fields of MPIDR_EL1.
pub const AFFINITY: u64 = 0xff_00ff_ffff;
pub const PSCI: &[u8] = b"psci\0";

/// Builds nodes in one expression.
pub trait Build: Sized {
    fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self;
    fn without(self, name: &str) -> Self;
    fn child(self, child: DeviceTreeNode) -> Self;
}

impl Build for DeviceTreeNode {
    fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add_property(DeviceTreeProperty::new(name, value.as_ref().to_vec()).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.remove_property(name);
        self
    }

    fn child(mut self, child: DeviceTreeNode) -> Self {
        self.add_child(child);
        self
    }
}

pub fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new(name).unwrap()
}

pub fn cell(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// A CPU of the kind that most trees have: one cell, PSCI.
pub fn cpu(id: u32) -> DeviceTreeNode {
    named_cpu(&format!("cpu@{id:x}"), cell(id))
}

pub fn named_cpu(name: &str, reg: impl AsRef<[u8]>) -> DeviceTreeNode {
    node(name).with("device_type", b"cpu\0").with("reg", reg).with("enable-method", PSCI)
}

/// `/cpus` with one-cell ids.
pub fn cpus(children: impl IntoIterator<Item = DeviceTreeNode>) -> DeviceTreeNode {
    let cpus = node("cpus").with("#address-cells", cell(1)).with("#size-cells", cell(0));
    children.into_iter().fold(cpus, Build::child)
}

/// The blob of a tree whose root has one child.
pub fn blob(cpus: DeviceTreeNode) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root.add_child(cpus);
    tree.to_dtb()
}

pub fn options() -> FdtOptions<'static> {
    FdtOptions { boot_cpu: HwId(0), hw_id_mask: AFFINITY, methods: &["psci", "spin-table"], nr_cpus: MAX_CPUS }
}

/// What reading a tree came to.
pub struct Reading {
    pub topology: Box<Topology>,
    pub findings: Result<Findings, TopologyError>,
    /// Name, id and reason of each CPU that was left out.
    pub left_out: Vec<(String, Option<u64>, Reason)>,
}

impl Reading {
    pub fn of_blob(blob: &[u8], options: &FdtOptions<'_>) -> Self {
        let mut topology = Box::new(Topology::new(HwId(0xdead)));
        let mut left_out = Vec::new();
        let findings = topology.read_fdt(&Fdt::new(blob).unwrap(), options, &mut |cpu| {
            left_out.push((cpu.node.to_owned(), cpu.hw_id.map(|id| id.0), cpu.reason));
        });
        Self { topology, findings, left_out }
    }

    pub fn with_options(cpus: DeviceTreeNode, options: &FdtOptions<'_>) -> Self {
        Self::of_blob(&blob(cpus), options)
    }

    pub fn of(cpus: DeviceTreeNode) -> Self {
        Self::with_options(cpus, &options())
    }

    /// Of `/cpus` with these CPUs.
    pub fn of_cpus(children: impl IntoIterator<Item = DeviceTreeNode>) -> Self {
        Self::of(cpus(children))
    }

    /// The ids in the order of the indices, after checking that the indices count from 0.
    pub fn ids(&self) -> Vec<u64> {
        let cpus = self.topology.cpus();
        assert!(cpus.iter().enumerate().all(|(position, cpu)| cpu.index.get() == position));
        cpus.iter().map(|cpu| cpu.hw_id.0).collect()
    }

    pub fn reasons(&self) -> Vec<(&str, Reason)> {
        self.left_out.iter().map(|(node, _, reason)| (node.as_str(), *reason)).collect()
    }

    /// The method's index, of each CPU.
    pub fn methods(&self) -> Vec<Option<u8>> {
        self.topology.cpus().iter().map(|cpu| cpu.method.map(|method| method.0)).collect()
    }
}
