//! Firmware of ours at EL3, which boots the kernel and answers its PSCI calls, as it should or as it is told ([`faults`]).

pub mod faults;

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::stack::Stack;
use reveille_cli::verdict::Verdict;
use reveille_system_tests::firmware_log::FirmwareLog;
use reveille_system_tests::{Stand, cpus};
use reveille_trace_format::Record;

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
    ("firmware_tells_what_a_kernel_called_that_hangs", hangs),
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

/// What the kernel called is there with its codes, in the order of the calls, with where CPUs entered, on the kernel's clock; and the
/// console has none of it.
fn calls(stand: &Stand) -> Result<(), String> {
    let log = FirmwareLog::new()?;
    let booted = stand.boot(&log.kept(options(4)))?;
    let report = booted.expect_all_online(4)?;
    let records = log.read()?;
    let calls: Vec<String> = records.iter().filter_map(call).collect();
    let expected = [
        "CPU 0: CPU_ON(0x1) = 0 SUCCESS",
        "CPU 0: CPU_ON(0x2) = 0 SUCCESS",
        "CPU 0: CPU_ON(0x3) = 0 SUCCESS",
        "CPU 0: SYSTEM_OFF(0x0)",
    ];
    booted
        .expect(calls.ends_with(&expected.map(str::to_owned)), &format!("the calls should be logged: {records:#?}"))?;
    let begins = |record: &Record<String>| matches!(record, Record::Boot { image, .. } if image == "firmware");
    booted.expect(records.first().is_some_and(begins), "the firmware says first who it is")?;
    let cpus: Vec<_> = records.iter().filter(|record| matches!(record, Record::FirmwareCpu { .. })).collect();
    booted.expect(cpus.len() == 4, "it names its CPUs")?;
    for place in 0..4 {
        let entered = |record: &&Record<String>| matches!(record, Record::Entered { cpu, .. } if *cpu == place);
        let Some(Record::Entered { ns, hw_id, level: 1, .. }) = records.iter().find(entered) else {
            return Err(booted.complaint(&format!("CPU {place} should have entered at EL1: {records:#?}")));
        };
        booted.expect(*hw_id == u64::from(place), "CPUs have their ids")?;
        let asked = records.iter().find_map(|record| match record {
            Record::Call { ns, function, target: Some(cpu), .. } if *cpu == place && function == "CPU_ON" => Some(*ns),
            _ => None,
        });
        booted.expect(asked.is_none_or(|asked| asked < *ns), "a CPU enters after it was asked for")?;
    }
    let end = report.prepare_ns + report.bringup_ns;
    let last = records.iter().filter_map(time).max().unwrap_or(0);
    booted.expect(last > end, "the shared counter ran as long as the kernel at least")
}

/// QEMU is ended while the kernel runs for ever, and the log is there.
fn hangs(stand: &Stand) -> Result<(), String> {
    let log = FirmwareLog::new()?;
    let timeout = Some(Duration::from_secs(6));
    let append = Some("reveille.console=1".into());
    let booted = stand.boot(&log.kept(BootOptions { timeout, append, ..options(4) }))?;
    booted.expect(matches!(booted.0.verdict, Verdict::TimedOut(_)), "the kernel waits for commands")?;
    let calls: Vec<String> = log.read()?.iter().filter_map(call).collect();
    let on = calls.iter().filter(|call| call.contains("CPU_ON")).count();
    booted.expect(on == 3, &format!("what was called is there: {calls:#?}"))
}

/// A call, for people.
fn call(record: &Record<String>) -> Option<String> {
    let Record::Call { cpu, function, arguments, code, code_name, .. } = record else { return None };
    let mut call = format!("CPU {cpu}: {function}({:#x})", arguments[0]);
    if let Some(code) = code {
        call += &format!(" = {code} {}", code_name.as_deref().unwrap_or("?"));
    }
    Some(call)
}

fn time(record: &Record<String>) -> Option<u64> {
    match record {
        Record::Call { ns, .. } | Record::Entered { ns, .. } => Some(*ns),
        _ => None,
    }
}
