//! Archives for memory: cpio, in the form newc, which Linux takes as its initrd and our boot loader as its payload.

use cpio::newc::{self, Builder};

/// The mode of a folder.
pub const FOLDER: u32 = 0o040_755;
/// That of a program.
pub const PROGRAM: u32 = 0o100_755;
/// That of another file.
pub const FILE: u32 = 0o100_644;

/// The archive of `entries`: each a name, a mode and a content.
#[must_use]
pub fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (name, mode, content)) in (1..).zip(entries) {
        let mut file = Builder::new(name).ino(number).nlink(1).mode(*mode).write(&mut archive, content.len() as u32);
        // Writing to memory does not fail.
        let _ = std::io::Write::write_all(&mut file, content).and_then(|()| file.finish());
    }
    let _ = newc::trailer(&mut archive);
    archive
}
