//! How a machine describes its CPUs: by a devicetree, or by ACPI's MADT.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::topology::{FdtOptions, MadtOptions, MethodIndex};
use reveille::{HwId, MAX_CPUS, Topology};

use crate::parked::{MAILBOXES, PAGE};

/// What the machine's description says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Description {
    /// So many CPUs, all with PSCI.
    Devicetree(usize),
    /// So many CPUs, each with a mailbox, but for those at these places.
    Madt(usize, Vec<usize>),
}

/// The topology, read once in the life of the process: it is large.
pub(crate) fn topology(description: Description) -> &'static Topology {
    static READ: Mutex<Option<HashMap<Description, &'static Topology>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let known = read.get_or_insert_default();
    if let Some(topology) = known.get(&description) {
        return topology;
    }
    let mut topology = Box::new(Topology::new(HwId(0)));
    match &description {
        Description::Devicetree(cpus) => read_devicetree(&mut topology, *cpus),
        Description::Madt(cpus, without_version) => read_madt(&mut topology, *cpus, without_version),
    }
    known.entry(description).or_insert(Box::leak(topology))
}

/// The hardware id of the CPU at `place`: sixteen to a cluster, as QEMU counts them.
fn hw_id(place: usize) -> u32 {
    ((place / 16) << 8 | (place % 16)) as u32
}

fn read_devicetree(topology: &mut Topology, cpus: usize) {
    let node = |name: String| DeviceTreeNode::new(name).unwrap_or_else(|error| panic!("{error}"));
    let property = |name: &str, value: &[u8]| {
        DeviceTreeProperty::new(name, value.to_vec()).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut all = node("cpus".into());
    for place in 0..cpus {
        let mut cpu = node(format!("cpu@{:x}", hw_id(place)));
        cpu.add_property(property("reg", &hw_id(place).to_be_bytes()));
        cpu.add_property(property("enable-method", b"psci\0"));
        all.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(all);
    let blob = tree.to_dtb();
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: u64::MAX, methods: &["psci"], nr_cpus: MAX_CPUS };
    if let Ok(fdt) = Fdt::new(&blob) {
        let _ = topology.read_fdt(&fdt, &options, &mut |_| ());
    }
}

/// The offsets and lengths of the ACPI Specification 6.5, sections 5.2.12 and 5.2.12.14.
fn read_madt(topology: &mut Topology, cpus: usize, without_version: &[usize]) {
    const GICC: usize = 80;
    let mut table = vec![0; 44];
    table[..4].copy_from_slice(b"APIC");
    for place in 0..cpus {
        let version = u32::from(!without_version.contains(&place));
        let mailbox = MAILBOXES + PAGE * place as u64;
        let mut entry = [0; GICC];
        entry[..2].copy_from_slice(&[0xb, GICC as u8]);
        entry[4..8].copy_from_slice(&interface(place).to_le_bytes());
        entry[8..12].copy_from_slice(&(place as u32).to_le_bytes());
        entry[12] = 1;
        entry[16..20].copy_from_slice(&version.to_le_bytes());
        entry[24..32].copy_from_slice(&mailbox.to_le_bytes());
        entry[68..76].copy_from_slice(&u64::from(hw_id(place)).to_le_bytes());
        table.extend(entry);
    }
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
    let options = MadtOptions {
        boot_cpu: HwId(0),
        hw_id_mask: u64::MAX,
        psci: None,
        parking_protocol: Some(MethodIndex(0)),
        nr_cpus: MAX_CPUS,
    };
    let _ = topology.read_madt(&table, &options, &mut |_| ());
}

/// The number of the interface of the CPU at `place`, which nobody takes for an index.
const fn interface(place: usize) -> u32 {
    place as u32 + 100
}
