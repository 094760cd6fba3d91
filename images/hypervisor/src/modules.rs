//! Where boot loaders put what guests begin with (`multiboot,module` in `/chosen`): that memory is nobody else's. This is looked at before
//! there is a heap. It stays as it is, so that guests can begin again.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use guest_config::{HEADER, Module};
use reveille_runtime::memory::Ranges;

/// How many cells an address and a size have, where no node says so (the devicetree's specification).
const DEFAULT_CELLS: [u32; 2] = [2, 1];
/// How deep nodes may nest.
const MAX_DEPTH: usize = 4;

/// Adds the memory of all modules to `reserved`.
///
/// # Errors
/// There are more of them than fit.
pub fn reserve(fdt: &Fdt<'_>, reserved: &mut Ranges) -> Result<(), &'static str> {
    let root = fdt.root();
    let cells = cells_of(&root, DEFAULT_CELLS);
    fdt.find_node("/chosen").map_or(Ok(()), |chosen| reserve_below(&chosen, cells, reserved, MAX_DEPTH))
}

fn reserve_below(node: &FdtNode<'_>, above: [u32; 2], reserved: &mut Ranges, depth: usize) -> Result<(), &'static str> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    // Boot loaders leave the cells out and mean those of the node above.
    let cells = cells_of(node, above);
    for child in node.children() {
        if let Some((start, size)) = is_module(&child).then(|| region(&child, cells)).flatten() {
            reserved.push(start as usize..start.saturating_add(size) as usize)?;
        }
        reserve_below(&child, cells, reserved, depth)?;
    }
    Ok(())
}

fn is_module(node: &FdtNode<'_>) -> bool {
    const NAMES: [&[u8]; 2] = [b"multiboot,module", b"xen,multiboot-module"];
    let compatible = node.property("compatible");
    compatible.is_some_and(|list| list.value().split(|&byte| byte == 0).any(|name| NAMES.contains(&name)))
}

fn cells_of(node: &FdtNode<'_>, above: [u32; 2]) -> [u32; 2] {
    let cell = |name, above| node.property(name).and_then(|property| property.value_as().ok()).unwrap_or(above);
    [cell("#address-cells", above[0]), cell("#size-cells", above[1])]
}

/// The first region of `reg`.
fn region(node: &FdtNode<'_>, cells: [u32; 2]) -> Option<(u64, u64)> {
    let reg = node.property("reg")?;
    let (address, rest) = number(reg.value(), cells[0])?;
    let (size, _) = number(rest, cells[1])?;
    Some((address, size))
}

fn number(bytes: &[u8], cells: u32) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(cells as usize * 4)?;
    Some((number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)), rest))
}

/// What is in a module of a guest's configuration.
pub fn bytes(module: &Module) -> &'static [u8] {
    // SAFETY: in the machine's memory, as is checked when the configuration is read; reserved, so nobody writes it; and mapped, as all
    // memory is.
    unsafe { core::slice::from_raw_parts(module.address as *const u8, module.size as usize) }
}

/// The beginning of such a module.
pub fn header(module: &Module) -> Option<[u8; HEADER]> {
    bytes(module).first_chunk().copied()
}
