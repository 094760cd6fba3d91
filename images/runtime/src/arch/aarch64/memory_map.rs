//! Where the image lies, and the translation tables: every address is mapped to itself.

use core::arch::asm;
use core::ops::Range;
use core::ptr::NonNull;

use aarch64_paging::MapError;
use aarch64_paging::descriptor::El1Attributes;
use aarch64_paging::idmap::IdMap;
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion};

use crate::layout::address_of;
pub use crate::layout::{boot_stack, image, image_offset, per_cpu_section};
use crate::lock::IrqLock;

/// The size of a page, in bytes.
pub const PAGE: usize = 4096;
/// What a stack takes, in bytes: a guard page, which is not mapped, and the stack above it. Slots are aligned to their size.
pub const STACK_SLOT: usize = 32 * 1024;
/// The bits of a stack pointer that are all 0 in the guard page of its slot and nowhere else.
pub(super) const GUARD_BITS: usize = STACK_SLOT - PAGE;

const ASID: usize = 1;
const ROOT_LEVEL: usize = 0;

const NORMAL: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_0
    .union(El1Attributes::INNER_SHAREABLE)
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::VALID)
    .union(El1Attributes::UXN);
const CODE: El1Attributes = NORMAL.union(El1Attributes::READ_ONLY);
const CONSTANT: El1Attributes = CODE.union(El1Attributes::PXN);
const DATA: El1Attributes = NORMAL.union(El1Attributes::PXN);
const DEVICE: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_1
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::VALID)
    .union(El1Attributes::UXN)
    .union(El1Attributes::PXN);

static MAP: IrqLock<Option<IdMap<El1And0>>> = IrqLock::new(None);

/// Where the first translation tables map memory: the GiB of the image.
#[must_use]
pub fn first_mapped() -> Range<usize> {
    let gibibyte = image().start & !((1 << 30) - 1);
    gibibyte..gibibyte + (1 << 30)
}

/// Builds the final tables, for this CPU and those that follow, and goes over to them: `ram` as data, the image by what its
/// parts are, and nothing at `holes` (each whole pages). Devices and stacks are mapped as they come.
///
/// # Errors
/// The region that the tables cannot express.
pub fn init(ram: &[Range<usize>], holes: &[Range<usize>]) -> Result<(), MapError> {
    let (text, constants, data, end) =
        (address_of!(_head), address_of!(__rodata_start), address_of!(__data_start), address_of!(_end));
    let mut map = IdMap::with_asid(ASID, ROOT_LEVEL, El1And0);
    map.map_range(&MemoryRegion::new(text, constants), CODE)?;
    map.map_range(&MemoryRegion::new(constants, data), CONSTANT)?;
    for range in core::iter::once(&(data..end)).chain(ram) {
        map_around(&mut map, range.clone(), text, data, holes)?;
    }
    let root = map.root_address().0 | ASID << 48;
    // Not marked active: the crate would then invalidate every page that is mapped on all CPUs, which costs them dearly and
    // which entries that were invalid before do not need. `map` adds only such.
    *MAP.lock() = Some(map);
    // SAFETY: the new tables map everything that is in use, at the same addresses. The entries of the first tables bear
    // another ASID, so none of both is ever looked up for one address at once; they are invalidated afterwards.
    unsafe {
        asm!(
            "dsb ishst", "msr ttbr0_el1, {}", "isb", "tlbi vmalle1", "dsb nsh", "isb",
            in(reg) root, options(nostack, preserves_flags)
        );
    }
    Ok(())
}

/// Maps `range` as data, without the image's constant part (`text..data`) and the holes.
fn map_around(
    map: &mut IdMap<El1And0>,
    range: Range<usize>,
    text: usize,
    data: usize,
    holes: &[Range<usize>],
) -> Result<(), MapError> {
    let mut start = range.start;
    while start < range.end {
        let gaps = || holes.iter().cloned().chain(core::iter::once(text..data));
        if let Some(gap) = gaps().find(|gap| gap.contains(&start)) {
            start = gap.end;
            continue;
        }
        let end = gaps().map(|gap| gap.start).filter(|&gap| gap > start).fold(range.end, usize::min);
        map.map_range(&MemoryRegion::new(start, end), DATA)?;
        start = end;
    }
    Ok(())
}

fn map(range: &MemoryRegion, attributes: El1Attributes, constraints: Constraints) -> Result<(), MapError> {
    let mut map = MAP.lock();
    let map = map.as_mut().expect("the final tables come before devices and stacks");
    map.map_range_with_constraints(range, attributes, constraints)?;
    // SAFETY: barriers. Only entries that were invalid are made valid, which needs no invalidation.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    Ok(())
}

/// Maps the registers of a device: where they are.
///
/// # Errors
/// The region cannot be mapped, or is mapped as memory.
pub fn map_device(address: usize, size: usize) -> Result<NonNull<u8>, &'static str> {
    let end = (address + size).next_multiple_of(PAGE);
    let region = MemoryRegion::new(address & !(PAGE - 1), end);
    map(&region, DEVICE, Constraints::empty()).map_err(|_| "its registers cannot be mapped")?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or("its registers lie at address 0")
}

/// A 64-bit word at `address`, which is a multiple of 8: where it is mapped already, as that; as a device otherwise. `None` if it
/// cannot be mapped.
#[must_use]
pub fn word(address: u64) -> Option<NonNull<u64>> {
    let address = usize::try_from(address).ok()?;
    if !is_mapped(address) {
        map_device(address, size_of::<u64>()).ok()?;
    }
    NonNull::new(core::ptr::with_exposed_provenance_mut(address))
}

/// Whether this CPU could write to `address`.
fn is_mapped(address: usize) -> bool {
    let result: u64;
    // SAFETY: a translation, and its result.
    unsafe { asm!("at s1e1w, {}", "isb", "mrs {}, par_el1", in(reg) address, out(reg) result, options(nostack)) };
    result & 1 == 0
}

/// Maps a stack into the slot at `slot`, above its guard page.
///
/// # Errors
/// The slot cannot be mapped.
pub fn map_stack(slot: usize) -> Result<(), MapError> {
    map(&MemoryRegion::new(slot + PAGE, slot + STACK_SLOT), DATA, Constraints::NO_BLOCK_MAPPINGS)
}
