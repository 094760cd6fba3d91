//! Where in a guest's memory is what it begins with: its kernel as the arm64 boot protocol has it, its ramdisk, and its devicetree.

use core::ops::Range;

use crate::module::Module;
use crate::refused::Reason;

/// The size of an arm64 Image's header, in bytes.
pub const HEADER: usize = 64;

const MAGIC: Range<usize> = 56..60;
const TEXT_OFFSET: Range<usize> = 8..16;
const IMAGE_SIZE: Range<usize> = 16..24;
const FLAGS: usize = 24;
const BIG_ENDIAN: u8 = 1;

/// What is kept for the devicetree at the end of the memory, in bytes: the most that one is. It begins there as kernels want it.
const DEVICETREE: u64 = 2 << 20;
const PAGE: u64 = 4 << 10;

/// Where everything is, by the guest's physical addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kernel, and its entry point.
    pub kernel: u64,
    /// The ramdisk.
    pub ramdisk: Option<Range<u64>>,
    /// The devicetree, for which there is room up to the end of the memory.
    pub devicetree: u64,
}

impl Layout {
    /// Places everything in `memory`, which begins at a multiple of 2 MiB. `header` is the beginning of the kernel.
    ///
    /// # Errors
    /// [`Reason::NoImage`], [`Reason::Unsupported`], [`Reason::KernelDoesNotFit`].
    pub fn new(
        memory: &Range<u64>,
        header: &[u8; HEADER],
        kernel: &Module,
        ramdisk: Option<&Module>,
    ) -> Result<Self, Reason<'static>> {
        if header[MAGIC] != *b"ARM\x64" {
            return Err(Reason::NoImage);
        }
        if header[FLAGS] & BIG_ENDIAN != 0 {
            return Err(Reason::Unsupported("a big-endian kernel"));
        }
        let number =
            |range: Range<usize>| header[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        // Before Linux 3.17 an Image did not say how much it needs.
        let needed = number(TEXT_OFFSET).saturating_add(number(IMAGE_SIZE).max(kernel.size));
        let size = ramdisk.map_or(0, |ramdisk| ramdisk.size);
        let does_not_fit = Reason::KernelDoesNotFit {
            kernel: needed,
            ramdisk: size,
            devicetree: DEVICETREE,
            memory: memory.end.saturating_sub(memory.start) >> 10,
        };
        let place = || {
            let end = memory.start.checked_add(needed)?;
            let devicetree = memory.end.checked_sub(DEVICETREE)? & !(DEVICETREE - 1);
            let ramdisk = ramdisk.map(|_| Some(devicetree.checked_sub(size)? & !(PAGE - 1)));
            let last = ramdisk.unwrap_or(Some(devicetree))?;
            (end <= last).then(|| Self {
                kernel: memory.start + number(TEXT_OFFSET),
                ramdisk: ramdisk.flatten().map(|start| start..start + size),
                devicetree,
            })
        };
        place().ok_or(does_not_fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Range<u64> = 0x4000_0000..0x4200_0000;

    fn header(offset: u64, size: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[TEXT_OFFSET].copy_from_slice(&offset.to_le_bytes());
        header[IMAGE_SIZE].copy_from_slice(&size.to_le_bytes());
        header[MAGIC].copy_from_slice(b"ARM\x64");
        header
    }

    const fn module(size: u64) -> Module {
        Module { address: 0x5000_0000, size }
    }

    #[test]
    fn row_36_a_kernel_is_its_offset_into_the_memory_and_the_rest_at_the_end() {
        let layout = Layout::new(&MEMORY, &header(0x8_0000, 0x100_0000), &module(0x80_0000), Some(&module(0x1001)));
        let ramdisk = Some(0x41df_e000..0x41df_f001);
        assert_eq!(layout, Ok(Layout { kernel: 0x4008_0000, ramdisk, devicetree: 0x41e0_0000 }));
    }

    #[test]
    fn what_a_kernel_needs_beyond_its_file_counts() {
        let room = 0x1e0_0000;
        let of = |offset, size, file, ramdisk: u64| {
            let ramdisk = (ramdisk > 0).then_some(module(ramdisk));
            Layout::new(&MEMORY, &header(offset, size), &module(file), ramdisk.as_ref()).is_ok()
        };
        assert!(of(0, room, 1, 0) && !of(0, room + 1, 1, 0));
        assert!(of(0, 0, room, 0) && !of(0, 0, room + 1, 0));
        assert!(of(0x8_0000, room - 0x8_0000, 1, 0) && !of(0x8_0000, room, 1, 0));
        assert!(of(0, room - 0x1000, 1, 0x1000) && !of(0, room - 0x1000, 1, 0x1001));
        assert!(!of(u64::MAX, 1, 1, 0) && !of(1, u64::MAX, 1, 0) && !of(0, 1, 1, u64::MAX));
    }

    #[test]
    fn what_is_no_kernel_of_arm64_is_refused() {
        let mut other = header(0, 1);
        other[MAGIC.start] = 0;
        assert_eq!(Layout::new(&MEMORY, &other, &module(1), None), Err(Reason::NoImage));
        let mut big = header(0, 1);
        big[FLAGS] = 0b1011;
        assert_eq!(Layout::new(&MEMORY, &big, &module(1), None), Err(Reason::Unsupported("a big-endian kernel")));
    }
}
