//! ELF files go where they are linked, or are refused by a sentence; and none, however hostile, does anything else.

use std::ops::Range;

use boot_payload::elf::{MAX_SEGMENTS, Program, Refused, Taken, UNIT};
use proptest::prelude::*;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// Memory as QEMU's virt has it, with a loader near its start.
const RAM: Range<u64> = 0x4000_0000..0x6000_0000;
const DEVICETREE: Range<u64> = 0x4010_0000..0x4011_0000;
const LOADER: Range<u64> = 0x4020_0000..0x4820_0000;

fn taken() -> [Taken; 2] {
    [Taken { owner: "the devicetree", memory: DEVICETREE }, Taken { owner: "the loader", memory: LOADER }]
}

/// A segment: its type, its virtual and its physical address, its content's size, and its size in memory.
type Load = (u32, u64, u64, u64, u64);

/// A file with these segments, whose content lies behind all headers.
fn file(kind: u16, entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(kind.to_le_bytes());
    file.extend(183_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend([entry, HEADER as u64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([HEADER, PROGRAM_HEADER, loads.len(), 0, 0, 0].map(|half| (half as u16).to_le_bytes()).concat());
    let mut offset = (HEADER + loads.len() * PROGRAM_HEADER) as u64;
    for &(kind, virtual_address, physical, content, memory) in loads {
        file.extend([kind, 5].map(u32::to_le_bytes).concat());
        file.extend([offset, virtual_address, physical, content, memory, 4096].map(u64::to_le_bytes).concat());
        offset += content;
    }
    file.resize(offset as usize, 0xa5);
    file
}

/// Text and data, linked at 0 for this physical address, as kernels are.
fn kernel(kind: u16, physical: u64) -> Vec<u8> {
    file(kind, 0x40, &[(PT_LOAD, 0, physical, 0x1000, 0x1000), (PT_LOAD, 0x1000, physical + 0x1000, 0x800, 0x3000)])
}

fn place(file: &[u8]) -> Result<Program, Refused> {
    Program::read(file)?.place(std::slice::from_ref(&RAM), &taken())
}

fn refused(file: &[u8]) -> String {
    place(file).unwrap_err().to_string()
}

#[test]
fn segments_go_to_their_physical_addresses_and_the_entry_with_its_segment() {
    for kind in [ET_EXEC, ET_DYN] {
        let program = place(&kernel(kind, 0x5000_0000)).unwrap();
        let places: Vec<Range<u64>> = program.segments().iter().map(|segment| segment.memory.clone()).collect();
        assert_eq!(places, [0x5000_0000..0x5000_1000, 0x5000_1000..0x5000_4000]);
        assert_eq!(program.entry(), 0x5000_0040);
        let content: Vec<Range<usize>> = program.segments().iter().map(|segment| segment.content.clone()).collect();
        assert_eq!(content, [176..176 + 0x1000, 176 + 0x1000..176 + 0x1800]);
    }
}

#[test]
fn a_position_independent_file_is_moved_as_a_whole_where_its_place_is_taken() {
    let below = Taken { owner: "somebody", memory: RAM.start..LOADER.start };
    let program = Program::read(&kernel(ET_DYN, 0x4020_0000)).unwrap();
    let program = program.place(&[RAM], &[&taken()[..], &[below]].concat()).unwrap();
    assert_eq!(program.segments()[0].memory, 0x4820_0000..0x4820_1000);
    assert_eq!(program.segments()[1].memory, 0x4820_1000..0x4820_4000);
    assert_eq!(program.entry(), 0x4820_0040);
    // Where it lies within a unit stays as it is.
    assert_eq!(place(&kernel(ET_DYN, 0x8_0000)).unwrap().entry(), 0x4008_0040);
    assert_eq!(place(&kernel(ET_DYN, 0x10_0000)).unwrap().entry(), 0x4830_0040, "not over the devicetree");
    let full = [Taken { owner: "somebody", memory: RAM }];
    let program = Program::read(&kernel(ET_DYN, 0x5000_0000)).unwrap();
    assert!(matches!(program.place(&[RAM], &full), Err(Refused::NoRoom)));
}

#[test]
fn a_file_that_cannot_go_where_it_is_linked_is_refused_with_what_is_in_the_way() {
    let table = [
        (0x4020_0000, "its segment from 0x40200000 to 0x40201000 would lie over the loader"),
        (0x401f_f000, "its segment from 0x40200000 to 0x40203000 would lie over the loader"),
        (0x4010_f000, "its segment from 0x4010f000 to 0x40110000 would lie over the devicetree"),
        (0x1000, "its segment from 0x1000 to 0x2000 is not in memory"),
        (0x5fff_f000, "its segment from 0x60000000 to 0x60003000 is not in memory"),
    ];
    for (physical, sentence) in table {
        assert_eq!(refused(&kernel(ET_EXEC, physical)), sentence);
    }
}

#[test]
fn what_is_no_program_for_arm64_is_refused_with_what_it_is() {
    let changed = |place: usize, bytes: &[u8]| {
        let mut file = kernel(ET_EXEC, 0x5000_0000);
        file[place..place + bytes.len()].copy_from_slice(bytes);
        refused(&file)
    };
    assert_eq!(changed(18, &[8, 0]), "it is an ELF file for another architecture (machine 8, and not 183)");
    assert_eq!(changed(16, &[1, 0]), "it is an ELF file of type 1, and not a linked program");
    assert!(changed(5, &[2]).contains("big-endian") || changed(5, &[2]).contains("cannot be read"));
    assert_eq!(refused(&big_endian()), "it is a big-endian ELF file");
    assert!(changed(0, b"X").starts_with("it cannot be read as an ELF file"));
    let interpreted = file(ET_DYN, 0, &[(PT_INTERP, 0, 0, 4, 4), (PT_LOAD, 0, 0x5000_0000, 4, 4)]);
    assert_eq!(refused(&interpreted), "it is an ELF file that asks for a dynamic linker");
    assert_eq!(refused(&file(ET_EXEC, 0, &[])), "it is an ELF file without a segment to load");
}

/// The header of a file whose data are big-endian, and nothing behind it.
fn big_endian() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x02\x01".to_vec();
    file.resize(16, 0);
    file.extend([ET_EXEC, 183].map(u16::to_be_bytes).concat());
    file.resize(HEADER, 0);
    file
}

#[test]
fn segments_that_contradict_each_other_or_the_file_are_refused() {
    let one = (PT_LOAD, 0, 0x5000_0000, 0x100, 0x1000);
    let across = file(ET_EXEC, 0, &[one, (PT_LOAD, 0x1000, 0x5000_0fff, 1, 1)]);
    assert_eq!(refused(&across), "its segments at 0x50000000 and 0x50000fff overlap");
    for entry in [0x1000, 2, u64::MAX] {
        assert_eq!(refused(&file(ET_EXEC, entry, &[one])), format!("its entry {entry:#x} is in no segment"));
    }
    let no_size = "its segment at 0x50000000 has no possible size";
    assert_eq!(refused(&file(ET_EXEC, 0, &[(PT_LOAD, 0, 0x5000_0000, 0x100, 0xff)])), no_size);
    let mut short = file(ET_EXEC, 0, &[one]);
    short.truncate(short.len() - 1);
    assert_eq!(refused(&short), no_size);
    assert!(refused(&file(ET_EXEC, 0, &[(PT_LOAD, 0, u64::MAX, 1, 2)])).ends_with("has no possible size"));
    let many: Vec<Load> =
        (0..=MAX_SEGMENTS as u64).map(|n| (PT_LOAD, n * 0x1000, 0x5000_0000 + n * 0x1000, 1, 1)).collect();
    assert!(place(&file(ET_EXEC, 0, &many[1..])).is_err_and(|refused| matches!(refused, Refused::Entry(0))));
    assert!(matches!(place(&file(ET_EXEC, 0, &many)), Err(Refused::TooManySegments)));
    assert!(place(&file(ET_EXEC, 0, &many[..MAX_SEGMENTS])).is_ok());
}

/// What was accepted can be loaded: in memory, over nobody, each segment apart from the others, and with an instruction at its entry.
fn check(file: &[u8]) -> Result<(), TestCaseError> {
    let Ok(program) = place(file) else { return Ok(()) };
    let segments = program.segments();
    for (number, segment) in segments.iter().enumerate() {
        let memory = &segment.memory;
        prop_assert!(RAM.start <= memory.start && memory.start < memory.end && memory.end <= RAM.end);
        let apart = |other: &Range<u64>| memory.end <= other.start || other.end <= memory.start;
        prop_assert!(
            apart(&LOADER) && apart(&DEVICETREE) && segments[..number].iter().all(|other| apart(&other.memory))
        );
        prop_assert!(file.get(segment.content.clone()).is_some());
        prop_assert!(segment.content.len() as u64 <= memory.end - memory.start);
    }
    prop_assert!(segments.iter().any(|segment| segment.memory.contains(&program.entry())));
    prop_assert_eq!(program.entry() % 4, 0);
    Ok(())
}

/// Numbers of which some matter: those at the ends of what there is.
fn number() -> impl Strategy<Value = u64> {
    let near = |middle: u64| (middle.saturating_sub(0x2000)..middle.saturating_add(0x2000)).boxed();
    prop_oneof![
        any::<u64>(),
        0..0x3000_u64,
        near(RAM.start),
        near(RAM.end),
        near(LOADER.start),
        near(LOADER.end),
        Just(0x5000_0000),
        Just(u64::MAX),
        Just(UNIT),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_can_be_loaded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes)?;
        check(&[b"\x7fELF\x02\x01\x01", &*bytes].concat())?;
    }

    #[test]
    fn any_segments_are_refused_or_can_be_loaded(
        kind in 1..4_u16,
        entry in number(),
        loads in proptest::collection::vec((1..4_u32, number(), number(), 0..0x3000_u64, number()), 0..5),
    ) {
        check(&file(kind, entry, &loads))?;
    }

    #[test]
    fn a_file_with_one_number_changed_is_refused_or_can_be_loaded(
        kind in 2..4_u16, place in 0..22_usize, number in number(),
    ) {
        let mut file = kernel(kind, 0x5000_0000);
        file[place * 8..place * 8 + 8].copy_from_slice(&number.to_le_bytes());
        check(&file)?;
    }
}
