//! The program: an ELF file in memory, loaded to where it is linked.

use core::ptr;
use core::slice;

use elf::ElfBytes;
use elf::abi::{EM_MIPS, ET_EXEC, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

use crate::caches;
use crate::memory::{ENVIRONMENT, KSEG0, PROGRAM, RESERVED_END};

/// Why there is no program to start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("memory ends at {0:#010x}, before the program's file")]
    NoMemory(usize),
    #[error("what is in its place is no ELF file: {0}")]
    NotElf(elf::ParseError),
    #[error("the ELF file is not a linked program for 32-bit MIPS")]
    WrongKind,
    #[error("the program's segment at {0:#010x}, of {1:#x} bytes, is outside the memory for programs")]
    OutOfRange(u64, u64),
    #[error("the program has nothing to load, or is entered outside of it")]
    NoEntry,
}

/// Loads the program, and returns its entry point. `memory` is the size of memory.
pub fn load(memory: usize) -> Result<u32, LoadError> {
    if memory <= PROGRAM {
        return Err(LoadError::NoMemory(memory));
    }
    // SAFETY: memory that nothing writes: segments are loaded below it only.
    let file = unsafe { slice::from_raw_parts((KSEG0 + PROGRAM) as *const u8, memory - PROGRAM) };
    let file = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(LoadError::NotElf)?;
    let header = &file.ehdr;
    if header.class != Class::ELF32 || header.e_machine != EM_MIPS || header.e_type != ET_EXEC {
        return Err(LoadError::WrongKind);
    }

    let mut entry_loaded = false;
    let segments = file.segments().into_iter().flatten();
    for segment in segments.filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0) {
        load_segment(file.segment_data(&segment).map_err(LoadError::NotElf)?, &segment)?;
        entry_loaded |= (segment.p_vaddr..segment.p_vaddr + segment.p_memsz).contains(&header.e_entry);
    }
    if !entry_loaded {
        return Err(LoadError::NoEntry);
    }
    // The program was written as data: it must be in memory before it is fetched from there.
    caches::write_back_data();
    caches::invalidate_instructions();
    Ok(header.e_entry as u32)
}

/// Copies what the file has of a segment to where it is linked, and zeroes the rest.
fn load_segment(content: &[u8], segment: &ProgramHeader) -> Result<(), LoadError> {
    let out_of_range = LoadError::OutOfRange(segment.p_vaddr, segment.p_memsz);
    let available = (KSEG0 + RESERVED_END) as u64..(KSEG0 + ENVIRONMENT) as u64;
    let Some(end) = segment.p_vaddr.checked_add(segment.p_memsz) else { return Err(out_of_range) };
    if segment.p_vaddr < available.start || end > available.end || segment.p_filesz > segment.p_memsz {
        return Err(out_of_range);
    }
    let destination = segment.p_vaddr as usize as *mut u8;
    // SAFETY: within the memory for programs, which nothing else uses until the program runs, and apart from the file.
    unsafe {
        ptr::copy_nonoverlapping(content.as_ptr(), destination, content.len());
        ptr::write_bytes(destination.add(content.len()), 0, segment.p_memsz as usize - content.len());
    }
    Ok(())
}
