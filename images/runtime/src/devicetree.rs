//! The devicetree that this image was given, and the memory that it describes. Looking things up in it is
//! [`reveille_devices::devicetree`]'s.

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
pub use reveille_devices::devicetree::*;

use crate::arch::memory_map::{self, PAGE};
use crate::memory::Ranges;

/// The devicetree that was handed over at `address` (0 where none was), or the one at the first address of `known` (where boards keep one for images that are
/// handed none) that holds one.
///
/// # Errors
/// There is none.
pub fn find(address: usize, known: impl Iterator<Item = usize>) -> Result<Fdt<'static>, &'static str> {
    // The first translation tables also map where the devicetree is that was handed over.
    let is_mapped = |address: &usize| memory_map::first_mapped().contains(address);
    // SAFETY: mapped, as the comment above says; no boot loader puts a devicetree where a GiB ends.
    let at = |address| unsafe { at(address) };
    match address {
        0 => known.filter(is_mapped).map(at).find(Result::is_ok).unwrap_or(Err("no devicetree was handed over")),
        address => at(address),
    }
}

/// The machine's memory, and what of it is somebody's: the devicetree, the initrd, and what the devicetree reserves.
///
/// # Errors
/// There is more of it than fits.
pub fn memory(fdt: &Fdt<'_>) -> Result<(Ranges, Ranges), &'static str> {
    let mut ram = Ranges::new();
    for node in fdt.root().children().filter(|node| node.name_without_address() == "memory") {
        for region in regions(node).filter(|_| is_available(&node)) {
            ram.push(region.start.next_multiple_of(PAGE)..region.end & !(PAGE - 1))?;
        }
    }
    Ok((ram, reserved(fdt)?))
}

fn reserved(fdt: &Fdt<'_>) -> Result<Ranges, &'static str> {
    let mut reserved = Ranges::new();
    reserved.push(fdt.data().as_ptr_range().start.addr()..fdt.data().as_ptr_range().end.addr())?;
    for reservation in fdt.memory_reservations() {
        let end = reservation.address().saturating_add(reservation.size());
        reserved.push(reservation.address() as usize..end as usize)?;
    }
    if let Some(node) = fdt.find_node("/reserved-memory") {
        for region in node.children().flat_map(regions) {
            reserved.push(region)?;
        }
    }
    let initrd = chosen_address(fdt, "linux,initrd-start");
    if let (Some(start), Some(end)) = (initrd, chosen_address(fdt, "linux,initrd-end")) {
        reserved.push(start..end)?;
    }
    Ok(reserved)
}
