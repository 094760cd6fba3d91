//! Archives are read as others write them; what is none is refused, and nothing panics.

use boot_payload::archive::{Archive, ArchiveError, File};
use cpio::newc::{self, Builder};
use proptest::prelude::*;

const REGULAR: u32 = 0o100_644;

fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, mode, content) in entries {
        let mut entry = Builder::new(name).mode(*mode).write(&mut bytes, content.len() as u32);
        std::io::Write::write_all(&mut entry, content).unwrap();
        entry.finish().unwrap();
    }
    newc::trailer(&mut bytes).unwrap();
    bytes
}

fn refused(bytes: &[u8]) -> ArchiveError {
    Archive::parse(bytes).unwrap_err()
}

#[test]
fn files_are_found_by_name_and_directories_are_passed_over() {
    let folder = 0o040_755;
    let bytes = archive(&[(".", folder, b""), ("./kernel", REGULAR, b"12345"), ("digests", REGULAR, b"")]);
    let archive = Archive::parse(&bytes).unwrap();
    let files: Vec<File<'_>> = archive.files().collect();
    assert_eq!(files, [File { name: "kernel", content: b"12345" }, File { name: "digests", content: b"" }]);
    assert_eq!(archive.file("kernel").map(|file| file.content), Some(&b"12345"[..]));
    assert!(archive.file("initrd").is_none() && archive.file("TRAILER!!!").is_none());
}

#[test]
fn what_follows_the_trailer_is_not_read() {
    let mut bytes = archive(&[("kernel", REGULAR, b"1")]);
    bytes.extend(b"something else");
    assert_eq!(Archive::parse(&bytes).unwrap().files().count(), 1);
    assert_eq!(Archive::parse(&archive(&[])).unwrap().files().count(), 0);
}

#[test]
fn what_is_no_archive_of_files_is_refused_with_the_place() {
    assert_eq!(refused(b""), ArchiveError::NoArchive);
    assert_eq!(refused(b"\x1f\x8b"), ArchiveError::NoArchive);
    let link = archive(&[("kernel", REGULAR, b"1"), ("initrd", 0o120_777, b"kernel")]);
    let second = link.windows(6).rposition(|bytes| bytes == b"initrd").unwrap() - 110;
    assert_eq!(refused(&link), ArchiveError::NoFile(second));
    let twice = archive(&[("kernel", REGULAR, b"1"), ("./kernel", REGULAR, b"2")]);
    assert_eq!(refused(&twice), ArchiveError::Twice(second));
    let mut damaged = archive(&[("kernel", REGULAR, b"1"), ("initrd", REGULAR, b"2")]);
    damaged[second] ^= 1;
    assert_eq!(refused(&damaged), ArchiveError::Damaged(second));
    assert_eq!(refused(&damaged).to_string(), format!("what it has at byte {second} is no entry of an archive"));
    let mut unending = archive(&[("kernel", REGULAR, b"1")]);
    unending[110 + "kernel".len()] = b'x';
    assert_eq!(refused(&unending), ArchiveError::Damaged(0), "a name ends with a zero");
}

#[test]
fn an_archive_with_more_entries_than_a_payload_has_is_refused() {
    let names: Vec<String> = (0..65).map(|number| format!("file{number}")).collect();
    let entries: Vec<(&str, u32, &[u8])> = names.iter().map(|name| (&**name, REGULAR, &b""[..])).collect();
    assert_eq!(refused(&archive(&entries)), ArchiveError::TooMany);
    assert_eq!(Archive::parse(&archive(&entries[1..])).unwrap().files().count(), 64);
}

#[test]
fn an_archive_that_is_cut_short_is_refused() {
    let bytes = archive(&[("kernel", REGULAR, b"12345"), ("digests", REGULAR, b"6")]);
    let trailer = bytes.windows(10).position(|bytes| bytes == b"TRAILER!!!").unwrap();
    for length in 6..trailer + 10 {
        assert_eq!(refused(&bytes[..length]), ArchiveError::TooShort, "{length} bytes");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
    ) {
        let names: Vec<String> = (0..contents.len()).map(|number| "file".repeat(number) + "x").collect();
        let entries: Vec<(&str, u32, &[u8])> =
            names.iter().zip(&contents).map(|(name, content)| (&**name, REGULAR, &**content)).collect();
        let bytes = archive(&entries);
        let read: Vec<File<'_>> = Archive::parse(&bytes).unwrap().files().collect();
        prop_assert_eq!(read.len(), entries.len());
        for (file, (name, _, content)) in read.iter().zip(&entries) {
            prop_assert!(file.name == *name && file.content == *content);
        }
    }

    #[test]
    fn hostile_bytes_do_not_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300), place: prop::sample::Index, digit in "[0-9a-fF]{8}",
    ) {
        let _ = Archive::parse(&bytes).map(|archive| archive.files().count());
        bytes.splice(0..0, *b"070701");
        let _ = Archive::parse(&bytes).map(|archive| archive.files().count());
        let mut changed = archive(&[("kernel", REGULAR, b"12345"), ("digests", REGULAR, b"6")]);
        let place = place.index(changed.len() - 8);
        changed[place..place + 8].copy_from_slice(digit.as_bytes());
        if let Ok(archive) = Archive::parse(&changed) {
            prop_assert!(archive.files().all(|file| !file.name.is_empty() && file.content.len() <= changed.len()));
        }
    }
}
