//! What the next stage is told of the machine: QEMU's devicetree, with how CPUs are started, what to run with, and where the initrd is.

use alloc::vec::Vec;
use core::ops::Range;

use dtoolkit::fdt::Fdt;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};

use crate::cpus;
use crate::pens::Pens;

const DAMAGED: &str = "the devicetree cannot be changed";

/// What the next stage is given beside the machine.
pub struct Given {
    /// The command line, with a zero at its end; empty if there is none.
    pub command_line: Vec<u8>,
    /// Where its initrd is.
    pub initrd: Option<Range<usize>>,
    /// Where its other CPUs wait, if it is not to call for them.
    pub pens: Option<Pens>,
}

/// The changed devicetree.
///
/// # Errors
/// It lacks what every machine has.
pub fn patch(fdt: &Fdt<'_>, given: &Given) -> Result<Vec<u8>, &'static str> {
    let mut tree = DeviceTree::from_fdt(fdt);
    let _ = tree.root.remove_child("psci");
    tree.root.add_child(psci()?);

    let cpus = tree.root.child_mut("cpus").ok_or("the devicetree has no CPUs")?;
    for cpu in cpus.children_mut() {
        let is_cpu = cpu.property("device_type").is_some_and(|kind| kind.value() == b"cpu\0");
        if is_cpu {
            set_enable_method(cpu, given.pens)?;
        }
    }
    if let Some(pens) = given.pens {
        tree.memory_reservations.push(MemoryReservation::new(pens.address() as u64, Pens::SIZE as u64));
    }

    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new("chosen").map_err(|_| DAMAGED)?);
    }
    let chosen = tree.root.child_mut("chosen").ok_or(DAMAGED)?;
    if !given.command_line.is_empty() {
        chosen.add_property(property("bootargs", &given.command_line)?);
    }
    if let Some(initrd) = &given.initrd {
        chosen.add_property(property("linux,initrd-start", &(initrd.start as u64).to_be_bytes())?);
        chosen.add_property(property("linux,initrd-end", &(initrd.end as u64).to_be_bytes())?);
    }
    Ok(tree.to_dtb())
}

/// Says how a CPU is started.
fn set_enable_method(cpu: &mut DeviceTreeNode, pens: Option<Pens>) -> Result<(), &'static str> {
    let Some(pens) = pens else {
        cpu.add_property(property("enable-method", b"psci\0")?);
        return Ok(());
    };
    let id = cpu.property("reg").map(|reg| cpus::affinity_of(reg.value())).ok_or("a CPU has no reg")?;
    let place = cpus::place(id).ok_or("a CPU has come late")?;
    cpu.add_property(property("enable-method", b"spin-table\0")?);
    cpu.add_property(property("cpu-release-addr", &pens.word(place).to_be_bytes())?);
    Ok(())
}

/// The node that says how firmware is called.
fn psci() -> Result<DeviceTreeNode, &'static str> {
    let mut node = DeviceTreeNode::new("psci").map_err(|_| DAMAGED)?;
    node.add_property(property("compatible", b"arm,psci-1.0\0arm,psci-0.2\0")?);
    node.add_property(property("method", b"smc\0")?);
    Ok(node)
}

fn property(name: &str, value: &[u8]) -> Result<DeviceTreeProperty, &'static str> {
    DeviceTreeProperty::new(name, value).map_err(|_| DAMAGED)
}
