//! Memory: what of it is free, the heap, and stacks.

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use reveille::MAX_CPUS;

use crate::arch::memory_map::{self, PAGE, STACK_SLOT};
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

/// How much of the heap is free, in bytes. Not all of it may be had in one piece.
#[must_use]
pub fn free() -> usize {
    let heap = HEAP.0.lock();
    heap.stats_total_bytes().saturating_sub(heap.stats_alloc_actual())
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

/// A list of ranges of memory, of fixed size, for the time before there is a heap.
#[derive(Clone)]
pub struct Ranges {
    ranges: [Range<usize>; MAX_RANGES],
    count: usize,
}

impl Ranges {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: [const { 0..0 }; MAX_RANGES], count: 0 }
    }

    /// Adds `range`, unless it is empty.
    ///
    /// # Errors
    /// The list is full.
    pub fn push(&mut self, range: Range<usize>) -> Result<(), &'static str> {
        let place = self.ranges.get_mut(self.count).ok_or("the machine has more memory ranges than fit")?;
        if range.start < range.end {
            *place = range;
            self.count += 1;
        }
        Ok(())
    }

    /// The ranges, in the order in which they were added.
    #[must_use]
    pub fn as_slice(&self) -> &[Range<usize>] {
        &self.ranges[..self.count]
    }
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives the image the largest free part of `ram` that its first translation tables map, as heap and stacks, and goes over to the
/// final translation tables. Of the memory, `reserved` is somebody's; the image itself need not be named there.
///
/// # Errors
/// What makes that impossible.
pub fn init(ram: &Ranges, mut reserved: Ranges) -> Result<(), &'static str> {
    begin(ram, &mut reserved)
}

/// The same, and all that is free elsewhere goes to the heap too: for an image that gives memory to others.
///
/// # Errors
/// As [`init`].
pub fn init_whole(ram: &Ranges, mut reserved: Ranges) -> Result<(), &'static str> {
    /// Less is left alone.
    const LEAST: usize = 1 << 20;
    begin(ram, &mut reserved)?;
    while let Some(gap) = largest_gap(ram.as_slice(), reserved.as_slice(), &(0..usize::MAX)) {
        if gap.len() < LEAST {
            break;
        }
        // SAFETY: memory that nothing else uses, and that the final tables map.
        unsafe { HEAP.0.lock().add_to_heap(gap.start, gap.end) };
        reserved.push(gap)?;
    }
    Ok(())
}

/// Does what [`init`] says, and adds to `reserved` what is in use then.
fn begin(ram: &Ranges, reserved: &mut Ranges) -> Result<(), &'static str> {
    reserved.push(memory_map::image())?;
    let mapped = memory_map::first_mapped();
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
    reserved.push(free)?;
    memory_map::init(ram.as_slice(), &[stacks, boot_stack_guard]).map_err(|_| "the memory cannot be mapped")
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
