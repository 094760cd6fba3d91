//! The caller's memory: which pointers are followed, and strings.

use cfe_abi::{Error, MemoryType, pointer};

use crate::board::{Board, MemoryRegion};

/// Where the segments are that show physical memory without a TLB: cached, and from `KSEG1` on uncached.
const KSEG0: u32 = 0x8000_0000;
const KSEG1: u32 = 0xa000_0000;

/// What each of them shows.
const SEGMENT_SIZE: u32 = 0x2000_0000;

/// Memory of a caller that a server may read and write: all of it available, and reached through KSEG0 or KSEG1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerMemory {
    address: u32,
    length: u32,
}

impl CallerMemory {
    /// The memory behind a pointer from a request, unless it must not be followed that far.
    pub fn check(map: &[MemoryRegion], pointer: u64, length: u64) -> Result<Self, Error> {
        let address = pointer::to_address(pointer).ok_or(Error::InvalidParameter)?;
        let length = u32::try_from(length).map_err(|_| Error::InvalidParameter)?;
        let segment = match address {
            KSEG0..KSEG1 => KSEG0,
            KSEG1.. if address - KSEG1 < SEGMENT_SIZE => KSEG1,
            _ => return Err(Error::InvalidParameter),
        };
        let begin = u64::from(address - segment);
        let end = begin + u64::from(length);
        let available = map.iter().any(|region| {
            region.memory_type == MemoryType::Available
                && region.address <= begin
                && region.address.checked_add(region.size).is_some_and(|region_end| end <= region_end)
        });
        if end > u64::from(SEGMENT_SIZE) || !available {
            return Err(Error::InvalidParameter);
        }
        Ok(Self { address, length })
    }

    /// Its virtual address, in KSEG0 or KSEG1.
    pub fn address(self) -> u32 {
        self.address
    }

    /// How long it is, in bytes.
    pub fn length(self) -> usize {
        self.length as usize
    }

    /// The part of it that begins `offset` bytes in and is at most `length` long.
    pub(crate) fn part(self, offset: usize, length: usize) -> Self {
        let offset = self.length.min(offset as u32);
        Self { address: self.address + offset, length: (self.length - offset).min(length as u32) }
    }
}

/// Reads a string that ends at a zero or after `length` bytes. Returns how much of `buffer` it takes.
pub(crate) fn read_string<B: Board>(board: &B, pointer: u64, length: u64, buffer: &mut [u8]) -> Result<usize, Error> {
    for index in 0..length {
        let byte = CallerMemory::check(board.memory_map(), pointer.wrapping_add(index), 1)?;
        let mut read = [0];
        board.read_memory(byte, &mut read);
        if read[0] == 0 {
            return Ok(index as usize);
        }
        *buffer.get_mut(index as usize).ok_or(Error::InvalidParameter)? = read[0];
    }
    Ok(length as usize)
}

/// Where a string goes that is handed out, and as much of it as there is room for.
pub(crate) struct StringOutput<'a> {
    memory: CallerMemory,
    text: &'a [u8],
}

impl<'a> StringOutput<'a> {
    /// Looks whether there is room for it, and a zero, in `length` bytes.
    pub(crate) fn check(map: &[MemoryRegion], pointer: u64, length: u64, text: &'a [u8]) -> Result<Self, Error> {
        let room = length.checked_sub(1).ok_or(Error::InvalidParameter)?;
        let text = &text[..text.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        Ok(Self { memory: CallerMemory::check(map, pointer, text.len() as u64 + 1)?, text })
    }

    /// Writes it.
    pub(crate) fn write<B: Board>(self, board: &mut B) {
        board.write_memory(self.memory.part(0, self.text.len()), self.text);
        board.write_memory(self.memory.part(self.text.len(), 1), &[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: [MemoryRegion; 3] = [
        MemoryRegion { memory_type: MemoryType::Reserved, address: 0, size: 0x10_0000 },
        MemoryRegion { memory_type: MemoryType::Available, address: 0x10_0000, size: 0x10_0000 },
        MemoryRegion { memory_type: MemoryType::Available, address: 0x1fff_f000, size: 0x2000 },
    ];

    fn check(address: u32, length: u64) -> Result<CallerMemory, Error> {
        CallerMemory::check(&MAP, pointer::from_address(address), length)
    }

    #[test]
    fn available_memory_is_reached_through_both_segments() {
        for address in [0x8010_0000, 0xa010_0000, 0x801f_fff0, 0xbfff_fff0] {
            let memory = check(address, 16).unwrap();
            assert_eq!((memory.address(), memory.length()), (address, 16));
        }
    }

    #[test]
    fn other_segments_are_refused() {
        for address in [0, 0x10_0000, 0x7fff_ffff, 0xc010_0000, 0xe010_0000, 0xffff_ffff] {
            assert_eq!(check(address, 1), Err(Error::InvalidParameter), "{address:#x}");
        }
    }

    #[test]
    fn reserved_and_absent_memory_is_refused() {
        for address in [0x8000_0000, 0x800f_ffff, 0x8020_0000, 0xa00f_ffff, 0x9fc0_0500, 0xbfc0_0500] {
            assert_eq!(check(address, 1), Err(Error::InvalidParameter), "{address:#x}");
        }
    }

    #[test]
    fn what_runs_over_an_end_is_refused() {
        assert_eq!(check(0x800f_fffc, 8), Err(Error::InvalidParameter));
        assert_eq!(check(0x801f_fffc, 5), Err(Error::InvalidParameter));
        // The region goes on behind the end of the segments, but from KSEG0 into KSEG1 nothing does, nor out of that.
        assert!(check(0x9fff_fffc, 4).is_ok());
        assert_eq!(check(0x9fff_fffc, 5), Err(Error::InvalidParameter));
        assert_eq!(check(0xbfff_fffc, 5), Err(Error::InvalidParameter));
        assert_eq!(check(0x8010_0000, 1 << 32), Err(Error::InvalidParameter));
        assert_eq!(check(0x8010_0000, u64::MAX), Err(Error::InvalidParameter));
    }

    #[test]
    fn pointers_that_are_not_sign_extended_are_refused() {
        assert_eq!(CallerMemory::check(&MAP, 0x8010_0000, 1), Err(Error::InvalidParameter));
        assert_eq!(CallerMemory::check(&MAP, 0xffff_fffe_8010_0000, 1), Err(Error::InvalidParameter));
    }

    #[test]
    fn a_map_that_wraps_allows_nothing_by_that() {
        let map = [MemoryRegion { memory_type: MemoryType::Available, address: 0x1000, size: u64::MAX }];
        assert_eq!(CallerMemory::check(&map, pointer::from_address(0x8010_0000), 1), Err(Error::InvalidParameter));
    }

    #[test]
    fn parts_stay_inside() {
        let memory = check(0x8010_0000, 16).unwrap();
        assert_eq!(memory.part(4, 8), CallerMemory { address: 0x8010_0004, length: 8 });
        assert_eq!(memory.part(12, 8), CallerMemory { address: 0x8010_000c, length: 4 });
        assert_eq!(memory.part(20, 8), CallerMemory { address: 0x8010_0010, length: 0 });
    }
}
