//! Firmware of ours at EL3, which boots the kernel and answers its PSCI calls, as it should or as it is told ([`faults`]).

pub mod faults;

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::enable_method::EnableMethod;
use reveille_cli::report::Report;
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_sim::fault::FaultError;
use reveille_system_tests::{Booted, Stand, cpus};

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
    ("firmware_row_40_to_44_cpus_come_from_its_pens_at_el1", |stand| spin_table(stand, options(4))),
    ("firmware_row_40_to_44_cpus_come_from_its_pens_at_el2", |stand| spin_table(stand, at_el2(options(4)))),
    ("firmware_row_54_a_cpu_that_is_in_no_pen_is_named", dead_in_no_pen),
    ("firmware_row_26_cpus_come_and_go_by_requests_from_all_cpus", |stand| hotplug::soak(stand, 100, options(4))),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("firmware_row_28_30000_cycles", |stand| hotplug::soak(stand, 30_000, options(4))),
    // Redistributors in two regions.
    ("firmware_512_cpus", |stand| enters(stand, options(512))),
];

fn options(count: u32) -> BootOptions {
    BootOptions { stack: Stack::firmware(System::Kernel), ..cpus(count) }
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

/// Every CPU waits in a pen at the level of the next stage, which starts all of them without a call.
fn spin_table(stand: &Stand, options: BootOptions) -> Result<(), String> {
    let level = options.entry_level.unwrap_or(1);
    let booted = stand.boot(&BootOptions { enable_method: EnableMethod::SpinTable, ..options })?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == Some(level), "the kernel is entered at the highest level below EL3")?;
    let prepared = |cpu: u32| {
        let mut events = report.cpus[0].events.iter();
        events.any(|event| event.name == "smp_spin_table_cpu_prepare" && event.target == Some(cpu))
    };
    booted.expect((1..4).all(prepared), "the kernel releases CPUs from pens")?;
    let firmware = firmware(&booted)?;
    let pens: Vec<u64> = firmware.entries.iter().filter(|entry| entry.cpu > 0).map(|entry| entry.address).collect();
    let same = pens.len() == 3 && pens.iter().all(|&pen| pen == pens[0]);
    booted.expect(same, &format!("three are in pens: {:?}", firmware.entries))?;
    booted.expect(firmware.entries.iter().all(|entry| entry.level == level), "at the next stage's level")?;
    let told = told(firmware);
    booted.expect(told.iter().all(|call| !call.contains("CPU_ON")), &format!("nobody calls CPU_ON: {told:?}"))
}

fn dead_in_no_pen(stand: &Stand) -> Result<(), String> {
    let fault = "cpu2:dead".parse().map_err(|error: FaultError| error.to_string())?;
    let deadline = Some(Duration::from_secs(2));
    let in_pens = BootOptions { enable_method: EnableMethod::SpinTable, faults: vec![fault], deadline, ..options(4) };
    let booted = stand.boot(&in_pens)?;
    let problems = booted.problems()?;
    booted.expect(problems.len() == 1 && problems[0].contains("CPU 2 "), "the one that is dead is named")?;
    booted.expect(booted.report()?.masks.online == [0, 1, 3], "the others come")
}

/// What the kernel called is there with its codes, in the order of the calls, with where CPUs entered, on the kernel's clock; and the
/// console has none of it.
fn calls(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&options(4))?;
    let report = booted.expect_all_online(4)?;
    let firmware = firmware(&booted)?;
    let expected = [
        "CPU 0: CPU_ON: SUCCESS (0x1)",
        "CPU 0: CPU_ON: SUCCESS (0x2)",
        "CPU 0: CPU_ON: SUCCESS (0x3)",
        "CPU 0: SYSTEM_OFF (0x0)",
    ];
    let told = told(firmware);
    booted.expect(told.ends_with(&expected.map(str::to_owned)), &format!("the calls should be logged: {told:#?}"))?;
    booted.expect(firmware.image == "firmware" && firmware.entry_level == Some(3), "the firmware says who it is")?;
    booted.expect(firmware.online_count == 4 && firmware.cpus.len() == 4, "all CPUs went through it")?;
    for (cpu, hw_id) in (0..4).map(|cpu| (cpu, u64::from(cpu))) {
        booted.expect(firmware.cpus[cpu as usize].hw_id == hw_id, "CPUs have their ids")?;
        let Some(entry) = firmware.entries.iter().find(|entry| entry.cpu == cpu) else {
            return Err(booted.complaint(&format!("CPU {cpu} should have entered: {:#?}", firmware.entries)));
        };
        booted.expect(entry.level == 1, "CPUs enter at EL1")?;
        let asked = firmware.calls.iter().find(|call| call.function == "CPU_ON" && call.target == Some(cpu));
        booted.expect(asked.is_none_or(|asked| asked.ns < entry.ns), "a CPU enters after it was asked for")?;
    }
    let Some(begin) = report.counter_ns else { return Err(booted.complaint("the kernel should say when it began")) };
    let (online, on) = (report.cpus[1].online_ns(), firmware.entries.iter().find(|entry| entry.cpu == 1));
    let (Some(online), Some(on)) = (online, on) else { return Err(booted.complaint("CPU 1 should be online")) };
    booted.expect(on.ns < begin + online, "a CPU is online after it entered, by the clock that both share")
}

/// QEMU is ended while the kernel runs for ever, and the log is there.
fn hangs(stand: &Stand) -> Result<(), String> {
    let timeout = Some(Duration::from_secs(6));
    let append = Some("reveille.console=1".into());
    let booted = stand.boot(&BootOptions { timeout, append, ..options(4) })?;
    booted.expect(matches!(booted.0.verdict, Verdict::TimedOut(_)), "the kernel waits for commands")?;
    let told = told(firmware(&booted)?);
    let on = told.iter().filter(|call| call.contains("CPU_ON")).count();
    booted.expect(on == 3, &format!("what was called is there: {told:#?}"))
}

/// The firmware's report.
fn firmware(booted: &Booted) -> Result<&Report, String> {
    let report = booted.report()?;
    let stages: Vec<&str> = report.stages.iter().map(|stage| stage.image.as_str()).collect();
    booted.expect(stages == ["firmware", "kernel"], "each stage should have a report")?;
    report.stage("firmware").ok_or_else(|| booted.complaint("the firmware should have one"))
}

/// Its calls, for people.
fn told(firmware: &Report) -> Vec<String> {
    let calls = firmware.calls.iter();
    calls.map(|call| format!("CPU {}: {} ({:#x})", call.cpu, call.words(), call.arguments[0])).collect()
}
