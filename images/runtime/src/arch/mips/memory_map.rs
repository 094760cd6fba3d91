//! Where the image lies. Memory is used through KSEG0 and devices through KSEG1, which nothing has to map: both are the first 512 MiB
//! of physical memory, cached and not. So nothing keeps a stack from running into its guard page; the exception vectors look.

use core::convert::Infallible;
use core::ops::Range;
use core::ptr::NonNull;

use crate::layout::address_of;
pub use crate::layout::{boot_stack, image, image_offset, per_cpu_section};

/// The size of a page, in bytes.
pub const PAGE: usize = 4096;
/// What a stack takes, in bytes: a guard page, which nobody uses, and the stack above it. Slots are aligned to their size.
pub const STACK_SLOT: usize = 32 * 1024;
/// The bits of a stack pointer that are all 0 in the guard page of its slot and nowhere else.
pub(super) const GUARD_BITS: usize = STACK_SLOT - PAGE;

/// Where the segments begin, and how large they are.
const KSEG0: usize = 0x8000_0000;
const KSEG1: usize = 0xa000_0000;
const SEGMENT: usize = 0x2000_0000;

/// Where memory is mapped: KSEG0.
#[must_use]
pub fn first_mapped() -> Range<usize> {
    KSEG0..KSEG0 + SEGMENT
}

/// The exception vectors, for EBase.
#[must_use]
pub fn vectors() -> usize {
    address_of!(vectors)
}

/// The memory of the physical `range` that KSEG0 has, at the addresses where it is used.
#[must_use]
pub fn memory(range: Range<u64>) -> Range<usize> {
    let place = |address: u64| KSEG0 + address.min(SEGMENT as u64) as usize;
    place(range.start)..place(range.end)
}

/// There are no tables to build.
///
/// # Errors
/// None.
pub fn init(_ram: &[Range<usize>], _holes: &[Range<usize>]) -> Result<(), Infallible> {
    Ok(())
}

/// The registers of a device at the physical `address`, uncached: where they are.
///
/// # Errors
/// KSEG1 does not reach them.
pub fn map_device(address: usize, size: usize) -> Result<NonNull<u8>, &'static str> {
    let end = address.checked_add(size).filter(|&end| end <= SEGMENT);
    let place = end.and_then(|_| NonNull::new(core::ptr::with_exposed_provenance_mut(KSEG1 + address)));
    place.ok_or("its registers lie beyond KSEG1")
}

/// A stack is there as it is.
///
/// # Errors
/// None.
pub fn map_stack(_slot: usize) -> Result<(), Infallible> {
    Ok(())
}
