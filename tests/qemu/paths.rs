//! The kernel takes the path of the system that it follows.

use reveille_system_tests::{Stand, cpus, path};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[("the_kernel_takes_the_path_of_linux_psci", linux_psci)];

fn linux_psci(stand: &Stand) -> Result<(), String> {
    let paths = path::read("linux-psci")?;
    let deviations = path::deviations("linux-psci")?;
    if paths.len() != 2 || paths.iter().any(|path| path.names.len() < 10) {
        return Err("the path of the boot CPU, and that of the others".into());
    }
    let booted = stand.boot(&cpus(4))?;
    let report = booted.expect_all_online(4)?;
    let complaints: Vec<String> = paths.iter().flat_map(|path| path::complaints(path, &deviations, report)).collect();
    booted.expect(complaints.is_empty(), &complaints.join("\n"))
}
