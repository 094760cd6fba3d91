//! Which memory a kernel keeps off: `/memreserve/` and `/reserved-memory`.

use std::ops::Range;

use dtoolkit::Node;
use dtoolkit::fdt::{Fdt, FdtNode};

use super::property;

/// The memory of a board.
pub struct Memory {
    ram: Vec<Range<u64>>,
    reserved: Vec<Range<u64>>,
}

impl Memory {
    /// Reads what the tree says of it.
    pub fn read(fdt: &Fdt<'_>) -> Self {
        let header = fdt.memory_reservations().map(|reserved| range(reserved.address(), reserved.size()));
        let nodes = fdt.find_node("/reserved-memory").into_iter().flat_map(|parent| {
            // What may be reused is the kernel's until its owner asks for it.
            let kept = |node: &FdtNode<'_>| property::is_available(node) && node.property("reusable").is_none();
            parent.children().filter(kept).flat_map(move |node| ranges(&parent, &node)).collect::<Vec<_>>()
        });
        let reserved = header.chain(nodes).collect();
        let root = fdt.root();
        let is_memory = |node: &FdtNode<'_>| property::strings(node, "device_type") == ["memory"];
        let ram = root.children().filter(is_memory).flat_map(|node| ranges(&root, &node));
        Self { ram: ram.filter(|range| !range.is_empty()).collect(), reserved }
    }

    /// Whether the kernel may use the eight bytes at `address` as it likes. Where firmware fills in how much memory there is, any
    /// address may be memory.
    pub fn is_free(&self, address: u64) -> bool {
        let word = range(address, 8);
        let overlaps = |other: &Range<u64>| word.start < other.end && other.start < word.end;
        let is_ram = self.ram.is_empty() || self.ram.iter().any(overlaps);
        let is_kept = self.reserved.iter().any(|other| other.start <= word.start && word.end <= other.end);
        is_ram && !is_kept
    }
}

fn range(address: u64, size: u64) -> Range<u64> {
    address..address.saturating_add(size)
}

/// The `reg` of a child of `parent`.
fn ranges(parent: &FdtNode<'_>, node: &FdtNode<'_>) -> Vec<Range<u64>> {
    let count = |name, default| property::cell(parent, name).map_or(default, |cells| cells as usize);
    let (address, size) = (count("#address-cells", 2), count("#size-cells", 1));
    let Some(cells) = property::cells(node, "reg").filter(|_| address > 0 && address <= 4 && size <= 4) else {
        return Vec::new();
    };
    let one = |cells: &[u32]| range(property::number(&cells[..address]), property::number(&cells[address..]));
    cells.chunks_exact(address + size).map(one).collect()
}
