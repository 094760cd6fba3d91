//! Boots with a devicetree that is wrong, or odd.

use std::time::Instant;

use dtoolkit::model::DeviceTree;
use reveille_cli::boot::BootOptions;
use reveille_cli::report::Outcome;
use reveille_system_tests::devicetree::{self, cpu, cpu_names, set};
use reveille_system_tests::{Booted, Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_9_a_cpu_that_does_not_exist_is_refused_and_the_rest_boots", no_such_cpu),
    ("row_48_a_duplicate_id_is_left_out", duplicate),
    ("row_48_a_cpu_without_reg_is_left_out", without_reg),
    ("row_47_bits_outside_the_affinity_fields_are_an_error", bad_bits),
    ("row_49_the_boot_cpu_need_not_be_first", boot_cpu_last),
    ("row_49_without_the_boot_cpu_the_machine_runs_on_it_alone", boot_cpu_absent),
    ("row_50_an_unknown_enable_method_drops_only_that_cpu", unknown_method),
    ("row_52_a_disabled_cpu_that_psci_can_start_comes_up", disabled),
    ("a_devicetree_as_qemu_writes_it_boots", as_written),
];

/// Boots with QEMU's devicetree for four CPUs, changed by `change`, which is also given the names of the CPU nodes.
fn boot(stand: &Stand, change: impl FnOnce(&mut DeviceTree, &[String])) -> Result<Booted, String> {
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let names = cpu_names(&tree);
    assert_eq!(names.len(), 4, "QEMU's devicetree for four CPUs");
    change(&mut tree, &names);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = devicetree::write(&tree, folder.path())?;
    stand.boot(&BootOptions { devicetree: Some(file), ..cpus(4) })
}

/// Boots with a devicetree of which one CPU cannot be used: the other three come up, and the verdict names `problem`.
fn loses_one(booted: &Booted, problem: &str) -> Result<(), String> {
    let problems = booted.problems()?;
    booted
        .expect(problems.len() == 1 && problems[0].contains(problem), &format!("the problem should be: {problem}"))?;
    let report = booted.report()?;
    booted.expect(report.online_count == 3, "the other three are online")?;
    booted.expect(report.proofs.iter().all(|proof| proof.passed), "and work")
}

fn no_such_cpu(stand: &Stand) -> Result<(), String> {
    let start = Instant::now();
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[2]), "reg", &0x203_u32.to_be_bytes()))?;
    loses_one(&booted, "CPU_ON: INVALID_PARAMETERS (-2)")?;
    let report = booted.report()?;
    booted.expect(report.cpus[2].outcome == Outcome::Failed && report.cpus[2].hw_id == 0x203, "CPU 2 has failed")?;
    booted.expect(report.masks.online == [0, 1, 3], "the others are online")?;
    // A refusal needs no deadline.
    booted.expect(start.elapsed() < reveille_system_tests::PATIENCE, "nothing is waited for")
}

fn duplicate(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[3]), "reg", &1_u32.to_be_bytes()))?;
    loses_one(&booted, "its id is that of an earlier CPU")
}

fn without_reg(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| {
        cpu(tree, &names[3]).remove_property("reg");
    })?;
    loses_one(&booted, "its reg is missing")
}

fn bad_bits(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[3]), "reg", &0x8000_0003_u32.to_be_bytes()))?;
    loses_one(&booted, "bits set outside the affinity fields")
}

fn boot_cpu_last(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| {
        for name in &names[1..] {
            devicetree::move_to_front(tree, name);
        }
    })?;
    let report = booted.expect_all_online(4)?;
    let ids: Vec<u64> = report.cpus.iter().map(|cpu| cpu.hw_id).collect();
    booted.expect(ids == [0, 3, 2, 1], "the boot CPU is CPU 0, the others follow in the devicetree's order")
}

fn boot_cpu_absent(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[0]), "reg", &0x203_u32.to_be_bytes()))?;
    let report = booted.report()?;
    booted.expect(report.masks.online == [0], "the machine runs on its boot CPU alone")?;
    let said = booted.0.console.lines().any(|line| line.contains("does not name the boot CPU"));
    booted.expect(said, "the console says why")?;
    booted.problems().map(|_| ())
}

fn unknown_method(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[1]), "enable-method", b"by-magic\0"))?;
    loses_one(&booted, "its enable-method is unknown")
}

fn disabled(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[1]), "status", b"disabled\0"))?;
    booted.expect_all_online(4).map(|_| ())
}

fn as_written(stand: &Stand) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = devicetree::dump_of_virt(stand.qemu(), 5, folder.path())?;
    stand.boot(&BootOptions { devicetree: Some(file), ..cpus(5) })?.expect_all_online(5).map(|_| ())
}
