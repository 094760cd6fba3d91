//! An ELF file for arm64: its segments ([`Program::read`]), and where they go in the memory that there is ([`Program::place`]).
//!
//! Each `PT_LOAD` segment goes to its physical address. A position-independent file (`ET_DYN`) for which there is no room at its addresses
//! is moved as a whole, by a multiple of [`UNIT`] and of its alignment; it relocates itself if it has to. A file that is linked at its
//! addresses (`ET_EXEC`) goes there or is refused.

use core::ops::Range;

use ::elf::ElfBytes;
use ::elf::abi::{EM_AARCH64, ET_DYN, ET_EXEC, PT_INTERP, PT_LOAD};
use ::elf::endian::{AnyEndian, EndianParse};
use ::elf::file::Class;
use ::elf::segment::ProgramHeader;

/// The most segments that a file may have. Kernels have a handful.
pub const MAX_SEGMENTS: usize = 16;
/// What a file that is moved is moved by a multiple of, in bytes: what arm64 kernels ask of an Image.
pub const UNIT: u64 = 2 << 20;
/// The size of an instruction, in bytes.
const INSTRUCTION: u64 = 4;

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is no ELF file, or its headers contradict it.
    #[error("it cannot be read as an ELF file: {0}")]
    Damaged(#[from] ::elf::ParseError),
    /// It has 32-bit addresses.
    #[error("it is a 32-bit ELF file")]
    Not64Bit,
    /// Its data are not little-endian.
    #[error("it is a big-endian ELF file")]
    BigEndian,
    /// This architecture's, by its number in the ELF header.
    #[error("it is an ELF file for another architecture (machine {0}, and not {EM_AARCH64})")]
    Architecture(u16),
    /// This type of file.
    #[error("it is an ELF file of type {0}, and not a linked program")]
    Kind(u16),
    /// Somebody else would have to link it first.
    #[error("it is an ELF file that asks for a dynamic linker")]
    Interpreter,
    /// There is nothing to load.
    #[error("it is an ELF file without a segment to load")]
    NoSegments,
    /// It has more than [`MAX_SEGMENTS`].
    #[error("it is an ELF file with more than {MAX_SEGMENTS} segments to load")]
    TooManySegments,
    /// The segment with this physical address is larger in the file than in memory, or ends behind the file or the last address.
    #[error("its segment at {0:#x} has no possible size")]
    Size(u64),
    /// The segments with these physical addresses.
    #[error("its segments at {0:#x} and {1:#x} overlap")]
    Overlap(u64, u64),
    /// This virtual address.
    #[error("its entry {0:#x} is in no segment")]
    Entry(u64),
    /// The segment with these physical addresses.
    #[error("its segment from {:#x} to {:#x} is not in memory", .0.start, .0.end)]
    NotInMemory(Range<u64>),
    /// The segment with these physical addresses, some of which are somebody's.
    #[error("its segment from {:#x} to {:#x} would lie over {owner}", .memory.start, .memory.end)]
    Taken {
        /// The segment's.
        memory: Range<u64>,
        /// [`Taken::owner`].
        owner: &'static str,
    },
    /// It could be moved, and there is nowhere to move it.
    #[error("there is no room in memory for it")]
    NoRoom,
}

/// A segment that is to be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The physical addresses that it takes.
    pub memory: Range<u64>,
    /// What of the file is at their start. Behind it are zeros.
    pub content: Range<usize>,
}

/// Memory that is somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whose, as a sentence would have it.
    pub owner: &'static str,
    /// Its physical addresses.
    pub memory: Range<u64>,
}

/// A file that can be loaded, if there is room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    segments: [Segment; MAX_SEGMENTS],
    count: usize,
    entry: u64,
    /// What it may be moved by a multiple of, if it may be.
    step: Option<u64>,
}

