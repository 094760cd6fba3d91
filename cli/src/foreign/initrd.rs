//! What runs on Linux: an initrd with Debian's busybox and a script (`init.sh`), since Debian's own would look for a disk.

use crate::newc;

/// The beginning of the line with which it says which CPUs are online.
pub const ONLINE: &str = "reveille: online ";

/// The script, which the kernel runs as its first program.
const INIT: &str = include_str!("init.sh");
/// Folders to mount on.
const FOLDERS: [&str; 4] = ["bin", "dev", "proc", "sys"];

/// The initrd, around the program `busybox`.
#[must_use]
pub fn make(busybox: &[u8]) -> Vec<u8> {
    let folders = FOLDERS.iter().map(|name| (*name, newc::FOLDER, &[][..]));
    let programs = [("bin/busybox", newc::PROGRAM, busybox), ("init", newc::PROGRAM, INIT.as_bytes())];
    newc::archive(&folders.chain(programs).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use cpio::NewcReader;

    use super::*;

    #[test]
    fn an_archive_has_the_script_and_the_program() {
        let mut rest = Cursor::new(make(b"program"));
        let mut found = Vec::new();
        loop {
            let mut reader = NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            found.push((reader.entry().name().to_owned(), reader.entry().mode(), content));
            rest = reader.finish().unwrap();
        }
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["bin", "dev", "proc", "sys", "bin/busybox", "init"]);
        assert_eq!(found[4], ("bin/busybox".into(), 0o100_755, "program".into()));
        assert!(found[5].2.starts_with("#!/bin/busybox sh\n") && found[5].2.contains("say \"ready\""));
    }
}
