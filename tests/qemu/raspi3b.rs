//! QEMU's Raspberry Pi 3B: real pens, no PSCI, no GIC, the console at a mini UART.

use reveille_cli::boot::BootOptions;
use reveille_cli::machine::Machine;
use reveille_system_tests::{Booted, Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] =
    &[("row_40_the_raspberry_pi_brings_four_cpus_up_from_its_pens", boots), ("row_26_its_cpus_come_and_go", soak)];

/// The board, with `append` to the kernel's command line.
fn board(append: &str) -> Result<BootOptions, String> {
    let machine = Machine::find("raspi3b").map_err(|error| error.to_string())?;
    Ok(BootOptions { machine, append: Some(append.into()), ..cpus(4) })
}

fn boot(stand: &Stand, append: &str) -> Result<Booted, String> {
    stand.boot(&board(append)?)
}

fn boots(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, "")?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == 2, "the board enters at EL2")
}

fn soak(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, "reveille.soak=50")?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.proofs.iter().any(|proof| proof.name == "soak" && proof.passed), "the soak should pass")
}
