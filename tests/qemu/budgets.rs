//! What a bring-up may cost: the figures of the bench that do not depend on the host.

use reveille_cli::bench::hypervisor::calls::{self, Calls};
use reveille_cli::bench::{self, Bench, BenchOptions};
use reveille_cli::machine::Machine;
use reveille_system_tests::Stand;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] =
    &[("instructions_a_cpu_keep_to_their_budgets", |stand| budgets(stand, "virt", &[16, 64], BUDGETS))];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("what_a_guests_calls_reads_and_interrupts_cost_keeps_to_its_budget", guest),
    ("what_the_firmware_costs_and_64_slow_cpus_take_two_delays", firmware),
    ("instructions_a_cpu_are_flat_from_16_to_512", |stand| budgets(stand, "virt", &[16, 128, 512], BUDGETS)),
    ("malta_instructions_a_cpu_keep_to_their_budget", |stand| {
        budgets(stand.malta()?, "malta", &[8, 16], MALTA_BUDGETS)
    }),
];

/// The library alone, and the kernel with all its steps.
const BUDGETS: &[(&str, f64)] = &[("library alone", 800.0), ("kernel", 7_000.0)];
/// The kernel and its boot ROM together, which initialises each CPU's caches.
const MALTA_BUDGETS: &[(&str, f64)] = &[("kernel", 24_000.0)];
/// How far the counts of different numbers of CPUs may lie apart.
const FLAT: f64 = 1.05;

fn budgets(stand: &Stand, machine: &str, cpus: &[u32], budgets: &[(&str, f64)]) -> Result<(), String> {
    let machine = Machine::find(machine).map_err(|error| error.to_string())?;
    let options = BenchOptions { machine, cpus: cpus.to_vec(), runs: 1, spans: false, peers: Vec::new() };
    let bench = bench::run(stand.host(), &options, &mut |_| {}).map_err(|error| error.to_string())?;
    for &(subject, budget) in budgets {
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

/// Both are exact for one build of the image; the budgets leave room for another compiler.
fn guest(stand: &Stand) -> Result<(), String> {
    const BUDGETS: Calls = Calls { name: "budget", version: 1000.0, id: 160.0, interrupt: 3200.0, first: 4200.0 };
    let calls = calls::count(stand.host()).map_err(|error| error.to_string())?;
    let guest = calls.last().ok_or("a guest of ours should be the last")?;
    let bare = calls.first().ok_or("bare should be the first")?;
    let kept = [
        (guest.version, BUDGETS.version),
        (guest.id, BUDGETS.id),
        (guest.interrupt, BUDGETS.interrupt),
        (guest.first, BUDGETS.first),
    ];
    if kept.iter().any(|(count, budget)| count > budget) {
        return Err(format!("a guest's calls or interrupts cost too much: {guest:?}, where {BUDGETS:?}"));
    }
    if bare.version >= guest.version || bare.id >= guest.id || bare.interrupt >= guest.interrupt {
        return Err(format!("what the hypervisor does should be counted: {calls:?}"));
    }
    Ok(())
}

/// Wherever the host finds the time: the least of two runs.
fn firmware(stand: &Stand) -> Result<(), String> {
    const DELAY: f64 = 20e6;
    let bench = bench::firmware::run(stand.host(), 2, &mut |_| {}).map_err(|error| error.to_string())?;
    let ours = bench.providers.last().ok_or("ours should be the last provider")?;
    if ours.version_instructions > 400.0 || ours.first_instructions > 1050.0 {
        return Err(format!("a call costs too much: {ours:?}"));
    }
    if bench.parallel.minimum > 2.0 * DELAY {
        return Err(format!("CPUs should power up together: {:?}", bench.parallel));
    }
    if bench.serial.minimum < 63.0 * DELAY {
        return Err(format!("CPUs that come one after the other should take their time: {:?}", bench.serial));
    }
    Ok(())
}
