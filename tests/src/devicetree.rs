//! Devicetrees that no sound machine has: QEMU's own, changed.

use std::path::{Path, PathBuf};

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};
use reveille_cli::boot::BootOptions;
use reveille_cli::qemu::dump_devicetree;

/// The devicetree of QEMU's `virt` machine with `cpus` CPUs, entered at EL1, to be changed.
///
/// # Errors
/// QEMU does not make one.
pub fn of_virt(qemu: &Path, cpus: u32) -> Result<DeviceTree, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("virt.dtb");
    let options = BootOptions { cpus, ..BootOptions::default() };
    dump_devicetree(qemu, &options, &file).map_err(|error| error.to_string())?;
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let fdt = Fdt::new(&bytes).map_err(|error| error.to_string())?;
    Ok(DeviceTree::from_fdt(&fdt))
}

/// The nodes of its CPUs, in order.
pub fn cpu_names(tree: &DeviceTree) -> Vec<String> {
    let cpus = tree.find_node("/cpus").into_iter().flat_map(Node::children);
    cpus.map(|node| node.name().to_owned()).filter(|name| name.starts_with("cpu@")).collect()
}

/// The node at `path`, to be changed.
///
/// # Panics
/// There is no such node.
pub fn node<'a>(tree: &'a mut DeviceTree, path: &str) -> &'a mut DeviceTreeNode {
    tree.find_node_mut(path).unwrap_or_else(|| panic!("the devicetree has no {path}"))
}

/// The node of a CPU, to be changed.
///
/// # Panics
/// There is no such node.
pub fn cpu<'a>(tree: &'a mut DeviceTree, name: &str) -> &'a mut DeviceTreeNode {
    node(tree, &format!("/cpus/{name}"))
}

/// Gives `node` the property `name`, in place of one that it has.
///
/// # Panics
/// The name is not one.
pub fn set(node: &mut DeviceTreeNode, name: &str, value: &[u8]) {
    node.remove_property(name);
    node.add_property(DeviceTreeProperty::new(name, value.to_vec()).expect("a property's name"));
}

/// Takes the CPU `name` out and puts it before all others.
///
/// # Panics
/// There is no such node.
pub fn move_to_front(tree: &mut DeviceTree, name: &str) {
    let cpus = tree.find_node_mut("/cpus").expect("a devicetree of a machine with CPUs");
    let nodes: Vec<String> =
        Node::children(&*cpus).map(|node| node.name().to_owned()).filter(|other| other != name).collect();
    for other in nodes {
        let node = cpus.remove_child(&other).expect("a child that was listed");
        cpus.add_child(node);
    }
}

/// The number in a property of one cell.
pub fn cell(node: &DeviceTreeNode, name: &str) -> Option<u32> {
    Node::property(node, name)?.value_as().ok()
}

/// Writes the devicetree to a file in `folder`.
///
/// # Errors
/// The file cannot be written.
pub fn write(tree: &DeviceTree, folder: &Path) -> Result<PathBuf, String> {
    let file = folder.join("changed.dtb");
    std::fs::write(&file, tree.to_dtb()).map_err(|error| error.to_string())?;
    Ok(file)
}
