//! Whose memory is what, while the loader runs.
//!
//! ```text
//! image         the loader itself
//!   + zone      its heap and stacks, right behind it
//! elsewhere     the payload: its parts, its devicetree, and the pen of its CPUs
//! ```
//!
//! When the payload runs, all of this is its own again, but for the pen; and but for the loader's memory, if a CPU is still there.

use core::ops::Range;

use reveille_runtime::arch::memory_map;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::memory::Ranges;

/// The most that the loader takes for itself behind its image, in bytes. It takes a quarter of the memory at most.
const ZONE: usize = 128 << 20;
const MIB: usize = 1 << 20;
const NO_ROOM: &str = "the machine has too little memory";

/// The memory that the loader has, and what of the rest is taken.
pub struct Layout {
    ram: Ranges,
    own: Range<usize>,
    taken: IrqLock<Ranges>,
}

impl Layout {
    /// What is whose of `ram`, where `reserved` is somebody's; and what is somebody's when the loader's heap is made.
    ///
    /// # Errors
    /// The image is not in memory, or there are too many ranges.
    pub fn new(ram: &Ranges, reserved: Ranges) -> Result<(Self, Ranges), &'static str> {
        let image = memory_map::image();
        let region = ram.as_slice().iter().find(|region| region.contains(&image.start));
        let region = region.ok_or("the loader is not in memory")?;
        let zone = ZONE.min(region.len() / 4);
        let own = image.start..(image.end + zone).next_multiple_of(MIB).min(region.end);
        let mut not_the_heaps = reserved.clone();
        for region in ram.as_slice() {
            let inside = |address: usize| address.clamp(region.start, region.end);
            not_the_heaps.push(region.start..inside(own.start))?;
            not_the_heaps.push(inside(own.end)..region.end)?;
        }
        let mut taken = reserved;
        taken.push(own.clone())?;
        Ok((Self { ram: ram.clone(), own, taken: IrqLock::new(taken) }, not_the_heaps))
    }

    /// The loader's own memory: its image, its heap and stacks.
    pub fn own(&self) -> Range<usize> {
        self.own.clone()
    }

    /// The machine's memory.
    pub fn ram(&self) -> &[Range<usize>] {
        self.ram.as_slice()
    }

    /// What of it is somebody's, by now.
    pub fn taken(&self) -> Ranges {
        self.taken.lock().clone()
    }

    /// Takes the lowest `size` bytes that nobody has, at a multiple of `alignment` and `offset` bytes.
    ///
    /// # Errors
    /// There is no room.
    pub fn take(&self, size: usize, alignment: usize, offset: usize) -> Result<Range<usize>, &'static str> {
        let mut taken = self.taken.lock();
        let starts = self.ram().iter().map(|region| region.start);
        let starts = starts.chain(taken.as_slice().iter().map(|taken| taken.end));
        let place = starts
            .filter_map(|start| {
                let start = start.checked_next_multiple_of(alignment)?.checked_add(offset)?;
                Some(start..start.checked_add(size)?).filter(|place| self.is_free(place, &taken))
            })
            .min_by_key(|place| place.start)
            .ok_or(NO_ROOM)?;
        taken.push(place.clone())?;
        Ok(place)
    }

    /// Takes the highest `size` bytes that nobody has, at a multiple of `alignment`.
    ///
    /// # Errors
    /// There is no room.
    pub fn take_highest(&self, size: usize, alignment: usize) -> Result<Range<usize>, &'static str> {
        let mut taken = self.taken.lock();
        let ends = self.ram().iter().map(|region| region.end);
        let ends = ends.chain(taken.as_slice().iter().map(|taken| taken.start));
        let place = ends
            .filter_map(|end| {
                let start = end.checked_sub(size)? / alignment * alignment;
                Some(start..start + size).filter(|place| self.is_free(place, &taken))
            })
            .max_by_key(|place| place.start)
            .ok_or(NO_ROOM)?;
        taken.push(place.clone())?;
        Ok(place)
    }

    /// Takes this memory, which nobody has.
    ///
    /// # Errors
    /// Somebody has it.
    pub fn take_at(&self, place: Range<usize>) -> Result<(), &'static str> {
        let mut taken = self.taken.lock();
        if self.is_free(&place, &taken) { taken.push(place) } else { Err("this memory is somebody's") }
    }

    fn is_free(&self, place: &Range<usize>, taken: &Ranges) -> bool {
        let fits = |region: &Range<usize>| region.start <= place.start && place.end <= region.end;
        let clashes = |taken: &Range<usize>| taken.start < place.end && place.start < taken.end;
        self.ram().iter().any(fits) && !taken.as_slice().iter().any(clashes)
    }
}
