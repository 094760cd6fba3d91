//! Turns an ELF file into the flat arm64 Image that boot loaders take (Linux, `Documentation/arch/arm64/booting.rst`), or into the
//! content of a MIPS machine's boot ROM.

use object::Endianness;
use object::elf::{EM_AARCH64, EM_MIPS, FileHeader32, FileHeader64, Machine, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Where the header of an Image has its magic number.
const MAGIC_OFFSET: usize = 56;
/// `ARM` and 0x64, in the order of the bytes.
const MAGIC: [u8; 4] = 0x644d_5241_u32.to_le_bytes();
/// No image of ours is larger; a linker script gone wrong can span terabytes.
const LARGEST: u64 = 256 << 20;
/// Where a MIPS CPU begins after a reset, as a physical address: the first byte of the boot ROM.
const RESET: u64 = 0x1fc0_0000;
/// The part of an address in the unmapped segments KSEG0 and KSEG1 that is the physical one.
const UNMAPPED: u64 = 0x1fff_ffff;
/// The largest boot ROM that QEMU's Malta board takes.
const LARGEST_ROM: usize = 4 << 20;

/// Why an ELF file is no Image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// It cannot be read.
    #[error("it is not a whole ELF file of its processor ({0})")]
    NotElf(String),
    /// Nothing in it is loaded.
    #[error("it has no segment to load")]
    Empty,
    /// Its segments lie too far apart.
    #[error("its segments span {0} bytes of memory")]
    TooLarge(u64),
    /// The first segment does not begin with the header.
    #[error("it does not begin with the header of an arm64 Image")]
    NoHeader,
    /// The first segment does not lie where CPUs begin after a reset.
    #[error("it begins at {0:#x}, and CPUs elsewhere after a reset")]
    NotAtReset(u64),
}

/// The arm64 Image in `elf`: what its segments load, from the lowest physical address on.
///
/// # Errors
/// [`FlattenError`].
pub fn arm64_image(elf: &[u8]) -> Result<Vec<u8>, FlattenError> {
    let (_, image) = flatten::<FileHeader64<Endianness>>(elf, EM_AARCH64)?;
    if image.get(MAGIC_OFFSET..MAGIC_OFFSET + MAGIC.len()) == Some(&MAGIC) {
        Ok(image)
    } else {
        Err(FlattenError::NoHeader)
    }
}

/// The content of an arm64 machine's flash in `elf`: what its segments load, from address 0 on, where CPUs begin.
///
/// # Errors
/// [`FlattenError`].
pub fn arm64_flash(elf: &[u8]) -> Result<Vec<u8>, FlattenError> {
    match flatten::<FileHeader64<Endianness>>(elf, EM_AARCH64)? {
        (0, flash) => Ok(flash),
        (start, _) => Err(FlattenError::NotAtReset(start)),
    }
}

/// The content of a boot ROM in `elf`: what its segments load, from the reset vector on, with the bytes of every word of 32 bits
/// turned round. QEMU's Malta board takes what it is given for the words of a big-endian machine, and turns them for a little-endian
/// one.
///
/// # Errors
/// [`FlattenError`].
pub fn mips_rom(elf: &[u8]) -> Result<Vec<u8>, FlattenError> {
    let (start, mut rom) = flatten::<FileHeader32<Endianness>>(elf, EM_MIPS)?;
    if start & UNMAPPED != RESET {
        return Err(FlattenError::NotAtReset(start));
    }
    if rom.len() > LARGEST_ROM {
        return Err(FlattenError::TooLarge(rom.len() as u64));
    }
    rom.resize(rom.len().next_multiple_of(4), 0);
    rom.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Ok(rom)
}

/// `elf` itself, if it is whole and something in it is loaded.
///
/// # Errors
/// [`FlattenError`].
pub fn mips_elf(elf: &[u8]) -> Result<Vec<u8>, FlattenError> {
    flatten::<FileHeader32<Endianness>>(elf, EM_MIPS).map(|_| elf.to_owned())
}

/// What the segments load, from the lowest physical address on, and that address.
fn flatten<Elf: FileHeader<Endian = Endianness>>(
    elf: &[u8],
    processor: Machine,
) -> Result<(u64, Vec<u8>), FlattenError> {
    let not_elf = |error: object::Error| FlattenError::NotElf(error.to_string());
    let header = Elf::parse(elf).map_err(not_elf)?;
    let endian = header.endian().map_err(not_elf)?;
    if header.e_machine(endian) != processor {
        return Err(FlattenError::NotElf("made for another processor".into()));
    }
    let mut segments = Vec::new();
    for program_header in header.program_headers(endian, elf).map_err(not_elf)? {
        let bytes = program_header
            .data(endian, elf)
            .map_err(|()| FlattenError::NotElf("a segment lies outside the file".into()))?;
        if program_header.p_type(endian) == PT_LOAD && !bytes.is_empty() {
            segments.push((program_header.p_paddr(endian).into(), bytes));
        }
    }
    let start: u64 = segments.iter().map(|(address, _)| *address).min().ok_or(FlattenError::Empty)?;
    let mut image = Vec::new();
    for (address, bytes) in segments {
        let offset = address - start;
        let end = offset.saturating_add(bytes.len() as u64);
        if end > LARGEST {
            return Err(FlattenError::TooLarge(end));
        }
        let (offset, end) = (offset as usize, end as usize);
        image.resize(image.len().max(end), 0);
        image[offset..end].copy_from_slice(bytes);
    }
    Ok((start, image))
}

