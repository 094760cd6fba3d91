//! The machine as ACPI describes it: the same CPUs as in the devicetree, and the same firmware.

use reveille_cli::boot::BootOptions;
use reveille_cli::report::{Outcome, Report};
use reveille_system_tests::devicetree::{self, cpu_names, node};
use reveille_system_tests::{Booted, Stand, cpus, path};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("acpi_and_the_devicetree_agree_on_4_cpus", |stand| agree(stand, &cpus(4))),
    ("acpi_and_the_devicetree_agree_on_64_cpus", |stand| agree(stand, &cpus(64))),
    ("row_8_acpi_and_the_devicetree_agree_on_smc", |stand| {
        agree(stand, &BootOptions { entry_level: Some(2), ..cpus(4) })
    }),
    ("acpi_knows_cpus_and_a_conduit_that_the_devicetree_does_not", only_acpi),
    ("the_kernel_takes_the_path_of_linux_acpi", linux_acpi),
    ("row_53_nr_cpus_caps_the_cpus_of_acpi_too", nr_cpus),
    ("cpus_that_acpi_describes_go_and_come_back", soak),
    ("without_acpi_tables_the_devicetree_describes_the_machine", without_tables),
];

const SAID: &str = "CPUs are described by ACPI";

fn with_acpi(options: &BootOptions, more: &str) -> BootOptions {
    BootOptions { append: Some(format!("acpi=on {more}")), ..options.clone() }
}

/// Whether the boot CPU passed the function `name`.
fn passes(report: &Report, name: &str) -> bool {
    report.cpus[0].events.iter().any(|event| event.name == name)
}

fn said(booted: &Booted, text: &str) -> bool {
    booted.0.console.lines().any(|line| line.contains(text))
}

/// Boots by `acpi=on`, which is heeded.
fn boot(stand: &Stand, options: &BootOptions, more: &str) -> Result<Booted, String> {
    let booted = stand.boot(&with_acpi(options, more))?;
    let report = booted.report()?;
    let of_acpi = ["psci_acpi_init", "acpi_parse_gic_cpu_interface"].iter().all(|name| passes(report, name));
    let of_devicetree = ["psci_dt_init", "of_parse_and_init_cpus"].iter().any(|name| passes(report, name));
    booted.expect(of_acpi && !of_devicetree && said(&booted, SAID), "ACPI should describe the CPUs")?;
    Ok(booted)
}

fn agree(stand: &Stand, options: &BootOptions) -> Result<(), String> {
    let by_devicetree = stand.boot(options)?;
    let expected = by_devicetree.expect_all_online(options.cpus)?;
    let by_acpi = boot(stand, options, "")?;
    let report = by_acpi.expect_all_online(options.cpus)?;
    by_acpi.expect(report.masks == expected.masks, "the masks should be those of the devicetree")?;
    let ids = |report: &Report| report.cpus.iter().map(|cpu| (cpu.index, cpu.hw_id)).collect::<Vec<_>>();
    by_acpi.expect(ids(report) == ids(expected), "and so should the ids")
}

fn only_acpi(stand: &Stand) -> Result<(), String> {
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let names = cpu_names(&tree);
    for name in &names[1..] {
        node(&mut tree, "/cpus").remove_child(name).ok_or("a CPU that was listed")?;
    }
    tree.root.remove_child("psci").ok_or("QEMU's devicetree has PSCI")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let options = BootOptions { devicetree: Some(devicetree::write(&tree, folder.path())?), ..cpus(4) };
    stand.boot(&options)?.expect_all_online(1)?;
    boot(stand, &options, "")?.expect_all_online(4).map(|_| ())
}

fn linux_acpi(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, &cpus(4), "")?;
    let report = booted.expect_all_online(4)?;
    let [path] = &path::read("linux-acpi")?[..] else { return Err("the path of the boot CPU".into()) };
    let complaints = path::complaints(path, &path::deviations("linux-acpi")?, report);
    booted.expect(complaints.is_empty(), &complaints.join("\n"))
}

fn nr_cpus(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, &cpus(4), "nr_cpus=3")?;
    let report = booted.expect_all_online(3)?;
    booted.expect(report.masks.possible == [0, 1, 2], "there is no fourth CPU")?;
    booted.expect(said(&booted, "GICC uid 3 is left out: nr_cpus"), "and it is said why")
}

fn soak(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, &cpus(4), "reveille.soak=40")?;
    booted.expect_all_online(4).map(|_| ())
}

fn without_tables(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { qemu_arguments: vec!["-no-acpi".into()], ..cpus(4) };
    let booted = stand.boot(&with_acpi(&options, ""))?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.cpus.iter().all(|cpu| cpu.outcome == Outcome::Online), "all CPUs of the devicetree")?;
    let said = said(&booted, "ACPI cannot be used, and the devicetree is:");
    booted.expect(said && passes(report, "psci_dt_init"), "it is said that ACPI cannot be used")
}
