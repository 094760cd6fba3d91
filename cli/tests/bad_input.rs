//! Wrong use of the command ends with exit code 2 and one sentence, before anything is built or booted.

use std::path::Path;
use std::process::{Command, Output};

fn reveille(arguments: &[&str]) -> Output {
    // A source tree without images: whoever gets as far as building them fails with another exit code.
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(arguments).env("REVEILLE_ROOT", "/nonexistent").env("REVEILLE_SETUP", "never");
    command.env("RUST_BACKTRACE", "1").output().unwrap()
}

/// Checks that the command refuses `arguments` with one line that has `expected` in it.
fn refuses(arguments: &[&str], expected: &str) {
    let output = reveille(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("reveille: ") && error.contains(expected), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn no_cpus_and_too_many_are_refused() {
    refuses(&["boot", "--cpus", "0"], "1 to 512 CPUs");
    refuses(&["boot", "--cpus", "513"], "1 to 512 CPUs");
    refuses(&["boot", "--cpus", "4294967295"], "1 to 512 CPUs");
    refuses(&["boot", "--cpus", "four"], "'four'");
    refuses(&["boot", "--cpus", "-1"], "-1");
    refuses(&["boot", "--cpus", "9", "--gic", "2"], "a GICv2 serves 1 to 8 CPUs, not 9");
}

#[test]
fn an_unknown_machine_is_refused() {
    refuses(&["boot", "--machine", "toaster"], "unknown machine 'toaster'");
}

#[test]
fn a_file_that_is_no_devicetree_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    refuses(&["boot", "--dtb", text(&directory.path().join("missing.dtb"))], "missing.dtb");
    let source = directory.path().join("board.dts");
    std::fs::write(&source, "/dts-v1/;\n/ { };\n").unwrap();
    refuses(&["boot", "--dtb", text(&source)], "0xd00dfeed");
    let cut = directory.path().join("cut.dtb");
    std::fs::write(&cut, [0xd0, 0x0d, 0xfe, 0xed, 0, 0, 1, 0]).unwrap();
    refuses(&["boot", "--dtb", text(&cut)], "256 bytes");
    refuses(&["boot", "--dtb", text(directory.path())], "devicetree");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_boot() {
    let directory = tempfile::tempdir().unwrap();
    refuses(&["boot", "--report", text(&directory.path().join("no/report.json"))], "cannot write the report");
    refuses(&["boot", "--report", text(directory.path())], "cannot write the report");
}

#[test]
fn a_boot_that_fails_leaves_no_empty_report() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    assert_eq!(reveille(&["boot", "--report", text(&path)]).status.code(), Some(3));
    assert!(!path.exists());
}

#[test]
fn a_bench_of_what_cannot_be_measured_is_refused() {
    refuses(&["bench", "--machine", "raspi3b"], "nothing is measured on the machine raspi3b (there is: virt, malta)");
    refuses(&["bench", "--machine", "sim"], "unknown machine 'sim'");
    refuses(&["bench", "--machine", "malta", "--cpus", "2,32"], "the machine malta takes 1 to 16 CPUs, not 32");
    refuses(&["bench", "--machine", "malta", "--cpus", "1"], "a bench takes at least 2 CPUs");
    let peer = "there is no --peer xen on the machine malta: it is one of linux there";
    refuses(&["bench", "--machine", "malta", "--peer", "xen"], peer);
    refuses(&["bench", "--machine", "malta", "--peer", "linux=/no/such"], "there is no file /no/such");
    refuses(&["bench", "--peer", "bsd"], "it is one of linux, xen, lk, each also with =IMAGE");
}

#[test]
fn bad_option_values_are_refused() {
    refuses(&["boot", "--policy", "0"], "--policy");
    refuses(&["boot", "--timeout", "0"], "--timeout");
    refuses(&["boot", "--deadline", "soon"], "--deadline");
    refuses(&["boot", "--el", "3"], "--el");
    refuses(&["boot", "--gic", "4"], "--gic");
    refuses(&["boot", "--format", "srec"], "--format");
    refuses(&["boot", "--frobnicate"], "--frobnicate");
    refuses(&["reboot"], "reboot");
}

#[test]
fn help_is_for_the_standard_output() {
    let output = reveille(&["boot", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("--policy"));
    assert!(output.stderr.is_empty());
}
