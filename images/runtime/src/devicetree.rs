//! Looking things up in the devicetree, beyond what `dtoolkit` does.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use crate::arch::head::BootArguments;
use crate::arch::memory_map;

/// How deep nodes may nest before the rest is left unseen.
const MAX_DEPTH: usize = 16;

/// The devicetree that was handed over, or the one at the first address of `known` (where boards keep one for images that are
/// handed none) that holds one.
///
/// # Errors
/// There is none.
pub fn find(arguments: &BootArguments, known: impl Iterator<Item = usize>) -> Result<Fdt<'static>, &'static str> {
    // The first translation tables map the GiB of the image, and that of the devicetree where one was handed over.
    let is_mapped = |address: &usize| address >> 30 == memory_map::image().start >> 30;
    // SAFETY: mapped, as the comment above says; no boot loader puts a devicetree where a GiB ends.
    let at = |address| unsafe { at(address) };
    match arguments.devicetree {
        0 => known.filter(is_mapped).map(at).find(Result::is_ok).unwrap_or(Err("no devicetree was handed over")),
        address => at(address),
    }
}

/// The devicetree at `address`.
///
/// # Errors
/// What is there is none.
///
/// # Safety
/// If there is a devicetree at `address`, all of it is mapped and nobody writes it any more; if not, 8 bytes there are.
unsafe fn at(address: usize) -> Result<Fdt<'static>, &'static str> {
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
    Fdt::new(bytes).map_err(|_| "the devicetree is damaged")
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

/// A property of one cell.
#[must_use]
pub fn u32_property(node: FdtNode<'_>, name: &str) -> Option<u32> {
    node.property(name)?.value_as().ok()
}

/// How many cells an interrupt of `node` has, by the interrupt parent of the node or of the root.
#[must_use]
pub fn interrupt_cells(fdt: &Fdt<'_>, node: FdtNode<'_>) -> Option<u32> {
    let phandle = u32_property(node, "interrupt-parent").or_else(|| u32_property(fdt.root(), "interrupt-parent"))?;
    let parent = find_node(fdt, |node| u32_property(*node, "phandle") == Some(phandle))?;
    u32_property(parent, "#interrupt-cells")
}

/// An interrupt of `node`, the one at `place` of its `interrupts`, as all of Arm's interrupt controllers describe them; `None` if
/// there is none, or it is another controller's.
#[must_use]
pub fn interrupt(fdt: &Fdt<'_>, node: FdtNode<'_>, place: usize) -> Option<Interrupt> {
    const EDGES: u32 = 3;
    let size = interrupt_cells(fdt, node).unwrap_or(3) as usize * size_of::<u32>();
    let interrupts = node.property("interrupts")?;
    let cells = interrupts.value().get(place * size..)?.first_chunk::<12>()?;
    let cell = |position: usize| cells[position * 4..][..4].iter().fold(0, |cell, &byte| cell << 8 | u32::from(byte));
    Some(Interrupt { is_private: cell(0) == 1, number: cell(1), is_edge: cell(2) & EDGES != 0 })
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
