//! CPUs that are taken down and come back while the system runs.

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_system_tests::{Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_26_cpus_come_and_go_by_requests_from_all_cpus", |stand| soak(stand, 300, cpus(4))),
    ("row_26_cpus_come_and_go_with_a_gic_v2", |stand| soak(stand, 100, BootOptions { gic: Some(2), ..cpus(8) })),
    ("row_26_cpus_come_and_go_at_el2", el2),
    ("row_26_two_cpus_take_turns", |stand| soak(stand, 100, cpus(2))),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("row_28_30000_cycles", |stand| soak(stand, 30_000, cpus(4))),
    ("row_26_16_cpus_come_and_go_2000_times", |stand| soak(stand, 2_000, cpus(16))),
];

fn el2(stand: &Stand) -> Result<(), String> {
    soak(stand, 100, BootOptions { entry_level: Some(2), cpu_model: Some("max".into()), ..cpus(4) })
}

/// Every request comes to what it asks for, every call that was accepted is answered, every piece of work is done once, and all
/// CPUs are there in the end.
pub fn soak(stand: &Stand, cycles: u32, mut options: BootOptions) -> Result<(), String> {
    options.append = Some(format!("reveille.soak={cycles} reveille.seed={cycles}"));
    options.timeout = Some(options.limit() + Duration::from_millis(50) * cycles);
    let booted = stand.boot(&options)?;
    let report = booted.expect_all_online(options.cpus)?;
    let proof = report.proofs.iter().find(|proof| proof.name == "soak");
    let proof = proof.ok_or_else(|| booted.complaint("there should be a proof of the soak"))?;
    booted.expect(proof.passed, "the soak passes")?;
    let number = |text: &str| text.split(' ').next().and_then(|word| word.parse::<u32>().ok()).unwrap_or(0);
    booted.expect(number(&proof.detail) >= cycles, "it has made its cycles")?;
    let threads = proof.detail.split("threads: ").nth(1).map_or(0, number);
    booted.expect(threads > cycles, "CPUs worked meanwhile")
}