impl Program {
    /// Reads the headers of `file`.
    ///
    /// # Errors
    /// Why it cannot be loaded, whatever memory there is.
    pub fn read(file: &[u8]) -> Result<Self, Refused> {
        let elf = ElfBytes::<AnyEndian>::minimal_parse(file)?;
        let header = &elf.ehdr;
        let kind = header.e_type;
        if header.class != Class::ELF64 {
            return Err(Refused::Not64Bit);
        }
        if !header.endianness.is_little() {
            return Err(Refused::BigEndian);
        }
        if header.e_machine != EM_AARCH64 {
            return Err(Refused::Architecture(header.e_machine));
        }
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(Refused::Kind(kind));
        }
        let headers = || elf.segments().into_iter().flatten();
        if headers().any(|header| header.p_type == PT_INTERP) {
            return Err(Refused::Interpreter);
        }
        let mut program = Self { segments: Default::default(), count: 0, entry: 0, step: None };
        let mut entry = None;
        let mut alignment = UNIT;
        for header in headers().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
            let segment = segment(&header, file.len())?;
            let behind = behind_start(&header, elf.ehdr.e_entry);
            entry = entry.or(behind.map(|behind| segment.memory.start + behind));
            alignment = alignment.max(header.p_align);
            *program.segments.get_mut(program.count).ok_or(Refused::TooManySegments)? = segment;
            program.count += 1;
        }
        if program.count == 0 {
            return Err(Refused::NoSegments);
        }
        program.check_overlap()?;
        program.entry = entry.filter(|entry| entry % INSTRUCTION == 0).ok_or(Refused::Entry(elf.ehdr.e_entry))?;
        program.step = (kind == ET_DYN && alignment.is_power_of_two()).then_some(alignment);
        Ok(program)
    }

    /// The segments, in the order of the file.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments[..self.count]
    }

    /// The physical address at which it is entered.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The program where it can be loaded: in `ram`, over nothing that is somebody's.
    ///
    /// # Errors
    /// What is in the way.
    pub fn place(&self, ram: &[Range<u64>], taken: &[Taken]) -> Result<Self, Refused> {
        let refused = match self.check(ram, taken) {
            Ok(()) => return Ok(self.clone()),
            Err(refused) => refused,
        };
        let Some(step) = self.step else { return Err(refused) };
        let starts = ram.iter().map(|region| region.start).chain(taken.iter().map(|taken| taken.memory.end));
        let moved = starts.filter_map(|start| self.moved_behind(start, step));
        let fitting = moved.filter(|moved| moved.check(ram, taken).is_ok());
        fitting.min_by_key(|moved| moved.start()).ok_or(Refused::NoRoom)
    }

    /// The lowest physical address that it takes.
    fn start(&self) -> u64 {
        self.segments().iter().map(|segment| segment.memory.start).min().unwrap_or(0)
    }

    /// The program moved by a multiple of `step`, so that it begins at `address` or soon behind it.
    fn moved_behind(&self, address: u64, step: u64) -> Option<Self> {
        let start = self.start();
        let target =
            (start % step).checked_add((address.saturating_sub(start % step)).checked_next_multiple_of(step)?)?;
        let moved = |address: u64| (address - start).checked_add(target);
        let mut program = self.clone();
        for segment in &mut program.segments[..self.count] {
            segment.memory = moved(segment.memory.start)?..moved(segment.memory.end)?;
        }
        program.entry = moved(self.entry)?;
        Some(program)
    }

    fn check(&self, ram: &[Range<u64>], taken: &[Taken]) -> Result<(), Refused> {
        for Segment { memory, .. } in self.segments() {
            if !ram.iter().any(|region| region.start <= memory.start && memory.end <= region.end) {
                return Err(Refused::NotInMemory(memory.clone()));
            }
            if let Some(taken) = taken.iter().find(|taken| overlap(&taken.memory, memory)) {
                return Err(Refused::Taken { memory: memory.clone(), owner: taken.owner });
            }
        }
        Ok(())
    }

    fn check_overlap(&self) -> Result<(), Refused> {
        for (number, segment) in self.segments().iter().enumerate() {
            let before = self.segments()[..number].iter().find(|before| overlap(&before.memory, &segment.memory));
            if let Some(before) = before {
                return Err(Refused::Overlap(before.memory.start, segment.memory.start));
            }
        }
        Ok(())
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The segment of a program header, in a file of `length` bytes.
fn segment(header: &ProgramHeader, length: usize) -> Result<Segment, Refused> {
    let size = Refused::Size(header.p_paddr);
    let (start, end) = (usize::try_from(header.p_offset), header.p_offset.checked_add(header.p_filesz));
    let content = start.ok().zip(end.and_then(|end| usize::try_from(end).ok())).filter(|&(_, end)| end <= length);
    let end = header.p_paddr.checked_add(header.p_memsz).filter(|_| header.p_filesz <= header.p_memsz);
    match (content, end) {
        (Some((from, to)), Some(end)) => Ok(Segment { memory: header.p_paddr..end, content: from..to }),
        _ => Err(size),
    }
}

/// How far behind the start of the segment a virtual address is, if it is in it.
fn behind_start(header: &ProgramHeader, address: u64) -> Option<u64> {
    address.checked_sub(header.p_vaddr).filter(|&behind| behind < header.p_memsz)
}
