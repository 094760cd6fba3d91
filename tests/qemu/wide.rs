//! Boots on machines of every breadth: other interrupt controllers, other processors, many CPUs.

use reveille_cli::boot::BootOptions;
use reveille_system_tests::{Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("1_cpu_on_a_gic_v2", |stand| gic_v2(stand, 1, 1)),
    ("4_cpus_on_a_gic_v2", |stand| gic_v2(stand, 4, 1)),
    ("8_cpus_on_a_gic_v2", |stand| gic_v2(stand, 8, 1)),
    ("1_cpu_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 1, 2)),
    ("4_cpus_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 4, 2)),
    ("8_cpus_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 8, 2)),
];

fn gic_v2(stand: &Stand, count: u32, entry_level: u8) -> Result<(), String> {
    let options = BootOptions { gic: Some(2), entry_level, ..cpus(count) };
    stand.boot(&options)?.expect_all_online(count).map(|_| ())
}
