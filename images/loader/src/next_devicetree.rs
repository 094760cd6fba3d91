//! What the payload is told of the machine: the loader's own devicetree, with what to run with, and how to have the CPUs.

use alloc::vec::Vec;
use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property, ToPropertyValue};
use reveille::handover::Departure;
use reveille_aarch64::handover::ReleasePen;
use reveille_runtime::cpus::topology;
use reveille_runtime::println;

use crate::lk_main::Loader;
use crate::payload::Payload;

const DAMAGED: &str = "the devicetree cannot be changed";

/// How the CPUs are found.
pub struct Cpus<'a> {
    /// What became of each, by its index.
    pub departures: &'a [Departure],
    /// The pen in which they wait, if that is where they are.
    pub pen: Option<&'a ReleasePen>,
    /// What is nobody's.
    pub reserved: &'a [Range<usize>],
}

/// The changed devicetree.
///
/// # Errors
/// It lacks what every machine has.
pub fn build(loader: &Loader, payload: &Payload, cpus: &Cpus<'_>) -> Result<Vec<u8>, &'static str> {
    let mut tree = DeviceTree::from_fdt(&loader.fdt);
    describe_payload(&mut tree, payload)?;
    describe_cpus(&mut tree, cpus)?;
    let reserved = cpus.reserved.iter();
    tree.memory_reservations
        .extend(reserved.map(|range| MemoryReservation::new(range.start as u64, range.len() as u64)));
    Ok(tree.to_dtb())
}

/// Says what the payload, which reads `fdt`, leaves alone, and how many CPUs wait for a word there.
pub fn tell_reserved(fdt: &Fdt<'_>) {
    for reservation in fdt.memory_reservations() {
        let range = reservation.address()..reservation.address() + reservation.size();
        let word = |node: FdtNode<'_>| node.property("cpu-release-addr")?.value_as::<u64>().ok();
        let cpus = fdt.find_node("/cpus").into_iter().flat_map(|cpus| cpus.children());
        let waiting = cpus.filter(|&node| word(node).is_some_and(|word| range.contains(&word))).count();
        println!("The payload leaves {:#x} to {:#x} alone, with the words of {waiting} CPUs", range.start, range.end);
    }
}

fn describe_payload(tree: &mut DeviceTree, payload: &Payload) -> Result<(), &'static str> {
    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new("chosen").map_err(|_| DAMAGED)?);
    }
    let chosen = tree.root.child_mut("chosen").ok_or(DAMAGED)?;
    for own in ["bootargs", "linux,initrd-start", "linux,initrd-end"] {
        let _ = chosen.remove_property(own);
    }
    if !payload.command_line.is_empty() {
        chosen.add_property(property("bootargs", payload.command_line.as_str())?);
    }
    if let Some(initrd) = payload.place("initrd") {
        chosen.add_property(property("linux,initrd-start", initrd.start as u64)?);
        chosen.add_property(property("linux,initrd-end", initrd.end as u64)?);
    }
    if let Some(module) = payload.place("module") {
        // As Xen takes its first guest (Xen, docs/misc/arm/device-tree/booting.txt).
        chosen.add_property(property("#address-cells", 2_u32)?);
        chosen.add_property(property("#size-cells", 2_u32)?);
        let mut node = DeviceTreeNode::new(alloc::format!("module@{:x}", module.start)).map_err(|_| DAMAGED)?;
        node.add_property(property("compatible", ["multiboot,kernel", "multiboot,module"].as_slice())?);
        let [start, size] = [module.start, module.len()].map(|number| (number as u64).to_be_bytes());
        node.add_property(property("reg", [start, size].concat())?);
        if !payload.module_command_line.is_empty() {
            node.add_property(property("bootargs", payload.module_command_line.as_str())?);
        }
        chosen.add_child(node);
    }
    Ok(())
}

/// Offers the CPUs that are gone, by the method that finds them, and no other.
fn describe_cpus(tree: &mut DeviceTree, found: &Cpus<'_>) -> Result<(), &'static str> {
    let cells = loader_address_cells(tree);
    let cpus = tree.root.child_mut("cpus").ok_or("the devicetree has no CPUs")?;
    let mut not_offered = Vec::new();
    for node in cpus.children_mut().filter(|node| node.name_without_address() == "cpu") {
        let reg = node.property("reg").and_then(|reg| hw_id(reg.value(), cells)).ok_or(DAMAGED)?;
        let Some(cpu) = topology().cpus().iter().find(|cpu| cpu.hw_id.0 == reg) else { continue };
        let is_gone = cpu.index.is_boot() || found.departures[cpu.index.get()].is_gone();
        #[cfg(feature = "faults")]
        let is_gone = is_gone || crate::fault::offers_all();
        match found.pen {
            _ if !is_gone => not_offered.push(alloc::string::String::from(node.name())),
            Some(pen) => {
                node.add_property(property("enable-method", "spin-table")?);
                node.add_property(property("cpu-release-addr", pen.release_address(cpu.index))?);
            }
            None => {}
        }
    }
    if !not_offered.is_empty() {
        // It names CPUs by their nodes.
        let _ = cpus.remove_child("cpu-map");
    }
    for name in not_offered {
        let _ = cpus.remove_child(&name);
    }
    Ok(())
}

/// How many cells the `reg` of a CPU has.
fn loader_address_cells(tree: &DeviceTree) -> usize {
    let cells = tree.find_node("/cpus").and_then(|cpus| cpus.property("#address-cells")?.value_as::<u32>().ok());
    cells.unwrap_or(2) as usize
}

fn hw_id(reg: &[u8], cells: usize) -> Option<u64> {
    let reg = reg.get(..cells * 4)?;
    Some(reg.iter().fold(0, |id, &byte| id << 8 | u64::from(byte)))
}

fn property(name: &str, value: impl ToPropertyValue) -> Result<DeviceTreeProperty, &'static str> {
    DeviceTreeProperty::new(name, value).map_err(|_| DAMAGED)
}
