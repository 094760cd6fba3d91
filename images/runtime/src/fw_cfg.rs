//! What QEMU hands to firmware: the files of its device fw_cfg ([`FwCfg`]; QEMU's `docs/specs/fw_cfg`).

use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use safe_mmio::fields::{ReadOnly, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use crate::arch::memory_map;
use crate::devicetree;

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
}

/// The device.
pub struct FwCfg {
    registers: UniqueMmioPointer<'static, Registers>,
}

impl FwCfg {
    /// The device of the machine, which nobody else uses.
    ///
    /// # Errors
    /// There is none, or it cannot be mapped.
    pub fn find(fdt: &Fdt<'_>) -> Result<Self, &'static str> {
        let node = devicetree::find_node(fdt, |node| node.is_compatible("qemu,fw-cfg-mmio"));
        let node = node.ok_or("the devicetree names no fw_cfg")?;
        let region = devicetree::regions(node).next().filter(|region| region.len() >= size_of::<Registers>());
        let region = region.ok_or("fw_cfg has too few registers")?;
        let registers = memory_map::map_device(region.start, region.len());
        let registers = registers.map_err(|_| "fw_cfg cannot be mapped")?.cast();
        // SAFETY: mapped as device memory just now, and nobody else uses it.
        Ok(Self { registers: unsafe { UniqueMmioPointer::new(registers) } })
    }

    /// The file `name`, if QEMU has it.
    pub fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        let count = u32::from_be_bytes(*self.item(DIRECTORY, 4).first_chunk()?) as usize;
        let directory = self.item(DIRECTORY, 4 + count * ENTRY);
        let mut entries = directory[4..].chunks_exact(ENTRY);
        let entry = entries.find(|entry| entry[NAME..].split(|&byte| byte == 0).next() == Some(name.as_bytes()))?;
        let size = u32::from_be_bytes(*entry.first_chunk()?);
        let key = u16::from_be_bytes(*entry[4..].first_chunk()?);
        Some(self.item(key, size as usize))
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
