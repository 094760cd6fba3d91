//! Memory: what of it is free, the heap, and stacks.

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use reveille::MAX_CPUS;

use crate::arch::memory_map::{self, PAGE, STACK_SLOT};
use crate::devicetree;
use crate::lock::IrqLock;

/// Blocks of up to 2 GiB.
const ORDERS: usize = 32;
/// How many regions of memory, and how many reservations, are looked at. Boards have a handful of each.
const MAX_RANGES: usize = 64;

struct LockedHeap(IrqLock<Heap<ORDERS>>);

#[global_allocator]
static HEAP: LockedHeap = LockedHeap(IrqLock::new(Heap::new()));

// SAFETY: the heap hands out memory that was given to it once, under a lock.
unsafe impl GlobalAlloc for LockedHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller says that it came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(pointer, layout) };
        }
    }
}

/// The slots for stacks: those that were never used, and those that came back with their stack mapped.
struct StackArea {
    unused: Range<usize>,
    returned: Vec<usize>,
}

static STACKS: IrqLock<StackArea> = IrqLock::new(StackArea { unused: 0..0, returned: Vec::new() });

/// A stack with a guard page below it.
#[derive(Debug)]
pub struct Stack {
    slot: usize,
}

impl Stack {
    /// A stack of [`STACK_SLOT`] − [`PAGE`] bytes.
    ///
    /// # Errors
    /// There is no room for another one.
    pub fn allocate() -> Result<Self, &'static str> {
        let mut area = STACKS.lock();
        if let Some(slot) = area.returned.pop() {
            return Ok(Self { slot });
        }
        let slot = area.unused.start;
        if slot + STACK_SLOT > area.unused.end {
            return Err("no room for another stack");
        }
        memory_map::map_stack(slot).map_err(|_| "a stack cannot be mapped")?;
        area.unused.start += STACK_SLOT;
        Ok(Self { slot })
    }

    /// The address just above the stack, 16-byte aligned.
    #[must_use]
    pub fn top(&self) -> usize {
        self.slot + STACK_SLOT
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        STACKS.lock().returned.push(self.slot);
    }
}

/// A list of ranges of fixed size, for the time before there is a heap.
struct Ranges {
    ranges: [Range<usize>; MAX_RANGES],
    count: usize,
}

impl Ranges {
    const fn new() -> Self {
        Self { ranges: [const { 0..0 }; MAX_RANGES], count: 0 }
    }

    fn push(&mut self, range: Range<usize>) -> Result<(), &'static str> {
        let place = self.ranges.get_mut(self.count).ok_or("the devicetree has more memory ranges than fit")?;
        if range.start < range.end {
            *place = range;
            self.count += 1;
        }
        Ok(())
    }

    fn as_slice(&self) -> &[Range<usize>] {
        &self.ranges[..self.count]
    }
}

/// Finds the machine's memory, gives the image the largest free part of the GiB that it lies in (which its first translation
/// tables map) as heap and stacks, and goes over to the final translation tables.
///
/// # Errors
/// What makes that impossible.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let mut ram = Ranges::new();
    for node in fdt.root().children().filter(|node| node.name_without_address() == "memory") {
        for region in devicetree::regions(node).filter(|_| devicetree::is_available(&node)) {
            ram.push(region.start.next_multiple_of(PAGE)..region.end & !(PAGE - 1))?;
        }
    }
    let reserved = reserved(fdt)?;
    let image = memory_map::image();
    let gibibyte = image.start & !((1 << 30) - 1);
    let mapped = gibibyte..gibibyte + (1 << 30);
    let free =
        largest_gap(ram.as_slice(), reserved.as_slice(), &mapped).ok_or("there is no free memory near the image")?;

    // Up to six stacks for each possible CPU (of its idle thread, its hotplug thread, its worker, and whatever else runs there),
    // but at most half of what there is.
    let stacks = (MAX_CPUS * 6 * STACK_SLOT).min((free.end - free.start) / 2);
    let start = free.start.next_multiple_of(STACK_SLOT);
    let stacks = start..(start + stacks) & !(STACK_SLOT - 1);
    // SAFETY: the range is memory that nothing else uses, mapped by the first tables and by the final ones.
    unsafe { HEAP.0.lock().init(stacks.end, free.end - stacks.end) };
    STACKS.lock().unused = stacks.clone();

    let boot_stack_guard = memory_map::boot_stack().start..memory_map::boot_stack().start + PAGE;
    memory_map::init(ram.as_slice(), &[stacks, boot_stack_guard]).map_err(|_| "the memory cannot be mapped")
}

/// What of the memory is somebody's: the image, the devicetree, the initrd, and what the devicetree reserves.
fn reserved(fdt: &Fdt<'_>) -> Result<Ranges, &'static str> {
    let mut reserved = Ranges::new();
    reserved.push(memory_map::image())?;
    reserved.push(fdt.data().as_ptr_range().start.addr()..fdt.data().as_ptr_range().end.addr())?;
    for reservation in fdt.memory_reservations() {
        let end = reservation.address().saturating_add(reservation.size());
        reserved.push(reservation.address() as usize..end as usize)?;
    }
    if let Some(node) = fdt.find_node("/reserved-memory") {
        for region in node.children().flat_map(devicetree::regions) {
            reserved.push(region)?;
        }
    }
    let initrd = devicetree::chosen_address(fdt, "linux,initrd-start");
    if let (Some(start), Some(end)) = (initrd, devicetree::chosen_address(fdt, "linux,initrd-end")) {
        reserved.push(start..end)?;
    }
    Ok(reserved)
}

/// The largest part of `ram` within `bounds` that none of `reserved` touches, in whole pages.
fn largest_gap(ram: &[Range<usize>], reserved: &[Range<usize>], bounds: &Range<usize>) -> Option<Range<usize>> {
    let starts = || ram.iter().map(|range| range.start.max(bounds.start)).chain(reserved.iter().map(|range| range.end));
    starts()
        .filter_map(|start| {
            let start = start.next_multiple_of(PAGE);
            let region = ram.iter().find(|range| range.contains(&start))?;
            if reserved.iter().any(|range| range.contains(&start)) || !bounds.contains(&start) {
                return None;
            }
            let next = reserved.iter().map(|range| range.start).filter(|&next| next > start);
            let end = next.fold(region.end.min(bounds.end), usize::min) & !(PAGE - 1);
            Some(start..end)
        })
        .max_by_key(|gap| gap.end.saturating_sub(gap.start))
        .filter(|gap| gap.start < gap.end)
}
