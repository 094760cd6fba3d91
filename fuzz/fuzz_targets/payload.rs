//! Reads whatever passes for an ELF file or an archive, as a boot loader does, and checks what it would rely on afterwards.
#![no_main]

use boot_payload::archive::Archive;
use boot_payload::elf::{Program, Taken};
use libfuzzer_sys::fuzz_target;

const RAM: std::ops::Range<u64> = 0x4000_0000..0x6000_0000;
const LOADER: std::ops::Range<u64> = 0x4020_0000..0x4820_0000;

fuzz_target!(|data: &[u8]| {
    if let Ok(archive) = Archive::parse(data) {
        for file in archive.files() {
            assert!(!file.name.is_empty() && archive.file(file.name) == Some(file));
        }
    }
    let Ok(program) = Program::read(data) else {
        return;
    };
    let Ok(program) = program.place(&[RAM], &[Taken { owner: "the loader", memory: LOADER }]) else {
        return;
    };
    let segments = program.segments();
    for (number, segment) in segments.iter().enumerate() {
        let memory = &segment.memory;
        assert!(RAM.start <= memory.start && memory.start < memory.end && memory.end <= RAM.end);
        assert!(memory.end <= LOADER.start || LOADER.end <= memory.start);
        assert!(
            segments[..number].iter().all(|other| memory.end <= other.memory.start || other.memory.end <= memory.start)
        );
        assert!(
            data.get(segment.content.clone()).is_some_and(|content| content.len() as u64 <= memory.end - memory.start)
        );
    }
    assert!(segments.iter().any(|segment| segment.memory.contains(&program.entry())));
});
