//! A guest that means harm beside one that looks on: docs/isolation.md has what is tried and what comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::guests::GuestSpec;
use reveille_cli::stack::{Stack, System};
use reveille_system_tests::{Booted, Stand};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[("isolation_every_row_holds_and_the_witness_sees_nothing", every_row)];

/// A busy host may take so long for a run that is over in seconds elsewhere.
const LONG: Duration = Duration::from_secs(900);

/// Guest 0 looks on for so long, beside a guest with four vCPUs that tries everything: on two CPUs, so that they share both.
fn boot(stand: &Stand, seconds: u32, qemu_arguments: &[&str]) -> Result<Booted, String> {
    let image = stand.hostile_guest()?;
    let system = System::Image(image.guest.clone().ok_or("the guest is not built")?);
    let guests = vec![GuestSpec { system, vcpus: 4, memory: 64 }];
    let Ok(stack) = "hypervisor,kernel".parse::<Stack>();
    let options = BootOptions {
        stack,
        cpus: 2,
        guests,
        append: Some(format!("-- witness={seconds}")),
        timeout: Some(LONG),
        qemu_arguments: qemu_arguments.iter().map(|&word| word.to_owned()).collect(),
        ..BootOptions::default()
    };
    stand.boot_image(&image, &options)
}

fn every_row(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, 10, &["-icount", "shift=5,sleep=off"])?;
    let lines: Vec<&str> = booted.0.console.lines().collect();
    let said = |what: &str| lines.iter().any(|line| line.contains(what));
    let failed: Vec<&&str> = lines.iter().filter(|line| line.contains(" fails: ")).collect();
    booted.expect(failed.is_empty(), &format!("every row should hold: {failed:#?}"))?;
    let held: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("(d1) hostile ")?.split_once(" holds: "))
        .map(|row| row.0)
        .collect();
    booted.expect(held.len() > 30, &format!("{} rows were tried", held.len()))?;
    booted.expect(said("Guest 1 (guest1) switched itself off"), "the guest that means harm should end by itself")?;
    booted.expect(said("(d0) witness passes"), "the witness should pass")
}
