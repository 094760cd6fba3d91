//! Runs the models of `loom.rs`, which need a build of their own (`--cfg loom`), as part of the ordinary tests.
#![cfg(not(loom))]

use std::path::Path;
use std::process::Command;

#[test]
fn the_server_holds_in_every_interleaving() {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--package", "psci-server", "--test", "loom", "--locked", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("loom"))
        // What was set for the outer build, and would be for this one.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .expect("cargo could not be run");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "the models failed:\n{text}");
    assert!(text.contains("test row_15_exactly_one"), "the models did not run:\n{text}");
}
