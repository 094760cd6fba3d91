//! A guest's memory: pieces of the machine's, each the guest's alone, and the stage 2 tables that put them together.
//!
//! Pages, not blocks, are mapped: a guest that invalidates one page would otherwise have QEMU forget a whole block.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;

use aarch64_paging::descriptor::{PhysicalAddress, Stage2Attributes};
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::{Constraints, MemoryRegion, RootTable, Stage2};
use reveille_aarch64::cache::clean_to_point_of_coherency;

/// What a piece is, in bytes, and aligned to.
pub const PIECE: usize = 2 << 20;
/// The level of the root table: a guest has addresses of [`ADDRESS_BITS`] bits.
const ROOT_LEVEL: usize = 1;
/// How many bits a guest's physical address has.
pub const ADDRESS_BITS: u32 = 39;

const DATA: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::MEMATTR_NORMAL_OUTER_WB)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::ACCESS_FLAG);

const DEVICE: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::MEMATTR_DEVICE_nGnRE)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::XN)
    .union(Stage2Attributes::ACCESS_FLAG);

/// A piece of the heap.
struct Piece(NonNull<u8>);

// SAFETY: it is its owner's alone.
unsafe impl Send for Piece {}
// SAFETY: only who has it exclusively looks into it.
unsafe impl Sync for Piece {}

impl Piece {
    const LAYOUT: Layout = match Layout::from_size_align(PIECE, PIECE) {
        Ok(layout) => layout,
        Err(_) => panic!("a piece is a power of two"),
    };

    /// A new one, all zero, also to who reads it past the caches.
    fn new() -> Option<Self> {
        // SAFETY: its size is not 0.
        let mut piece = Self(NonNull::new(unsafe { alloc_zeroed(Self::LAYOUT) })?);
        clean_to_point_of_coherency(piece.bytes());
        Some(piece)
    }

    fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// What is in it, while the guest does not run.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated with this size, and nobody else's.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr(), PIECE) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) };
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        // Before a piece is another's, no CPU remembers that it was this guest's.
        forget_translations();
    }
}

/// Has all CPUs forget what they know of guests' addresses: what stage 2 makes of them, and what stage 1 and stage 2 make of them together.
pub fn forget_translations() {
    // SAFETY: barriers, and an invalidation: what is still in use is looked up again.
    unsafe { core::arch::asm!("dsb ishst", "tlbi alle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// The memory of a guest that does not run.
pub struct GuestMemory {
    /// Where it begins, as the guest has it.
    start: u64,
    tables: RootTable<Stage2, IdTranslation<Stage2Attributes>>,
    pieces: Vec<Piece>,
}

impl GuestMemory {
    /// `size` bytes that are zero, from the guest's physical address `start` on.
    ///
    /// # Errors
    /// There is not enough memory, or not in pieces of that size.
    pub fn new(start: u64, size: u64) -> Result<Self, &'static str> {
        if !start.is_multiple_of(PIECE as u64) || !size.is_multiple_of(PIECE as u64) {
            return Err("the memory of a guest comes in pieces of 2 MiB");
        }
        let tables = RootTable::new(IdTranslation::new(), ROOT_LEVEL, Stage2);
        let mut memory = Self { start, tables, pieces: Vec::new() };
        let addresses = start..start.checked_add(size).ok_or("the memory of a guest ends")?;
        if addresses.end >> ADDRESS_BITS != 0 {
            return Err("the memory of a guest lies where no address reaches it");
        }
        for address in addresses.step_by(PIECE) {
            memory.add(address as usize)?;
        }
        Ok(memory)
    }

    fn add(&mut self, address: usize) -> Result<(), &'static str> {
        let piece = Piece::new().ok_or("there is not enough memory for the guest")?;
        let region = MemoryRegion::new(address, address + PIECE);
        let physical = PhysicalAddress(piece.address());
        let mapped = self.tables.map_range(&region, physical, DATA, Constraints::NO_BLOCK_MAPPINGS);
        self.pieces.push(piece);
        mapped.map_err(|_| "the memory of a guest cannot be mapped")
    }

    /// Lets the guest have the registers of a device of the machine, at its own address.
    ///
    /// # Errors
    /// They are not whole pages.
    pub fn grant_device(&mut self, address: u64, size: u64) -> Result<(), &'static str> {
        let region = MemoryRegion::new(address as usize, (address + size) as usize);
        let physical = PhysicalAddress(address as usize);
        let mapped = self.tables.map_range(&region, physical, DEVICE, Constraints::empty());
        mapped.map_err(|_| "a device of the machine cannot be mapped")
    }

    /// The guest's physical addresses of it.
    pub fn addresses(&self) -> Range<u64> {
        self.start..self.start + (self.pieces.len() * PIECE) as u64
    }

    /// Puts `bytes` at the guest's physical address `address`.
    ///
    /// # Errors
    /// There is no memory there.
    pub fn write(&mut self, address: u64, mut bytes: &[u8]) -> Result<(), &'static str> {
        const NONE: &str = "the guest's memory is too small for what is to be in it";
        let mut offset = usize::try_from(address.checked_sub(self.start).ok_or(NONE)?).map_err(|_| NONE)?;
        while !bytes.is_empty() {
            let piece = self.pieces.get_mut(offset / PIECE).ok_or(NONE)?;
            let place = &mut piece.bytes()[offset % PIECE..];
            let (part, rest) = bytes.split_at(bytes.len().min(place.len()));
            let place = &mut place[..part.len()];
            place.copy_from_slice(part);
            clean_to_point_of_coherency(place);
            offset += part.len();
            bytes = rest;
        }
        Ok(())
    }

    /// VTTBR_EL2 for the guest with the number `vmid`.
    pub fn vttbr(&self, vmid: u8) -> u64 {
        self.tables.to_physical().0 as u64 | u64::from(vmid) << 48
    }
}
