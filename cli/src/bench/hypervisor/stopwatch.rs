//! Linux with a stopwatch, which goes by the counter as Linux sees it: an Image in which a few instructions stand before Linux's first and
//! note the counter in its command line, and an initrd whose init says how it stands at its own first instruction.
//!
//! Linux itself is as it was. It prints its command line, so both figures are on its console, whatever that is.

use std::fs;
use std::path::{Path, PathBuf};

use cpio::newc::{self, Builder};

use crate::error::Error;
use crate::fetch;
use crate::image::{self, BuiltImage, ImageError};
use crate::setup::Host;

/// What stands on Linux's command line, and what init says; 16 digits follow both.
pub const WORD: &str = "stopwatch=0000000000000000";
const FIRST: &str = "stopwatch=";
const INIT: &str = "stopwatch: init ";
const DIGITS: usize = 16;
/// Where Linux begins in the Image, in bytes: Images lie at multiples of it.
const LINUX: usize = 2 << 20;
/// Where an Image's header has the size that it needs in memory.
const IMAGE_SIZE: std::ops::Range<usize> = 16..24;

/// The files to boot.
#[derive(Clone, Debug)]
pub struct TimedLinux {
    /// The Image.
    pub image: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
    /// The name of Linux's own file.
    pub linux: String,
}

/// Makes the files in `folder`.
///
/// # Errors
/// An image cannot be built or fetched, or a file not be read or written.
pub fn make(host: &Host, folder: &Path) -> Result<TimedLinux, Error> {
    let failed = |path: &Path, source| Error::Image(ImageError::File { path: path.to_owned(), source });
    let read = |path: &Path| fs::read(path).map_err(|source| failed(path, source));
    let BuiltImage { elf, flat, .. } = image::build(host, &image::STOPWATCH, &[])?;
    let linux = fetch::debian_linux().map_err(ImageError::Fetch)?;
    let write = |name: &str, content: Vec<u8>| {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|source| failed(&path, source)).map(|()| path)
    };
    Ok(TimedLinux {
        image: write("linux", before(read(&flat)?, &read(&linux)?))?,
        initrd: write("initrd", initrd(&read(&elf)?))?,
        linux: linux.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    })
}

/// An Image of the stopwatch's, and Linux behind it.
fn before(mut stopwatch: Vec<u8>, linux: &[u8]) -> Vec<u8> {
    let size = |image: &[u8]| {
        let bytes = image.get(IMAGE_SIZE).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes).max(image.len() as u64)
    };
    let whole = size(linux) + LINUX as u64;
    stopwatch.resize(LINUX, 0);
    stopwatch[IMAGE_SIZE].copy_from_slice(&whole.to_le_bytes());
    stopwatch.extend_from_slice(linux);
    stopwatch
}

/// An initrd with the init `program`.
fn initrd(program: &[u8]) -> Vec<u8> {
    const FOLDER: u32 = 0o040_755;
    const CHARACTER_DEVICE: u32 = 0o020_644;
    const PROGRAM: u32 = 0o100_755;
    let mut archive = Vec::new();
    let nothing: &[u8] = &[];
    let files = [
        ("dev", FOLDER, (0, 0), nothing),
        ("dev/console", CHARACTER_DEVICE, (5, 1), nothing),
        ("dev/kmsg", CHARACTER_DEVICE, (1, 11), nothing),
        ("init", PROGRAM, (0, 0), program),
    ];
    for (number, (name, mode, (major, minor), content)) in (1..).zip(files) {
        let file = Builder::new(name).ino(number).nlink(1).mode(mode).rdev_major(major).rdev_minor(minor);
        let mut file = file.write(&mut archive, content.len() as u32);
        // Writing to memory does not fail.
        let _ = std::io::Write::write_all(&mut file, content).and_then(|()| file.finish());
    }
    let _ = newc::trailer(&mut archive);
    archive
}

/// What was read off a console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    first: Option<u64>,
    init: Option<u64>,
}

impl Reading {
    /// Takes a line.
    pub fn see(&mut self, line: &str) {
        let behind = |word: &str| {
            let (_, rest) = line.split_once(word)?;
            u64::from_str_radix(rest.get(..DIGITS)?, 16).ok()
        };
        self.first = self.first.or(behind(FIRST));
        self.init = self.init.or(behind(INIT));
    }

    /// How far the counter went from Linux's first instruction to its init's; `None` before that.
    #[must_use]
    pub fn ticks(&self) -> Option<u64> {
        self.init?.checked_sub(self.first?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_figures_are_read_off_the_console_whatever_stands_before_them() {
        let mut reading = Reading::default();
        for (line, expected) in [
            ("[    0.000000] Kernel command line: console=hvc0 stopwatch=00000000000000a0 x", None),
            ("[    0.000000] Unknown kernel command line parameters \"stopwatch=00000000000000a0\"", None),
            ("stopwatch: init 00000", None),
            ("(d0) [    2.1] stopwatch: init 0000000000000100", Some(0x60)),
            ("[    2.2] reboot: Power down", Some(0x60)),
        ] {
            reading.see(line);
            assert_eq!(reading.ticks(), expected, "{line}");
        }
    }

    #[test]
    fn linux_lies_as_it_is_behind_the_stopwatch_and_memory_is_asked_for_both() {
        let mut linux = vec![7; 100];
        linux[IMAGE_SIZE].copy_from_slice(&5000_u64.to_le_bytes());
        let image = before(vec![1; 64], &linux);
        assert_eq!(&image[LINUX..], &linux);
        assert_eq!(image[IMAGE_SIZE], (LINUX as u64 + 5000).to_le_bytes());
        assert_eq!((image[0], image[63]), (1, 1));
    }
}
