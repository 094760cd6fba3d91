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

    /// Takes `size` bytes that nobody has, at a multiple of `alignment` and `offset` bytes.
    ///
    /// # Errors
    /// There is no room.
    pub fn take(&self, size: usize, alignment: usize, offset: usize) -> Result<Range<usize>, &'static str> {
        let mut taken = self.taken.lock();
        let starts = self.ram.as_slice().iter().map(|region| region.start);
        let starts = starts.chain(taken.as_slice().iter().map(|taken| taken.end));
        let place = starts
            .filter_map(|start| {
                let start = start.checked_next_multiple_of(alignment)?.checked_add(offset)?;
                let place = start..start.checked_add(size)?;
                let fits = |region: &Range<usize>| region.start <= place.start && place.end <= region.end;
                let clashes = |taken: &Range<usize>| taken.start < place.end && place.start < taken.end;
                let is_free = !taken.as_slice().iter().any(clashes);
                (self.ram.as_slice().iter().any(fits) && is_free).then_some(place)
            })
            .min_by_key(|place| place.start)
            .ok_or("the machine has too little memory")?;
        taken.push(place.clone())?;
        Ok(place)
    }
}
