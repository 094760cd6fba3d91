//! Looking things up in the devicetree, beyond what `dtoolkit` does.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use reveille::topology::open_fdt;

/// How deep nodes may nest before the rest is left unseen.
const MAX_DEPTH: usize = 16;

/// The devicetree at `address`.
///
/// # Errors
/// What is there is none.
///
/// # Safety
/// If there is a devicetree at `address`, all of it is mapped and nobody writes it any more; if not, 8 bytes there are.
pub unsafe fn at(address: usize) -> Result<Fdt<'static>, &'static str> {
    const MAGIC: u32 = 0xd00d_feed;
    /// The boot protocol allows 2 MiB, and QEMU doubles what it is given.
    const MAX_SIZE: u32 = 8 * 1024 * 1024;
    if address == 0 || !address.is_multiple_of(8) {
        return Err("no devicetree was handed over");
    }
    // SAFETY: the caller says that 8 bytes are mapped.
    let [magic, size] = unsafe { (address as *const [u32; 2]).read() }.map(u32::from_be);
    if magic != MAGIC || size > MAX_SIZE {
        return Err("there is no devicetree where one was handed over");
    }
    // SAFETY: the caller says that it is mapped whole.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) };
    open_fdt(bytes).map_err(|_| "the devicetree is damaged")
}

/// The interrupt of the console that `/chosen/stdout-path` names.
///
/// # Errors
/// There is none that is known.
pub fn console_interrupt(fdt: &Fdt<'_>) -> Result<Interrupt, &'static str> {
    let node = stdout(fdt).ok_or("the devicetree names no console")?;
    interrupt(fdt, node, 0).ok_or("the console has no interrupt")
}

/// The first available node, parents before children, for which `wanted` holds.
pub fn find_node<'a>(fdt: &Fdt<'a>, wanted: impl Fn(&FdtNode<'a>) -> bool) -> Option<FdtNode<'a>> {
    find_below(fdt.root(), &wanted, MAX_DEPTH)
}

fn find_below<'a>(node: FdtNode<'a>, wanted: &impl Fn(&FdtNode<'a>) -> bool, depth: usize) -> Option<FdtNode<'a>> {
    if wanted(&node) {
        return Some(node);
    }
    let depth = depth.checked_sub(1)?;
    node.children().find_map(|child| find_below(child, wanted, depth))
}

/// The regions of a node's `reg`, as addresses of its parent's bus; none if it has no `reg` that can be read.
pub fn regions<'a>(node: FdtNode<'a>) -> impl Iterator<Item = Range<usize>> + 'a {
    node.reg().ok().flatten().into_iter().flatten().filter_map(|region| {
        let start: u64 = region.address().ok()?;
        let size: u64 = region.size().ok()?;
        let end = usize::try_from(start.checked_add(size)?).ok()?;
        Some(start as usize..end)
    })
}

/// The same as physical addresses; regions that no CPU reaches are left out.
pub fn physical_regions<'a>(fdt: &Fdt<'a>, node: FdtNode<'a>) -> impl Iterator<Item = Range<usize>> + 'a {
    let root = fdt.root();
    regions(node).filter_map(move |region| on_bus(root, &node, region, MAX_DEPTH))
}

/// `region` of `node`, which lies somewhere below `bus`, as addresses of `bus`.
fn on_bus(bus: FdtNode<'_>, node: &FdtNode<'_>, region: Range<usize>, depth: usize) -> Option<Range<usize>> {
    // Names lie in the devicetree, each at an address of its own.
    if bus.children().any(|child| core::ptr::eq(child.name(), node.name())) {
        return Some(region);
    }
    let depth = depth.checked_sub(1)?;
    bus.children().find_map(|child| translate(child, on_bus(child, node, region.clone(), depth)?))
}

/// What is `region` on the bus of `bridge`, on the bus that `bridge` lies on (`ranges`).
fn translate(bridge: FdtNode<'_>, region: Range<usize>) -> Option<Range<usize>> {
    if bridge.property("ranges")?.value().is_empty() {
        return Some(region);
    }
    bridge.ranges().ok().flatten()?.find_map(|window| {
        let child: u64 = window.child_bus_address().ok()?;
        let parent: u64 = window.parent_bus_address().ok()?;
        let length: u64 = window.length().ok()?;
        let offset = (region.start as u64).checked_sub(child)?;
        if offset.checked_add(region.len() as u64)? > length {
            return None;
        }
        let start = usize::try_from(parent.checked_add(offset)?).ok()?;
        Some(start..start.checked_add(region.len())?)
    })
}

/// A property of one cell.
#[must_use]
pub fn u32_property(node: FdtNode<'_>, name: &str) -> Option<u32> {
    node.property(name)?.value_as().ok()
}

/// The controller of the interrupts of `node`: the interrupt parent of the node or of the root.
fn interrupt_parent<'a>(fdt: &Fdt<'a>, node: FdtNode<'a>) -> Option<FdtNode<'a>> {
    let phandle = u32_property(node, "interrupt-parent").or_else(|| u32_property(fdt.root(), "interrupt-parent"))?;
    find_node(fdt, |node| u32_property(*node, "phandle") == Some(phandle))
}

/// An interrupt of `node`, the one at `place` of its `interrupts`, as its controller's binding describes them: that of all of Arm's
/// controllers (also where none is named), or that of Broadcom's local one, all of whose interrupts are private. `None` if
/// there is none, or it is another controller's.
#[must_use]
pub fn interrupt(fdt: &Fdt<'_>, node: FdtNode<'_>, place: usize) -> Option<Interrupt> {
    const EDGES: u32 = 3;
    let parent = interrupt_parent(fdt, node);
    let count = parent.and_then(|parent| u32_property(parent, "#interrupt-cells")).unwrap_or(3) as usize;
    let interrupts = node.property("interrupts")?;
    let cells = interrupts.value().chunks_exact(4);
    let cells = cells.map(|cell| cell.iter().fold(0, |cell, &byte| cell << 8 | u32::from(byte)));
    let mut cells = cells.skip(place.checked_mul(count)?).take(count);
    let (first, second) = (cells.next()?, cells.next());
    if parent.is_some_and(|parent| parent.is_compatible("brcm,bcm2836-l1-intc")) {
        return Some(Interrupt { is_private: true, number: first, is_edge: false });
    }
    Some(Interrupt { is_private: first == 1, number: second?, is_edge: cells.next()? & EDGES != 0 })
}

/// An interrupt, as a devicetree describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Each CPU has its own. Otherwise it is one that all CPUs share.
    pub is_private: bool,
    /// Its number among those of its kind.
    pub number: u32,
    /// It is an edge of its signal, and not a level.
    pub is_edge: bool,
}

