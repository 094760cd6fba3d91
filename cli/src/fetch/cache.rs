//! The folder that keeps what was fetched. It is whole at any time: a download happens in a folder of its own below it, by one
//! process at a time, and what came of it moves into place at once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::setup::lock;

/// A cache that this process may write to, until it is dropped.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    work: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens the first of `folders` that can be written to, and waits until no other process does.
    ///
    /// # Errors
    /// What is wrong with the last of them.
    pub fn open(folders: &[PathBuf]) -> io::Result<Self> {
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for folder in folders {
            match Self::open_one(folder) {
                Ok(cache) => return Ok(cache),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => refused = io::Error::new(error.kind(), format!("{}: {error}", folder.display())),
            }
        }
        Err(refused)
    }

    fn open_one(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = lock::take(&folder.join("lock"), "another download")?;
        let cache = Self { folder: folder.to_owned(), work: folder.join("work"), _lock: lock };
        // A process that was killed had no chance to tidy up.
        cache.tidy()?;
        fs::create_dir(&cache.work)?;
        Ok(cache)
    }

    /// Where things are kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder for the download, which is gone afterwards.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Keeps `image`, from the work folder, as `name`, and notes its digest in `record`.
    ///
    /// # Errors
    /// What the host says.
    pub fn keep(&self, image: &Path, name: &str, record: &str) -> io::Result<PathBuf> {
        let line = format!("{}  {name}\n", digest(&fs::read(image)?));
        let kept = self.folder.join(name);
        fs::rename(image, &kept)?;
        let half = self.work.join(record);
        fs::write(&half, line)?;
        fs::rename(&half, self.folder.join(record))?;
        Ok(kept)
    }

    fn tidy(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // What stays is removed by the next process that opens the cache.
        let _ = self.tidy();
    }
}

/// The image that `record` names in a folder, if it is whole. Reading is all that the folder must allow.
#[must_use]
pub fn cached(folder: &Path, record: &str) -> Option<PathBuf> {
    let record = fs::read_to_string(folder.join(record)).ok()?;
    let (expected, name) = record.trim_end().split_once("  ")?;
    let image = folder.join(name);
    (digest(&fs::read(&image).ok()?) == expected).then_some(image)
}

/// Where to look for a cache, and where to make one, in this order: the user's cache, and a temporary one where that cannot be
/// written.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let users = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let absolute = |folder: PathBuf| std::path::absolute(&folder).unwrap_or(folder).join("reveille");
    users.into_iter().chain([std::env::temp_dir()]).map(absolute).collect()
}

/// The SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "x.sha256";

    fn fill(cache: &Cache) -> PathBuf {
        let image = cache.work().join("image");
        fs::write(&image, "kernel").unwrap();
        cache.keep(&image, "x.Image", RECORD).unwrap()
    }

    #[test]
    fn what_is_kept_is_found_again_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("reveille")];
        let kept = fill(&Cache::open(&folders).unwrap());
        assert_eq!(cached(&folders[0], RECORD), Some(kept));
        let mut names: Vec<_> = fs::read_dir(&folders[0]).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["lock", "x.Image", RECORD]);
    }

    #[test]
    fn an_image_that_was_changed_or_cut_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let image = fill(&Cache::open(&[folder.path().to_owned()]).unwrap());
        for content in ["kernal", "kern", ""] {
            fs::write(&image, content).unwrap();
            assert_eq!(cached(folder.path(), RECORD), None, "{content:?}");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("work/unpacked")).unwrap();
        fs::write(folder.path().join("work/half.deb"), "half").unwrap();
        let cache = Cache::open(&[folder.path().to_owned()]).unwrap();
        assert_eq!(fs::read_dir(cache.work()).unwrap().count(), 0);
        drop(cache);
        assert!(!folder.path().join("work").exists());
    }

    #[test]
    fn where_the_first_folder_cannot_be_made_the_next_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let folders = [file.join("reveille"), folder.path().join("reveille")];
        let cache = Cache::open(&folders).unwrap();
        assert_eq!(cache.folder(), folders[1]);
        let error = Cache::open(&folders[..1]).unwrap_err().to_string();
        assert!(error.contains("file/reveille"), "{error}");
    }
}
