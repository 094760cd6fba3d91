//! CPUs that do not come up although firmware started them, and CPUs that die. The image is changed for this: a few of its
//! instructions are replaced.

use std::path::Path;
use std::time::Duration;

use object::{Object, ObjectSymbol};
use reveille_cli::boot::BootOptions;
use reveille_cli::image::BuiltImage;
use reveille_cli::report::{Outcome, Report};
use reveille_cli::verdict::Verdict;
use reveille_system_tests::{Booted, Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_54_dead_cpus_cost_one_deadline_together_and_are_named", dead),
    ("row_54_cpus_that_get_stuck_are_named_with_their_stage", stuck),
    ("an_exception_is_reported_with_the_number_of_its_cpu", exception),
    ("a_stack_that_runs_into_its_guard_page_is_reported", overflow),
];

/// How long the kernel waits here.
const DEADLINE: Duration = Duration::from_secs(3);

/// WFI, and a branch back to it.
const SLEEP: &[u32] = &[0xd503_207f, 0x17ff_ffff];
/// UDF.
const UNDEFINED: &[u32] = &[0];
/// SUB SP, SP, #256; STR XZR, [SP]; and back.
const EAT_THE_STACK: &[u32] = &[0xd104_03ff, 0xf900_03ff, 0x17ff_fffe];

/// A copy of the image, in `folder`, in which the function whose symbol has `function` in it begins with `instructions`.
fn changed(image: &BuiltImage, function: &str, instructions: &[u32], folder: &Path) -> Result<BuiltImage, String> {
    let elf = std::fs::read(&image.elf).map_err(|error| error.to_string())?;
    let object = object::File::parse(&*elf).map_err(|error| error.to_string())?;
    let symbol = object.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains(function)));
    // The image is linked at 0: an address is a place in the file.
    let place = symbol.ok_or_else(|| format!("the image has no function {function}"))?.address() as usize;
    let mut bytes = std::fs::read(&image.flat).map_err(|error| error.to_string())?;
    for (position, instruction) in instructions.iter().enumerate() {
        bytes[place + position * 4..][..4].copy_from_slice(&instruction.to_le_bytes());
    }
    let flat = folder.join("changed.Image");
    std::fs::write(&flat, bytes).map_err(|error| error.to_string())?;
    Ok(BuiltImage { flat, ..image.clone() })
}

/// Boots four CPUs of which three end in `function`, and checks what all such boots have in common: each is named, the boot
/// goes on without them, and one deadline is enough for all.
fn boot(stand: &Stand, function: &str) -> Result<Booted, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = changed(stand.image(), function, SLEEP, folder.path())?;
    let booted = stand.boot_image(&image, &BootOptions { deadline: Some(DEADLINE), ..cpus(4) })?;
    let problems = booted.problems()?;
    let named = (1..4).all(|cpu| problems.iter().any(|problem| problem.contains(&format!("CPU {cpu} "))));
    booted.expect(named && problems.len() == 3, "each of the three CPUs is named")?;
    let report = booted.report()?;
    booted.expect(report.masks.online == [0] && report.masks.present.len() == 4, "the boot goes on without them")?;
    booted.expect(report.proofs.iter().all(|proof| proof.passed), "and works")?;
    let waited = waited(report);
    booted.expect(waited >= DEADLINE, "no CPU is given up before its deadline")?;
    booted.expect(waited < DEADLINE * 2, "three CPUs cost one deadline")?;
    Ok(booted)
}

/// The time from the last kick to the end of the wait.
fn waited(report: &Report) -> Duration {
    let events = &report.cpus[0].events;
    let last_kick = events.iter().rfind(|event| event.name == "kick").map_or(0, |event| event.ns);
    let done = events.iter().find(|event| event.name == "smp_cpus_done").map_or(0, |event| event.ns);
    Duration::from_nanos(done.saturating_sub(last_kick))
}

fn expect_reason(booted: &Booted, outcome: Outcome, reason: &str) -> Result<(), String> {
    let cpus = &booted.report()?.cpus[1..];
    let all = cpus.iter().all(|cpu| cpu.outcome == outcome && cpu.reason.as_deref() == Some(reason));
    booted.expect(all, &format!("each is {outcome:?}: {reason}"))
}

fn dead(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, "reveille_secondary_entry")?;
    expect_reason(&booted, Outcome::TimedOut, "never arrived (firmware says ON)")
}

fn stuck(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, "secondary_start_kernel")?;
    expect_reason(&booted, Outcome::Stuck, "arrived and got stuck in __secondary_switched (firmware says ON)")
}

/// Boots two CPUs of which the second dies at its first Rust: the console says so, with its number.
fn dies(stand: &Stand, instructions: &[u32], report: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = changed(stand.image(), "secondary_start_kernel", instructions, folder.path())?;
    let booted = stand.boot_image(&image, &cpus(2))?;
    booted.expect(matches!(booted.0.verdict, Verdict::Died(_)), "the machine should have died")?;
    let said = booted.0.console.lines().any(|line| line.contains("CPU 1 panicked") && line.contains(report));
    booted.expect(said, &format!("CPU 1 should have reported: {report}"))
}

fn exception(stand: &Stand) -> Result<(), String> {
    dies(stand, UNDEFINED, "undefined instruction")
}

fn overflow(stand: &Stand) -> Result<(), String> {
    dies(stand, EAT_THE_STACK, "stack overflow")
}
