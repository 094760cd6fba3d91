//! Firmware of ours at EL3, which boots the kernel and answers its PSCI calls.

use reveille_cli::boot::BootOptions;
use reveille_cli::stack::Stack;
use reveille_system_tests::{Stand, cpus};

use crate::{Test, hotplug};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("firmware_row_38_4_cpus_enter_at_el1", |stand| enters(stand, options(4))),
    ("firmware_row_38_4_cpus_enter_at_el2", |stand| enters(stand, at_el2(options(4)))),
    ("firmware_opens_what_newer_cpus_have", |stand| {
        enters(stand, at_el2(BootOptions { cpu_model: Some("max".into()), ..options(4) }))
    }),
    ("firmware_reaches_cpus_whose_mpidr_is_no_index", |stand| enters(stand, options(32))),
    ("firmware_keeps_the_calls_and_switches_off", calls),
    ("firmware_row_26_cpus_come_and_go_by_requests_from_all_cpus", |stand| hotplug::soak(stand, 100, options(4))),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("firmware_row_28_30000_cycles", |stand| hotplug::soak(stand, 30_000, options(4))),
    // Redistributors in two regions.
    ("firmware_512_cpus", |stand| enters(stand, options(512))),
];

fn options(count: u32) -> BootOptions {
    BootOptions { stack: Stack::FirmwareKernel, ..cpus(count) }
}

fn at_el2(options: BootOptions) -> BootOptions {
    BootOptions { entry_level: Some(2), ..options }
}

/// Every CPU comes up at the level that was asked for, and the machine is switched off.
fn enters(stand: &Stand, options: BootOptions) -> Result<(), String> {
    let booted = stand.boot(&options)?;
    let report = booted.expect_all_online(options.cpus)?;
    let level = Some(options.entry_level.unwrap_or(1));
    booted.expect(report.entry_level == level, "the kernel is entered at the highest level below EL3")
}

/// What the kernel called is there with its codes, in the order of the calls.
fn calls(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&options(4))?;
    booted.expect_all_online(4)?;
    let console = booted.0.console.text();
    let calls: Vec<&str> = console.lines().filter_map(|line| line.split_once(" us ").map(|(_, call)| call)).collect();
    let expected = [
        "CPU 0 CPU_ON 0xc4000003 0x1: 0",
        "CPU 0 CPU_ON 0xc4000003 0x2: 0",
        "CPU 0 CPU_ON 0xc4000003 0x3: 0",
        "CPU 0 SYSTEM_OFF 0x84000008 0x0",
    ];
    booted.expect(calls.ends_with(&expected), "the firmware prints the calls")
}
