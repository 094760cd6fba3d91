//! The other direction: nodes that ask for guests, as a boot loader or a tool on the host adds them to a machine's devicetree.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

use crate::configuration::{GUEST_0, Guest};
use crate::module::Module;
use crate::pins::Pins;

/// Adds what asks for these guests to `/chosen`, such that [`Configuration::read`](crate::Configuration::read) finds them again, and Xen
/// finds the same. `bootargs` is the hypervisor's own command line; what guest 0 needs there is added to it.
///
/// Of guest 0 all vCPUs are bound in order ([`Pins::in_order`]), or none: the command line says no more.
///
/// Names of guests other than [`GUEST_0`] become names of nodes, so no two may have the same.
pub fn write(tree: &mut DeviceTree, bootargs: &str, guests: &[Guest<'_>]) {
    let mut own = String::from(bootargs);
    let chosen = chosen_of(tree);
    set(chosen, "#address-cells", 2_u32);
    set(chosen, "#size-cells", 2_u32);
    for guest in guests {
        if guest.name == GUEST_0 {
            let separator = if own.is_empty() { "" } else { " " };
            own += &format!("{separator}dom0_max_vcpus={} dom0_mem={}K", guest.vcpus, guest.memory);
            if guest.pins != Pins::NONE {
                own += " dom0_vcpus_pin";
            }
            add_modules(chosen, guest);
        } else {
            add_domain(chosen, guest);
        }
    }
    set(chosen, "xen,xen-bootargs", own.as_str());
}

fn chosen_of(tree: &mut DeviceTree) -> &mut DeviceTreeNode {
    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(DeviceTreeNode::new_unchecked("chosen"));
    }
    match tree.root.child_mut("chosen") {
        Some(chosen) => chosen,
        None => unreachable!("it was just added"),
    }
}

fn add_domain(chosen: &mut DeviceTreeNode, guest: &Guest<'_>) {
    let mut domain = DeviceTreeNode::new_unchecked(guest.name);
    set(&mut domain, "compatible", "xen,domain");
    set(&mut domain, "#address-cells", 2_u32);
    set(&mut domain, "#size-cells", 2_u32);
    set(&mut domain, "cpus", guest.vcpus as u32);
    set(&mut domain, "memory", guest.memory);
    if guest.vpl011 {
        set(&mut domain, "vpl011", [].as_slice() as &[u8]);
    }
    if let Some(spis) = guest.spis {
        set(&mut domain, "nr_spis", spis);
    }
    for (vcpu, cpu) in guest.pins.iter() {
        let mut node = DeviceTreeNode::new_unchecked(format!("vcpu{vcpu}"));
        set(&mut node, "compatible", "xen,vcpu");
        set(&mut node, "id", vcpu as u32);
        set(&mut node, "hard-affinity", format!("{cpu}"));
        domain.add_child(node);
    }
    add_modules(&mut domain, guest);
    chosen.add_child(domain);
}

fn add_modules(node: &mut DeviceTreeNode, guest: &Guest<'_>) {
    let mut kernel = module("multiboot,kernel", guest.kernel);
    set(&mut kernel, "bootargs", guest.bootargs);
    node.add_child(kernel);
    if let Some(ramdisk) = guest.ramdisk {
        node.add_child(module("multiboot,ramdisk", ramdisk));
    }
}

fn module(kind: &str, module: Module) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(format!("module@{:x}", module.address));
    set(&mut node, "compatible", format!("{kind}\0multiboot,module"));
    let reg: Vec<u8> = [module.address, module.size].into_iter().flat_map(u64::to_be_bytes).collect();
    set(&mut node, "reg", reg);
    node
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl dtoolkit::ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}
