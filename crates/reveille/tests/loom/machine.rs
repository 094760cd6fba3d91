//! The machine of the models.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::topology::FdtOptions;
use reveille::{HwId, Topology};

/// Two CPUs.
pub fn topology() -> Box<Topology> {
    let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value.to_vec()).unwrap();
    let mut cpus = DeviceTreeNode::new("cpus").unwrap();
    for id in 0..2u32 {
        let mut cpu = DeviceTreeNode::new(format!("cpu@{id}")).unwrap();
        cpu.add_property(property("reg", &id.to_be_bytes()));
        cpu.add_property(property("enable-method", b"loom\0"));
        cpus.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(cpus);
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: u64::MAX, methods: &["loom"], nr_cpus: 2 };
    let mut topology = Box::new(Topology::new(HwId(0)));
    let findings = topology.read_fdt(&Fdt::new(&tree.to_dtb()).unwrap(), &options, &mut |_| ());
    assert_eq!(findings.unwrap().left_out, 0);
    topology
}
