//! Checks a file that someone wants to boot, before QEMU is started with it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use boot_payload::elf::Program;

use crate::error::Error;

/// The size of an Image's header, and where in it which bytes are.
const HEADER: u64 = 64;
const MAGIC: (usize, &[u8]) = (56, b"ARM\x64");
/// What an ELF file begins with.
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// What other files begin with that people have of their kernels.
const OTHERS: [(&[u8], &str); 4] = [
    (ELF_MAGIC, "an ELF file (objcopy -O binary makes the flat file)"),
    (b"\x1f\x8b", "compressed (gunzip makes the Image)"),
    (b"MZ", "an EFI program (where it is Linux, the Image is in it, compressed)"),
    (b"\x27\x05\x19\x56", "a uImage (the Image is behind its header of 64 bytes)"),
];

/// Checks that `path` is an arm64 Image, or, for a boot loader that takes one, an ELF file that can be loaded. `known` says what may stand
/// in its place: what is no file may be a word with a slip in it.
///
/// # Errors
/// [`Error::Foreign`].
pub fn check(path: &Path, takes_elf: bool, known: &str) -> Result<(), Error> {
    let name = path.display();
    let refused = |problem: String| Err(Error::Foreign { problem });
    if path.as_os_str().is_empty() {
        return refused(format!("a name is empty ({known})"));
    }
    if path.is_dir() {
        return refused(format!("{name} is a folder ({known})"));
    }
    if !path.is_file() {
        return refused(format!("there is no file {name} ({known})"));
    }
    let mut header = Vec::new();
    if let Err(error) = File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut header)) {
        return refused(format!("{name} cannot be read: {error}"));
    }
    let (place, magic) = MAGIC;
    if header.get(place..).is_some_and(|rest| rest.starts_with(magic)) {
        return Ok(());
    }
    if takes_elf && header.starts_with(ELF_MAGIC) {
        let file = fs::read(path).map_err(|error| error.to_string());
        let read = file.and_then(|file| Program::read(&file).map(drop).map_err(|error| error.to_string()));
        return read.or_else(|problem| refused(format!("{name} cannot be loaded: {problem}")));
    }
    let other = OTHERS.iter().find(|(begin, _)| header.starts_with(begin));
    refused(match other {
        Some((_, what)) => format!("{name} is no arm64 Image: it is {what}"),
        None => format!("{name} is no arm64 Image: it lacks the magic number of its header"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernel");
        let refused = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            check(&file, false, "words").map_err(|error| error.to_string())
        };
        let mut image = [0; 64];
        image[56..60].copy_from_slice(b"ARM\x64");
        assert!(refused(&image).is_ok());
        // An Image that is also an EFI program is an Image.
        image[..2].copy_from_slice(b"MZ");
        assert!(refused(&image).is_ok());
        for (content, expected) in [
            (&b"\x7fELF\x02"[..], "is no arm64 Image: it is an ELF file"),
            (b"\x1f\x8b\x08", "it is compressed"),
            (b"MZ\x00", "an EFI program"),
            (b"", "it lacks the magic number"),
            (&image[1..], "it lacks the magic number"),
        ] {
            let refused = refused(content).unwrap_err();
            assert!(refused.contains(expected) && refused.lines().count() == 1, "{refused}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_with_what_may_stand_there() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| check(path, false, "there is kernel").unwrap_err().to_string();
        let (name, missing) = (folder.path().display(), folder.path().join("kernl"));
        assert_eq!(refused(folder.path()), format!("{name} is a folder (there is kernel)"));
        assert_eq!(refused(&missing), format!("there is no file {} (there is kernel)", missing.display()));
        assert_eq!(refused(Path::new("")), "a name is empty (there is kernel)");
    }

    #[test]
    fn an_elf_file_is_taken_where_a_loader_can_load_it_and_refused_with_the_reason_where_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernel");
        std::fs::write(&file, b"\x7fELF\x02\x01\x01").unwrap();
        let refused = check(&file, true, "words").unwrap_err().to_string();
        assert!(refused.contains("cannot be loaded: it cannot be read as an ELF file"), "{refused}");
        // This very test is a program for the host.
        let own = check(&std::env::current_exe().unwrap(), true, "words").unwrap_err().to_string();
        assert!(own.contains("cannot be loaded: it is") && own.lines().count() == 1, "{own}");
    }
}
