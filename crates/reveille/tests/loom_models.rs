//! Runs the models of `loom/`, which need a build of their own (`--cfg loom`, two CPUs), as part of the ordinary tests.
#![cfg(not(loom))]

use std::env;
use std::path::Path;
use std::process::Command;

/// What of the environment would change the inner build, and is not for this one: what cargo and a caller set for the outer.
fn is_for_the_outer_build(name: &str) -> bool {
    let settings_of_the_host = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    let outer = name.starts_with("CARGO") || name.starts_with("RUSTFLAGS") || name.starts_with("REVEILLE_");
    outer && !settings_of_the_host.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn rendezvous_and_hand_over_hold_in_every_interleaving() {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os().filter(|(name, _)| is_for_the_outer_build(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--package", "reveille", "--test", "loom", "--locked", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        .env("REVEILLE_MAX_CPUS", "2")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .expect("cargo could not be run");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "the models failed:\n{text}");
    for model in ["test rendezvous::row_55_exactly_one_wins", "test handover::a_refusal_comes_with_its_code"] {
        assert!(text.contains(model), "the models did not run:\n{text}");
    }
}
