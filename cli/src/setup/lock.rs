//! Locks between processes: one for the set-up of the whole machine, one for each folder that processes fill together.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;

use super::{PATIENCE, tell};
use crate::interrupt;

/// Takes the lock `path`, and says so if it must wait for `what`. It is held until the file is dropped, or its process ends.
///
/// # Errors
/// The file cannot be made, or the wait was interrupted.
pub fn take(path: &Path, what: &str) -> io::Result<File> {
    let file = open(path)?;
    wait(what, || file.try_lock())?;
    Ok(file)
}

/// Waits while another process holds the lock `path`. Whoever cannot see the file has nothing to wait for.
///
/// # Errors
/// The wait was interrupted.
pub fn wait_while_taken(path: &Path, what: &str) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => wait(what, || file.try_lock_shared()),
        Err(_) => Ok(()),
    }
}

fn wait(what: &str, attempt: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let mut told = false;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if interrupt::requested() => {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
            }
            Err(TryLockError::WouldBlock) if !told => {
                told = true;
                tell(&format!("reveille: waiting for {what}"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PATIENCE),
        }
    }
}

/// Opens the file of a lock, and makes it if it is not there.
fn open(path: &Path) -> io::Result<File> {
    // Reading is enough to lock, and all that another user's file allows. Creating comes second, because creation in a
    // directory that everyone writes to is refused where another user's file is there; and that file may come in between.
    File::open(path).or_else(|_| create(path)).or_else(|error| File::open(path).map_err(|_| error))
}

fn create(path: &Path) -> io::Result<File> {
    let file = File::options().append(true).create(true).open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Whatever this user's habits: others must be able to wait too. Where they are not, they say so.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Waits until `free` holds. A process that another test starts has the file, and with it the lock, until it executes its program.
    fn soon(free: impl Fn() -> bool) {
        let mut looks = 0..3_000;
        assert!(looks.any(|_| {
            thread::sleep(std::time::Duration::from_millis(10));
            free()
        }));
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = take(&path, "a test").unwrap();
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop(first);
        soon(|| File::open(&path).unwrap().try_lock().is_ok());
    }

    #[test]
    fn who_looks_waits_for_who_works_and_not_for_who_looks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = take(&path, "a test").unwrap();
        let released = AtomicBool::new(false);
        thread::scope(|scope| {
            let looker = scope.spawn(|| {
                wait_while_taken(&path, "a test").unwrap();
                released.load(Ordering::SeqCst)
            });
            thread::sleep(2 * PATIENCE);
            released.store(true, Ordering::SeqCst);
            drop(held);
            assert!(looker.join().unwrap(), "it did not wait");
        });
        let looking = File::open(&path).unwrap();
        soon(|| looking.try_lock_shared().is_ok());
        wait_while_taken(&path, "a test").unwrap();
    }

    #[test]
    fn a_lock_that_nobody_made_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        wait_while_taken(&path, "a test").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(take(&file.join("lock"), "a test").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn others_may_wait_for_it_too() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = take(&path, "a test").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }
}
