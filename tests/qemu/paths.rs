//! The kernel takes the path of the system that it follows.

use reveille_cli::boot::BootOptions;
use reveille_system_tests::{Stand, cpus, path, raspi3b};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("the_kernel_takes_the_path_of_linux_psci", |stand| takes_path(stand, "linux-psci", &cpus(4))),
    ("the_kernel_takes_the_path_of_linux_spin_table", linux_spin_table),
    ("the_kernel_takes_the_path_of_linux_mips_cfe", linux_mips_cfe),
];

fn linux_spin_table(stand: &Stand) -> Result<(), String> {
    takes_path(stand, "linux-spin-table", &raspi3b("")?)
}

fn linux_mips_cfe(stand: &Stand) -> Result<(), String> {
    let malta = stand.malta()?;
    takes_path(malta, "linux-mips-cfe", &malta.cpus(4))
}

fn takes_path(stand: &Stand, name: &str, options: &BootOptions) -> Result<(), String> {
    let paths = path::read(name)?;
    let deviations = path::deviations(name)?;
    if paths.len() != 2 || paths.iter().any(|path| path.names.len() < 9) {
        return Err("the path of the boot CPU, and that of the others".into());
    }
    let booted = stand.boot(options)?;
    let report = booted.expect_all_online(4)?;
    let complaints: Vec<String> = paths.iter().flat_map(|path| path::complaints(path, &deviations, report)).collect();
    booted.expect(complaints.is_empty(), &complaints.join("\n"))
}
