//! ACPI on a machine of QEMU's that was started without firmware: [`Tables`].
//!
//! QEMU hands firmware its tables through [`fw_cfg`](reveille_devices::fw_cfg), and with them a script that says how to link them, since they do
//! not know where they will lie (`etc/table-loader`; QEMU's `bios-linker-loader`). Nobody else being there, it is done here.

use alloc::string::String;
use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;
use reveille::acpi::{TableError, find_table};
use reveille_devices::fw_cfg::FwCfg;

use crate::arch::memory_map;

const SCRIPT: &str = "etc/table-loader";
const RSDP: &str = "etc/acpi/rsdp";

const NO_FILE: &str = "fw_cfg lacks a file of ACPI's";
const BAD_SCRIPT: &str = "the script that links ACPI's tables is damaged";

/// A file of fw_cfg, with one table in it or many.
struct Blob {
    name: String,
    bytes: Vec<u8>,
}

impl Blob {
    /// Memory is mapped to itself.
    fn address(&self) -> u64 {
        self.bytes.as_ptr().addr() as u64
    }
}

/// The machine's ACPI tables, linked.
pub struct Tables {
    blobs: Vec<Blob>,
}

impl Tables {
    /// Reads and links them.
    ///
    /// # Errors
    /// What is missing or damaged.
    pub fn load(fdt: &Fdt<'_>) -> Result<Self, &'static str> {
        let registers = FwCfg::find(fdt)?;
        let registers =
            memory_map::map_device(registers.start, registers.len()).map_err(|_| "fw_cfg cannot be mapped")?;
        // SAFETY: mapped as device memory just now, and nobody else uses it.
        let mut device = unsafe { FwCfg::new(registers) };
        let script = device.read(SCRIPT).ok_or(NO_FILE)?;
        let mut tables = Self { blobs: Vec::new() };
        for entry in script.chunks_exact(Command::LENGTH) {
            let command = Command::parse(entry).ok_or(BAD_SCRIPT)?;
            match command {
                Command::Allocate { file } => {
                    let bytes = device.read(file).ok_or(NO_FILE)?;
                    tables.blobs.push(Blob { name: file.into(), bytes });
                }
                Command::AddPointer { pointer_file, pointee_file, offset, size } => {
                    let address = tables.blob(pointee_file)?.address();
                    let pointer = tables.bytes_mut(pointer_file, offset, size)?;
                    add(pointer, address);
                }
                Command::AddChecksum { file, place, start, length } => {
                    let sum =
                        tables.bytes_mut(file, start, length)?.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
                    let checksum = &mut tables.bytes_mut(file, place, 1)?[0];
                    *checksum = checksum.wrapping_sub(sum);
                }
                Command::Other => {}
            }
        }
        Ok(tables)
    }

    /// The table `signature`, and what lies behind it.
    ///
    /// # Errors
    /// There is none, or the tables that lead there are damaged.
    pub fn find(&self, signature: [u8; 4]) -> Result<&[u8], TableError> {
        let rsdp = self.blob(RSDP).map_err(|_| TableError::Missing)?;
        find_table(&rsdp.bytes, signature, &|address| self.memory(address))
    }

    fn memory(&self, address: u64) -> Option<&[u8]> {
        let at = |blob: &Blob| usize::try_from(address.checked_sub(blob.address())?).ok();
        self.blobs.iter().find_map(|blob| blob.bytes.get(at(blob)?..))
    }

    fn blob(&self, name: &str) -> Result<&Blob, &'static str> {
        self.blobs.iter().find(|blob| blob.name == name).ok_or(BAD_SCRIPT)
    }

    fn bytes_mut(&mut self, name: &str, offset: usize, length: usize) -> Result<&mut [u8], &'static str> {
        let blob = self.blobs.iter_mut().find(|blob| blob.name == name).ok_or(BAD_SCRIPT)?;
        blob.bytes.get_mut(offset..).and_then(|rest| rest.get_mut(..length)).ok_or(BAD_SCRIPT)
    }
}

/// Adds to a little-endian number, as far as it has bytes.
fn add(number: &mut [u8], summand: u64) {
    let old = number.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let new = old.wrapping_add(summand).to_le_bytes();
    number.iter_mut().zip(new).for_each(|(byte, new)| *byte = new);
}

/// A command of the script.
enum Command<'a> {
    /// The file is to be in memory. (Where, and with which alignment, matters to nobody who reads it byte by byte.)
    Allocate { file: &'a str },
    /// A number is relative to the start of the other file, and is to be its address.
    AddPointer { pointer_file: &'a str, pointee_file: &'a str, offset: usize, size: usize },
    /// A byte is to make others add up to 0.
    AddChecksum { file: &'a str, place: usize, start: usize, length: usize },
    /// Nothing, or what is of use to QEMU alone.
    Other,
}

impl<'a> Command<'a> {
    const LENGTH: usize = 128;
    /// What a file's name takes.
    const NAME: usize = 56;
    /// Where what follows the first name begins, and what follows the second.
    const SECOND: usize = 4 + Self::NAME;
    const THIRD: usize = Self::SECOND + Self::NAME;

    fn parse(entry: &'a [u8]) -> Option<Self> {
        let number = |offset: usize| entry.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes);
        let offset = |offset| number(offset).map(|number| number as usize);
        let name = |offset: usize| {
            let name = entry.get(offset..)?.get(..Self::NAME)?.split(|&byte| byte == 0).next()?;
            core::str::from_utf8(name).ok()
        };
        Some(match number(0)? {
            1 => Self::Allocate { file: name(4)? },
            2 => Self::AddPointer {
                pointer_file: name(4)?,
                pointee_file: name(Self::SECOND)?,
                offset: offset(Self::THIRD)?,
                size: usize::from(*entry.get(Self::THIRD + 4)?),
            },
            3 => Self::AddChecksum {
                file: name(4)?,
                place: offset(Self::SECOND)?,
                start: offset(Self::SECOND + 4)?,
                length: offset(Self::SECOND + 8)?,
            },
            _ => Self::Other,
        })
    }
}
