//! What the command does where it cannot write: with the host's own tools, if they are there, and a folder below a file.

use std::fs;
use std::process::Command;

#[test]
fn a_target_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let target = file.join("target");
    let command = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .env("REVEILLE_SETUP", "never")
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&command.stderr).into_owned();
    assert_eq!(command.status.code(), Some(3), "{error}");
    // A host without the tools says so instead.
    let target = target.display().to_string();
    assert!(error.contains(&target) || error.contains("REVEILLE_SETUP is never"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}
