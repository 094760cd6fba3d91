//! Boots on machines of every breadth: other interrupt controllers, other processors, many CPUs.

use reveille_cli::boot::{BootOptions, ImageFormat};
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
    ("row_38_cpus_without_vhe_drop_to_el1_by_image", |stand| at_el2(stand, "cortex-a57", ImageFormat::Image, "EL1")),
    ("row_38_cpus_without_vhe_drop_to_el1_by_elf", |stand| at_el2(stand, "cortex-a57", ImageFormat::Elf, "EL1")),
    ("row_38_cpus_with_vhe_stay_at_el2_by_image", |stand| at_el2(stand, "max", ImageFormat::Image, "EL2")),
    ("row_38_cpus_with_vhe_stay_at_el2_by_elf", |stand| at_el2(stand, "max", ImageFormat::Elf, "EL2")),
    ("64_cpus_stay_at_el2", sixty_four_at_el2),
    ("124_cpus_are_the_first_to_need_a_second_region_of_redistributors", |stand| {
        stand.boot(&cpus(124))?.expect_all_online(124).map(|_| ())
    }),
];

/// Enters four CPUs at EL2, and checks that they stay where they should.
fn at_el2(stand: &Stand, cpu_model: &str, format: ImageFormat, level: &str) -> Result<(), String> {
    let options = BootOptions { entry_level: 2, cpu_model: Some(cpu_model.into()), format, ..cpus(4) };
    let booted = stand.boot(&options)?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == 2, "it was entered at another exception level")?;
    let said = booted.0.console.lines().any(|line| line.ends_with(&format!("entered at EL2, running at {level}")));
    booted.expect(said, &format!("it should run at {level}"))
}

fn gic_v2(stand: &Stand, count: u32, entry_level: u8) -> Result<(), String> {
    let options = BootOptions { gic: Some(2), entry_level, ..cpus(count) };
    stand.boot(&options)?.expect_all_online(count).map(|_| ())
}

fn sixty_four_at_el2(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { entry_level: 2, cpu_model: Some("max".into()), ..cpus(64) };
    stand.boot(&options)?.expect_all_online(64).map(|_| ())
}
