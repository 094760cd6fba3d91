//! Boots with a devicetree that is wrong, or odd.

use std::time::Instant;

use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use reveille_cli::boot::BootOptions;
use reveille_cli::qemu::dump_devicetree;
use reveille_cli::report::Outcome;
use reveille_system_tests::devicetree::{self, cpu, cpu_names, node, set};
use reveille_system_tests::stub::Stub;
use reveille_system_tests::{Booted, Stand, cpus, loaded};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_9_a_cpu_that_does_not_exist_is_refused_and_the_rest_boots", no_such_cpu),
    ("row_47_ids_may_have_two_cells", two_cells),
    ("row_48_a_duplicate_id_is_left_out", duplicate),
    ("row_48_a_cpu_without_reg_is_left_out", without_reg),
    ("row_47_bits_outside_the_affinity_fields_are_an_error", bad_bits),
    ("row_49_the_boot_cpu_need_not_be_first", boot_cpu_last),
    ("row_49_without_the_boot_cpu_the_machine_runs_on_it_alone", boot_cpu_absent),
    ("row_50_an_unknown_enable_method_drops_only_that_cpu", unknown_method),
    ("row_51_psci_0_1_starts_cpus_by_the_ids_of_the_devicetree", psci_0_1),
    ("row_51_later_versions_of_psci_ignore_the_ids_of_the_devicetree", psci_0_2),
    ("row_51_without_a_conduit_the_machine_runs_on_its_boot_cpu_alone", psci_without_method),
    ("row_52_a_cpu_that_failed_is_left_out", failed),
    ("row_52_a_disabled_cpu_that_psci_can_start_comes_up", disabled),
    ("row_56_sockets_clusters_threads_and_numa_nodes", topology),
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

fn two_cells(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| {
        for (id, name) in (0_u64..).zip(names) {
            set(cpu(tree, name), "reg", &id.to_be_bytes());
        }
        set(node(tree, "/cpus"), "#address-cells", &2_u32.to_be_bytes());
    })?;
    booted.expect_all_online(4).map(|_| ())
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
    alone(&booted, "does not name the boot CPU")
}

fn unknown_method(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[1]), "enable-method", b"by-magic\0"))?;
    loses_one(&booted, "its enable-method is unknown")
}

/// The boot CPU is online, and no other; the console says `reason`.
fn alone(booted: &Booted, reason: &str) -> Result<(), String> {
    let report = booted.report()?;
    booted.expect(report.masks.online == [0], "the machine runs on its boot CPU alone")?;
    let said = booted.0.console.lines().any(|line| line.contains(reason));
    booted.expect(said, &format!("the console should say: {reason}"))?;
    booted.problems().map(|_| ())
}

/// Boots with QEMU's devicetree for four CPUs and its PSCI node changed by `change`. QEMU puts a node of its own in place of the one
/// in a devicetree that it is given, so the kernel is given this one past QEMU.
fn boot_with_psci(stand: &Stand, change: impl FnOnce(&mut DeviceTreeNode)) -> Result<Booted, String> {
    const KERNEL: u64 = 0x4060_0000;
    const DEVICETREE: u64 = 0x4c00_0000;
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    change(node(&mut tree, "/psci"));
    set(node(&mut tree, "/chosen"), "bootargs", b"reveille.exit=semihosting reveille.timeout_ms=10000\0");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = devicetree::write(&tree, folder.path())?;
    let options = BootOptions { qemu_arguments: loaded(&file, DEVICETREE).into(), ..cpus(4) };
    stand.boot_at(KERNEL, Stub::default().devicetree(DEVICETREE), options)
}

/// What QEMU calls CPU_ON in the time before its number was fixed, and still answers.
const QEMU_CPU_ON_0_1: u32 = 0x95c1_ba60;
/// An id of the range of PSCI that no function has.
const NO_FUNCTION: u32 = 0x8400_001e;

fn psci_0_1(stand: &Stand) -> Result<(), String> {
    let booted = boot_with_psci(stand, |psci| {
        set(psci, "compatible", b"arm,psci\0");
        set(psci, "cpu_on", &QEMU_CPU_ON_0_1.to_be_bytes());
    })?;
    booted.expect_all_online(4)?;
    // The ids are used: with another one firmware refuses.
    let booted = boot_with_psci(stand, |psci| {
        set(psci, "compatible", b"arm,psci\0");
        set(psci, "cpu_on", &NO_FUNCTION.to_be_bytes());
    })?;
    let problems = booted.problems()?;
    let refused = problems.iter().filter(|problem| problem.contains("CPU_ON: NOT_SUPPORTED (-1)")).count();
    booted.expect(refused == 3 && problems.len() == 3, "CPU_ON should be refused for each CPU")
}

fn psci_0_2(stand: &Stand) -> Result<(), String> {
    let booted = boot_with_psci(stand, |psci| {
        set(psci, "compatible", b"arm,psci-0.2\0arm,psci\0");
        set(psci, "cpu_on", &NO_FUNCTION.to_be_bytes());
    })?;
    booted.expect_all_online(4).map(|_| ())
}

fn psci_without_method(stand: &Stand) -> Result<(), String> {
    let booted = boot_with_psci(stand, |psci| {
        psci.remove_property("method");
    })?;
    alone(&booted, "the psci node has no method")
}

fn failed(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[1]), "status", b"fail\0"))?;
    // Nothing is wrong with a devicetree that says so.
    let report = booted.expect_all_online(3)?;
    let reason = "its status says that it cannot be used";
    booted.expect(report.left_out.len() == 1 && report.left_out[0].reason == reason, "the fourth is left out")
}

fn disabled(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, |tree, names| set(cpu(tree, &names[1]), "status", b"disabled\0"))?;
    booted.expect_all_online(4).map(|_| ())
}

/// QEMU describes all this in its devicetree: a map of the CPUs, and two nodes of memory.
fn topology(stand: &Stand) -> Result<(), String> {
    let words = "-smp 8,sockets=2,clusters=2,cores=1,threads=2 \
                 -object memory-backend-ram,id=near,size=256M -object memory-backend-ram,id=far,size=256M \
                 -numa node,nodeid=0,cpus=0-3,memdev=near -numa node,nodeid=1,cpus=4-7,memdev=far";
    let qemu_arguments = words.split_whitespace().map(str::to_owned).collect();
    stand.boot(&BootOptions { qemu_arguments, ..cpus(8) })?.expect_all_online(8).map(|_| ())
}

fn as_written(stand: &Stand) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("virt.dtb");
    dump_devicetree(stand.qemu(), &cpus(5), &file).map_err(|error| error.to_string())?;
    stand.boot(&BootOptions { devicetree: Some(file), ..cpus(5) })?.expect_all_online(5).map(|_| ())
}