/// An address in `/chosen`: one or two cells, as boot loaders write them.
#[must_use]
pub fn chosen_address(fdt: &Fdt<'_>, name: &str) -> Option<usize> {
    let property = fdt.chosen()?.property(name)?;
    match *property.value() {
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d]) as usize),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize),
        _ => None,
    }
}

/// The kernel command line; empty where there is none.
#[must_use]
pub fn command_line<'a>(fdt: &Fdt<'a>) -> &'a str {
    let bootargs = fdt.find_node("/chosen").and_then(|chosen| chosen.property("bootargs"));
    bootargs.and_then(|bootargs| bootargs.value_as().ok()).unwrap_or("")
}

/// The node that `/chosen/stdout-path` names, by its path or an alias; options behind a colon are left out.
#[must_use]
pub fn stdout<'a>(fdt: &Fdt<'a>) -> Option<FdtNode<'a>> {
    let chosen = fdt.find_node("/chosen")?;
    let path: &str = chosen.property("stdout-path")?.value_as().ok()?;
    let path = path.split(':').next()?;
    if path.starts_with('/') {
        return fdt.find_node(path);
    }
    let alias: &str = fdt.find_node("/aliases")?.property(path)?.value_as().ok()?;
    fdt.find_node(alias)
}

/// Whether a node may be used: its `status` is missing or okay.
#[must_use]
pub fn is_available(node: &FdtNode<'_>) -> bool {
    node.status().is_ok_and(|status| status == dtoolkit::standard::Status::Okay)
}
