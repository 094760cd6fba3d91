//! The command as a user has it: its exit codes and what it says.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reveille_system_tests::Stand;
use reveille_system_tests::devicetree::{self, cpu, cpu_names, set};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("exit_0_with_four_cpus_and_a_report_to_the_schema", well),
    ("exit_0_with_maxcpus_2_since_two_were_asked_for", maxcpus),
    ("exit_1_names_the_cpu_and_the_reason", one_missing),
    ("exit_4_when_the_time_is_up", timed_out),
    ("exit_5_shows_the_last_lines_of_a_machine_that_died", died),
];

/// Runs the command.
pub fn reveille(arguments: &[&str]) -> Result<Output, String> {
    let mut command = command()?;
    command.args(arguments).output().map_err(|error| format!("{}: {error}", command.get_program().display()))
}

/// Runs the command with a pipe as its standard input, which brings `input` and then ends. It may be a few kilobytes.
pub fn reveille_with_input(arguments: &[&str], input: &[u8]) -> Result<Output, String> {
    let mut command = command()?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = || {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input)?;
        }
        child.wait_with_output()
    };
    run().map_err(|error| format!("reveille: {error}"))
}

fn command() -> Result<Command, String> {
    static COMMAND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    COMMAND.get_or_init(build).clone().map(Command::new)
}

/// Builds the command, which cargo does not do by itself for the tests of another package.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", "reveille-cli", "--bin", "reveille", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    executable.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Complains unless the command ended with `code` and its output holds all `parts`.
pub fn expect(output: &Output, code: i32, parts: &[&str]) -> Result<(), String> {
    let text = text(output);
    if output.status.code() != Some(code) {
        return Err(format!("the exit code should be {code}, and the run ended with {}:\n{text}", output.status));
    }
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("the output should say «{part}»:\n{text}")),
        None => Ok(()),
    }
}

fn well(_: &Stand) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("report.json");
    let output = reveille(&["boot", "--cpus", "4", "--tree", "--report", &file.to_string_lossy()])?;
    expect(&output, 0, &["start_kernel", "secondary_entry", "4 of 4 CPUs online"])?;
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let report: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let good = report["schema"] == 1 && report["online_count"] == 4 && report["cpus"][3]["outcome"] == "online";
    if good { Ok(()) } else { Err(format!("the report should have four CPUs online:\n{text}")) }
}

fn maxcpus(_: &Stand) -> Result<(), String> {
    expect(&reveille(&["boot", "--append", "maxcpus=2"])?, 0, &["2 of 2 CPUs online"])
}

fn one_missing(stand: &Stand) -> Result<(), String> {
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let names = cpu_names(&tree);
    set(cpu(&mut tree, &names[1]), "reg", &0x203_u32.to_be_bytes());
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = devicetree::write(&tree, folder.path())?;
    let output = reveille(&["boot", "--dtb", &file.to_string_lossy()])?;
    expect(&output, 1, &["CPU 1", "0x203", "INVALID_PARAMETERS (-2)", "3 of 4 CPUs online"])
}

fn timed_out(_: &Stand) -> Result<(), String> {
    let start = Instant::now();
    // A machine that does not begin to run.
    let output = reveille(&["boot", "--timeout", "2", "--qemu-arg", "-S"])?;
    expect(&output, 4, &["timed out"])?;
    let late = start.elapsed() > Duration::from_secs(60);
    if late { Err(format!("two seconds took {:?}", start.elapsed())) } else { Ok(()) }
}

fn died(stand: &Stand) -> Result<(), String> {
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let timer = tree.find_node_mut("/timer").ok_or("QEMU's devicetree has a timer")?;
    set(timer, "compatible", b"acme,sundial\0");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = devicetree::write(&tree, folder.path())?;
    let output = reveille(&["boot", "--dtb", &file.to_string_lossy()])?;
    expect(&output, 5, &["CPU 0 panicked", "no arm,armv8-timer"])
}
