//! The files that the command writes: opened before a boot, so that nothing is lost afterwards.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A file that something will be written to.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    /// What is written to it, for people.
    what: &'static str,
    file: File,
    /// The file was not there before, and has nothing in it yet.
    fresh: bool,
}

impl OutputFile {
    /// Opens `path` for `what`. What is in it stays until it is replaced.
    ///
    /// # Errors
    /// [`Error::OutputPath`].
    pub fn open(path: &Path, what: &'static str) -> Result<Self, Error> {
        let fresh = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| Error::OutputPath { path: path.to_owned(), what, source })?;
        Ok(Self { path: path.to_owned(), what, file, fresh })
    }

    /// What is written to it, for people.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Whether it is the file at `path`, where what else is written would replace its content. In pipes and devices it would not.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let place = |path: &Path| path.is_file().then(|| path.canonicalize().ok()).flatten();
        place(&self.path).is_some_and(|own| place(path) == Some(own))
    }

    /// Writes `content` into it.
    ///
    /// # Errors
    /// [`Error::OutputWrite`].
    pub fn write(mut self, content: &[u8]) -> Result<(), Error> {
        let written = self.replace_with(content);
        self.fresh &= written.is_err();
        written.map_err(|source| Error::OutputWrite { path: self.path.clone(), what: self.what, source })
    }

    fn replace_with(&mut self, content: &[u8]) -> io::Result<()> {
        // Pipes and devices have no length to set.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(content)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.fresh {
            // An empty file is of no use to anyone, and no harm if it stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_replaces_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        OutputFile::open(&path, "report").unwrap().write(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_file_is_known_by_whichever_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let file = OutputFile::open(&path, "report").unwrap();
        assert!(file.is_at(&directory.path().join(".").join("report.json")));
        assert!(!file.is_at(&directory.path().join("other.json")));
        let nowhere = OutputFile::open(Path::new("/dev/null"), "report").unwrap();
        assert!(!nowhere.is_at(Path::new("/dev/null")), "it takes any number of them");
    }

    #[test]
    fn a_file_that_is_never_written_is_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let new = directory.path().join("new.json");
        drop(OutputFile::open(&new, "report").unwrap());
        assert!(!new.exists());
        let old = directory.path().join("old.json");
        std::fs::write(&old, "old").unwrap();
        drop(OutputFile::open(&old, "report").unwrap());
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "old");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_noticed_at_once() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("no/such/report.json")] {
            let refused = OutputFile::open(&path, "report");
            assert!(matches!(refused, Err(Error::OutputPath { .. })), "{}", path.display());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_noticed() {
        let file = OutputFile::open(Path::new("/dev/full"), "report").unwrap();
        assert!(matches!(file.write(b"content"), Err(Error::OutputWrite { .. })));
    }
}