#[cfg(test)]
mod tests {
    use object::elf::{ET_EXEC, FileFlags, OsAbi, ProgramFlags};
    use object::write::elf::{FileHeader, ProgramHeader, Writer};

    use super::*;

    /// An ELF file with these segments: physical address, bytes.
    fn elf(machine: Machine, segments: &[(u64, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(Endianness::Little, machine != EM_MIPS, &mut bytes);
        writer.reserve_file_header();
        writer.reserve_program_headers(segments.len() as u32);
        let offsets: Vec<u64> = segments.iter().map(|(_, data)| writer.reserve(data.len() as u64, 8)).collect();
        writer
            .write_file_header(&FileHeader {
                os_abi: OsAbi(0),
                abi_version: 0,
                e_type: ET_EXEC,
                e_machine: machine,
                e_entry: 0,
                e_flags: FileFlags(0),
            })
            .unwrap();
        writer.write_align_program_headers();
        for ((address, data), offset) in segments.iter().zip(&offsets) {
            writer.write_program_header(&ProgramHeader {
                p_type: PT_LOAD,
                p_flags: ProgramFlags(0),
                p_offset: *offset,
                p_vaddr: 0xffff_0000_0000_0000 | address,
                p_paddr: *address,
                p_filesz: data.len() as u64,
                p_memsz: data.len() as u64 + 16,
                p_align: 8,
            });
        }
        for (_, data) in segments {
            writer.write_align(8);
            writer.write(data);
        }
        bytes
    }

    fn header() -> [u8; 64] {
        let mut header = [0x11; 64];
        header[MAGIC_OFFSET..MAGIC_OFFSET + 4].copy_from_slice(b"ARM\x64");
        header
    }

    #[test]
    fn segments_are_laid_out_by_physical_address() {
        let image = arm64_image(&elf(EM_AARCH64, &[(0x4020_0050, b"data"), (0x4020_0000, &header())])).unwrap();
        assert_eq!(image.len(), 0x54);
        assert_eq!(image[..64], header());
        assert_eq!(image[64..0x50], [0; 16]);
        assert_eq!(&image[0x50..], b"data");
    }

    #[test]
    fn an_elf_file_without_the_header_in_front_is_refused() {
        let file = elf(EM_AARCH64, &[(0x1000, &[0; 64])]);
        assert_eq!(arm64_image(&file), Err(FlattenError::NoHeader));
        assert_eq!(arm64_image(&elf(EM_AARCH64, &[(0x1000, b"short")])), Err(FlattenError::NoHeader));
    }

    #[test]
    fn a_boot_rom_begins_at_the_reset_vector_and_has_the_bytes_of_its_words_turned_round() {
        for segment in [0x1fc0_0000, 0x9fc0_0000, 0xbfc0_0000] {
            let rom = mips_rom(&elf(EM_MIPS, &[(segment, b"abcd"), (segment + 8, b"efghi")])).unwrap();
            assert_eq!(rom, b"dcba\0\0\0\0hgfe\0\0\0i", "{segment:#x}");
        }
        assert_eq!(mips_rom(&elf(EM_MIPS, &[(0x8010_0000, b"abcd")])), Err(FlattenError::NotAtReset(0x8010_0000)));
        let whole = vec![0; LARGEST_ROM + 1];
        assert!(mips_rom(&elf(EM_MIPS, &[(0x9fc0_0000, &whole[1..])])).is_ok());
        assert!(matches!(mips_rom(&elf(EM_MIPS, &[(0x9fc0_0000, &whole)])), Err(FlattenError::TooLarge(_))));
    }

    #[test]
    fn a_flash_begins_where_cpus_do() {
        let flash = arm64_flash(&elf(EM_AARCH64, &[(0, b"abcd"), (6, b"ef")])).unwrap();
        assert_eq!(flash, b"abcd\0\0ef");
        assert_eq!(arm64_flash(&elf(EM_AARCH64, &[(0x1000, b"abcd")])), Err(FlattenError::NotAtReset(0x1000)));
    }

    #[test]
    fn an_elf_file_for_mips_stays_as_it_is() {
        let file = elf(EM_MIPS, &[(0x8010_0000, b"abcd")]);
        assert_eq!(mips_elf(&file).unwrap(), file);
        assert_eq!(mips_elf(&elf(EM_MIPS, &[])), Err(FlattenError::Empty));
        assert!(matches!(mips_elf(&elf(EM_AARCH64, &[(0, b"abcd")])), Err(FlattenError::NotElf(_))));
        assert!(matches!(arm64_image(&file), Err(FlattenError::NotElf(_))));
    }

    #[test]
    fn what_cannot_be_loaded_is_refused() {
        assert!(matches!(arm64_image(b"#!/bin/sh"), Err(FlattenError::NotElf(_))));
        assert_eq!(arm64_image(&elf(EM_AARCH64, &[])), Err(FlattenError::Empty));
        let other = elf(object::elf::EM_X86_64, &[(0, &header())]);
        assert!(matches!(arm64_image(&other), Err(FlattenError::NotElf(_))));
        let wide = elf(EM_AARCH64, &[(0, &header()), (u64::MAX - 3, b"far")]);
        assert!(matches!(arm64_image(&wide), Err(FlattenError::TooLarge(_))));
        let mut cut = elf(EM_AARCH64, &[(0, &header())]);
        cut.truncate(cut.len() - 1);
        assert!(matches!(arm64_image(&cut), Err(FlattenError::NotElf(_))));
    }
}
