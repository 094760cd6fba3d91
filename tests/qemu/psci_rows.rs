//! The rows of the conformance checklist that a caller of PSCI can see, called on the machine: on firmware of ours, and on the provider
//! that QEMU has, whose differences are those of docs/conformance.md.

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::qemu::ONE_THREAD;
use reveille_cli::report::Proof;
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_sim::fault::FaultError;
use reveille_system_tests::{Booted, Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("psci_rows_1_to_35_hold_on_our_firmware_at_el1", |stand| all_hold(stand, ours(1))),
    ("psci_rows_1_to_35_hold_on_our_firmware_at_el2", |stand| all_hold(stand, ours(2))),
    ("psci_row_14_a_cpu_on_its_way_is_on_pending_on_our_firmware", on_pending),
    ("psci_row_33_our_firmware_resets_the_machine", reset),
    ("psci_hostile_callers_get_codes_and_change_nothing", hostile),
    ("psci_rows_1_to_35_on_qemus_provider_by_hvc", |stand| differ(stand, qemus(1))),
    ("psci_rows_1_to_35_on_qemus_provider_by_smc", |stand| differ(stand, qemus(2))),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[("psci_row_28_30000_cycles_on_our_firmware", |stand| {
    // Two CPUs that wait for each other all the time do so faster if they need not be scheduled by a host.
    let qemu_arguments = ONE_THREAD.map(str::to_owned).to_vec();
    // The firmware logs some 120,000 calls, which takes QEMU minutes.
    let timeout = Some(Duration::from_secs(1800));
    all_hold(stand, BootOptions { append: Some("cycles=30000".into()), qemu_arguments, timeout, ..ours(1) })
})];

/// What a run proves, in its order.
const ROWS: [&str; 26] = [
    "row_1_version",
    "row_2_what_has_no_64_bit_form",
    "row_3_upper_half_of_x0",
    "row_4_32_bit_arguments",
    "row_6_unknown_ids",
    "row_7_registers",
    "row_30_affinity_info",
    "row_34_features",
    "row_35_no_trusted_os",
    "row_9_no_such_cpu",
    "row_10_bits_outside_the_affinity",
    "row_11_the_caller",
    "row_12_a_running_cpu",
    "row_14_on_its_way",
    "row_15_many_callers",
    "row_16_a_refusal_changes_nothing",
    "row_17_unaligned_entries",
    "row_18_the_id_before_the_address",
    "row_22_the_context_id",
    "row_23_the_exception_level",
    "row_24_masked_and_uncached",
    "row_28_off_and_on",
    "row_27_on_racing_off",
    "row_32_power_states_that_do_not_exist",
    "row_13_and_31_a_suspended_cpu",
    "row_17_entries_outside_memory",
];

/// What QEMU 7.2 always answers otherwise.
const DIFFERENCES: [(&str, &str); 6] = [
    ("row_3_upper_half_of_x0", "PSCI_VERSION with bits above W0 answers -1, not 65537"),
    ("row_4_32_bit_arguments", "AFFINITY_INFO by SMC32 with bits above answers 0, not 1"),
    ("row_30_affinity_info", "of level 4 answers 0, not -2"),
    ("row_17_unaligned_entries", "CPU_ON with an entry 1 bytes off answers -2, not -9"),
    ("row_32_power_states_that_do_not_exist", "CPU_SUSPEND with a state id that is none sleeps"),
    ("row_17_entries_outside_memory", "CPU_ON with the entry 0x0 answers 0"),
];
/// Where it answers SUCCESS to more callers than one if they come close enough together.
const RACES: [&str; 3] = ["row_14_on_its_way", "row_15_many_callers", "row_16_a_refusal_changes_nothing"];

fn ours(level: u8) -> BootOptions {
    BootOptions { stack: Stack::firmware(System::Kernel), ..qemus(level) }
}

fn qemus(level: u8) -> BootOptions {
    BootOptions { entry_level: Some(level), ..cpus(4) }
}

/// Junk from one CPU and from all, and no word from the firmware.
fn hostile(stand: &Stand) -> Result<(), String> {
    for level in [1, 2] {
        let append = Some("rows=hostile".into());
        let booted = stand.boot_image(stand.psci_rows()?, &BootOptions { append, ..ours(level) })?;
        let proofs = &booted.report()?.proofs;
        let held = proofs.len() == 3 && proofs.iter().all(|proof| proof.passed);
        booted.expect(held, &format!("every call should change nothing: {proofs:#?}"))?;
        let said = booted.0.console.lines().any(|line| line.starts_with("firmware: "));
        booted.expect(!said, "the firmware should have nothing to say")?;
    }
    Ok(())
}

/// The proofs of a run that came to its end; row 33 is that it ended by the last call.
fn proofs(stand: &Stand, options: &BootOptions) -> Result<(Booted, Vec<Proof>), String> {
    let booted = stand.boot_image(stand.psci_rows()?, options)?;
    let proofs = booted.report()?.proofs.clone();
    let names: Vec<&str> = proofs.iter().map(|proof| proof.name.as_str()).collect();
    booted.expect(names == ROWS, "every row should have a verdict")?;
    let said = booted.0.console.lines().any(|line| line.contains("row_33"));
    let ended = !matches!(booted.0.verdict, Verdict::TimedOut(_));
    booted.expect(!said && ended, "row 33: the last call ends the run")?;
    Ok((booted, proofs))
}

fn all_hold(stand: &Stand, options: BootOptions) -> Result<(), String> {
    let (booted, proofs) = proofs(stand, &options)?;
    let failed: Vec<&Proof> = proofs.iter().filter(|proof| !proof.passed).collect();
    booted.expect(failed.is_empty(), &format!("every row should hold: {failed:#?}"))
}

fn on_pending(stand: &Stand) -> Result<(), String> {
    let fault = "all:power-up:2ms".parse().map_err(|error: FaultError| error.to_string())?;
    // On a clock that goes by instructions the second call is never late.
    let qemu_arguments = ["-icount", "shift=5,sleep=off"].map(str::to_owned).to_vec();
    let (booted, proofs) = proofs(stand, &BootOptions { faults: vec![fault], qemu_arguments, ..ours(1) })?;
    let row = proofs.iter().find(|proof| proof.name == "row_14_on_its_way");
    let pending = row.is_some_and(|row| row.passed && row.detail == "the second CPU_ON: -5");
    booted.expect(pending, &format!("a CPU that is on its way is ON_PENDING: {row:?}"))?;
    let failed: Vec<&Proof> = proofs.iter().filter(|proof| !proof.passed).collect();
    booted.expect(failed.is_empty(), &format!("every row should hold: {failed:#?}"))
}

fn reset(stand: &Stand) -> Result<(), String> {
    all_hold(stand, BootOptions { append: Some("rows=reset".into()), ..ours(1) })
}

/// Every difference is one that is written down, and every one that is written down is there.
fn differ(stand: &Stand, options: BootOptions) -> Result<(), String> {
    let (booted, proofs) = proofs(stand, &options)?;
    let known = |proof: &&Proof| proof.passed || RACES.contains(&proof.name.as_str());
    let failed = proofs.iter().filter(|proof| !known(proof));
    let failed: Vec<(&str, &str)> = failed.map(|proof| (proof.name.as_str(), proof.detail.as_str())).collect();
    booted.expect(failed == DIFFERENCES, &format!("the differences should be those that are known: {failed:#?}"))
}
