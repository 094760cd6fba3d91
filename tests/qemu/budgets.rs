//! What a bring-up may cost: the figures of the bench that do not depend on the host.

use reveille_cli::bench::{self, Bench, BenchOptions};
use reveille_cli::machine::MACHINES;
use reveille_system_tests::Stand;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[("instructions_a_cpu_keep_to_their_budgets", |stand| budgets(stand, &[16, 64]))];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] =
    &[("instructions_a_cpu_are_flat_from_16_to_512", |stand| budgets(stand, &[16, 128, 512]))];

/// The library alone, and the kernel with all its steps.
const BUDGETS: [(&str, f64); 2] = [("library alone", 800.0), ("kernel", 7_000.0)];
/// How far the counts of different numbers of CPUs may lie apart.
const FLAT: f64 = 1.05;

fn budgets(stand: &Stand, cpus: &[u32]) -> Result<(), String> {
    let options = BenchOptions { machine: &MACHINES[0], cpus: cpus.to_vec(), runs: 1, spans: false, peers: Vec::new() };
    let bench = bench::run(stand.host(), &options, &mut |_| {}).map_err(|error| error.to_string())?;
    for (subject, budget) in BUDGETS {
        let counts = counts(&bench, subject);
        if counts.len() != cpus.len() {
            return Err(format!("{subject}: two runs with one number of CPUs should count the same: {:?}", bench.rows));
        }
        let least = counts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = counts.iter().copied().fold(0.0, f64::max);
        if most > budget {
            return Err(format!("{subject}: {most:.0} instructions a CPU are above the budget of {budget}"));
        }
        if most > least * FLAT {
            return Err(format!("{subject}: from {least:.0} to {most:.0} instructions a CPU is not flat"));
        }
    }
    Ok(())
}

fn counts(bench: &Bench, subject: &str) -> Vec<f64> {
    bench.rows.iter().filter(|row| row.subject == subject).filter_map(|row| row.instructions_per_cpu).collect()
}
