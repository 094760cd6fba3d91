//! What QEMU hands to firmware: the files of its device fw_cfg ([`FwCfg`]; QEMU's `docs/specs/fw_cfg`).

use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use safe_mmio::fields::{ReadOnly, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use crate::devicetree;

const REFUSED: &str = "fw_cfg does not hand over what it has";
/// The item that lists the files.
const DIRECTORY: u16 = 0x19;
/// What each takes there: its size, its key, two bytes that are reserved, and its name, which zeros fill up.
const ENTRY: usize = 64;
const NAME: usize = 8;

#[repr(C)]
struct Registers {
    /// The next bytes of the item, the first at the lowest address; zeros behind its end.
    data: ReadOnly<u64>,
    /// Begins an item anew. Big-endian.
    selector: WriteOnly<u16>,
    /// Starts a transfer: the physical address of a [`Transfer`]. Big-endian.
    transfer: WriteOnly<u64>,
}

/// A transfer that the device does by itself. Big-endian.
#[repr(C, align(16))]
struct Transfer {
    control: u32,
    length: u32,
    address: u64,
}

impl Transfer {
    const READ: u32 = 1 << 1;
    const SELECT: u32 = 1 << 3;
}

/// What QEMU was told to boot, where it boots firmware instead, which is to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// `-kernel`.
    Kernel,
    /// `-initrd`.
    Initrd,
    /// `-append`, with a zero at its end.
    CommandLine,
}

impl Handover {
    /// The item that has its size, as a little-endian word, and the one that has its content.
    fn keys(self) -> (u16, u16) {
        match self {
            Self::Kernel => (0x08, 0x11),
            Self::Initrd => (0x0b, 0x12),
            Self::CommandLine => (0x14, 0x15),
        }
    }
}

/// A file, as the device's directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    key: u16,
    /// Its size in bytes.
    pub size: usize,
}

/// The device.
pub struct FwCfg {
    registers: UniqueMmioPointer<'static, Registers>,
}

impl FwCfg {
    /// The registers of the machine's device, as a physical address.
    ///
    /// # Errors
    /// There is none, or it has too few.
    pub fn find(fdt: &Fdt<'_>) -> Result<Range<usize>, &'static str> {
        let node = devicetree::find_node(fdt, |node| node.is_compatible("qemu,fw-cfg-mmio"));
        let node = node.ok_or("the devicetree names no fw_cfg")?;
        let region = devicetree::regions(node).next().filter(|region| region.len() >= size_of::<Registers>());
        region.ok_or("fw_cfg has too few registers")
    }

    /// The device whose registers are at `registers`.
    ///
    /// # Safety
    /// What [`FwCfg::find`] returned is mapped there as device memory, and nobody else uses it.
    #[must_use]
    pub unsafe fn new(registers: NonNull<u8>) -> Self {
        // SAFETY: the caller says that it is mapped and nobody else's.
        Self { registers: unsafe { UniqueMmioPointer::new(registers.cast()) } }
    }

    /// The file `name`, if QEMU has it.
    pub fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        let file = self.find_file(name)?;
        Some(self.read_beginning(file, usize::MAX))
    }

    /// Looks for the file `name`.
    pub fn find_file(&mut self, name: &str) -> Option<File> {
        let count = u32::from_be_bytes(*self.item(DIRECTORY, 4).first_chunk()?) as usize;
        let directory = self.item(DIRECTORY, 4 + count * ENTRY);
        let mut entries = directory[4..].chunks_exact(ENTRY);
        let entry = entries.find(|entry| entry[NAME..].split(|&byte| byte == 0).next() == Some(name.as_bytes()))?;
        let size = u32::from_be_bytes(*entry.first_chunk()?) as usize;
        let key = u16::from_be_bytes(*entry[4..].first_chunk()?);
        Some(File { key, size })
    }

    /// The first `limit` bytes of `file`, or all of it if it has fewer.
    pub fn read_beginning(&mut self, file: File, limit: usize) -> Vec<u8> {
        self.item(file.key, file.size.min(limit))
    }

    /// Has the device write `file` to `place`, as [`FwCfg::place`] does.
    ///
    /// # Errors
    /// The device refuses, or the place is too small.
    ///
    /// # Safety
    /// As for [`FwCfg::place`].
    pub unsafe fn place_file(&mut self, file: File, place: Range<usize>) -> Result<(), &'static str> {
        if place.len() < Self::place_size(file.size) {
            return Err(REFUSED);
        }
        // SAFETY: the caller says so.
        unsafe { self.transfer(file.key, file.size, place) }
    }

    /// The size of what is handed over, in bytes; 0 where it is nothing.
    pub fn handover_size(&mut self, what: Handover) -> usize {
        let size = self.item(what.keys().0, size_of::<u32>());
        size.first_chunk().map_or(0, |&size| u32::from_le_bytes(size) as usize)
    }

    /// The first `limit` bytes of what is handed over, or all of it if it has fewer.
    pub fn handover(&mut self, what: Handover, limit: usize) -> Vec<u8> {
        let size = self.handover_size(what).min(limit);
        self.item(what.keys().1, size)
    }

    /// The memory that [`FwCfg::place`] takes for `size` bytes.
    #[must_use]
    pub fn place_size(size: usize) -> usize {
        size.next_multiple_of(align_of::<Transfer>()) + size_of::<Transfer>()
    }

    /// Has the device write the beginning of what is handed over to `place`, as much as fits into it beside the description of the
    /// transfer (see [`FwCfg::place_size`]).
    ///
    /// # Errors
    /// The device refuses.
    ///
    /// # Safety
    /// `place` is 16-byte aligned memory that the device reaches at the same address, and that nobody else uses meanwhile.
    pub unsafe fn place(&mut self, what: Handover, place: Range<usize>) -> Result<(), &'static str> {
        let size = self.handover_size(what);
        // SAFETY: the caller says so.
        unsafe { self.transfer(what.keys().1, size, place) }
    }

    /// Has the device write the first `size` bytes of the item `key` to `place`, as much of it as fits.
    ///
    /// # Safety
    /// As for [`FwCfg::place`].
    unsafe fn transfer(&mut self, key: u16, size: usize, place: Range<usize>) -> Result<(), &'static str> {
        let room = place.len().checked_sub(size_of::<Transfer>()).ok_or(REFUSED)? & !(align_of::<Transfer>() - 1);
        let size = size.min(room);
        let transfer: *mut Transfer = core::ptr::with_exposed_provenance_mut(place.start + room);
        let control = u32::from(key) << 16 | Transfer::SELECT | Transfer::READ;
        let order = Transfer {
            control: control.to_be(),
            length: u32::try_from(size).map_err(|_| REFUSED)?.to_be(),
            address: (place.start as u64).to_be(),
        };
        // SAFETY: the caller says that the memory is nobody's. The description lies behind what is transferred.
        unsafe { transfer.write_volatile(order) };
        fence(Ordering::SeqCst);
        field!(self.registers, transfer).write((transfer.addr() as u64).to_be());
        fence(Ordering::SeqCst);
        // SAFETY: as above. QEMU is done when the write to its register is.
        let control = u32::from_be(unsafe { (&raw const (*transfer).control).read_volatile() });
        if control == 0 { Ok(()) } else { Err(REFUSED) }
    }

    /// The first `size` bytes of the item `key`.
    fn item(&mut self, key: u16, size: usize) -> Vec<u8> {
        field!(self.registers, selector).write(key.to_be());
        let words =
            (0..size.div_ceil(size_of::<u64>())).flat_map(|_| field!(self.registers, data).read().to_ne_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(size);
        bytes
    }
}
