//! Systems that are not ours on firmware of ours: Debian's Linux and Xen, as they are.

use std::collections::BTreeSet;
use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::enable_method::EnableMethod;
use reveille_cli::foreign::text::Said;
use reveille_cli::report::{Outcome, Report};
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_system_tests::{Booted, Stand};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] =
    &[("foreign_linux_comes_up_with_4_cpus_and_switches_off", |stand| comes_up(stand, &linux(4)).map(drop))];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("foreign_linux_takes_4_cpus_off_and_on_ten_times", |stand| off_and_on(stand, 4)),
    ("foreign_linux_takes_16_cpus_off_and_on_ten_times", |stand| off_and_on(stand, 16)),
    ("foreign_linux_comes_up_with_4_cpus_by_spin_table", spin_table),
    ("foreign_linux_says_which_cpu_is_dead", dead),
    ("foreign_xen_comes_up_with_a_linux_above_it", xen),
];

const CYCLES: usize = 10;
/// On a busy host Linux takes a second to take a CPU down.
const PATIENCE: Duration = Duration::from_secs(480);

fn system(system: System, cpus: u32) -> BootOptions {
    BootOptions { stack: Stack::firmware(system), cpus, ..BootOptions::default() }
}

fn linux(cpus: u32) -> BootOptions {
    system(System::Linux(None), cpus)
}

/// Every CPU is online by what firmware let go and by what user space sees, and the machine is switched off by a call.
fn comes_up(stand: &Stand, options: &BootOptions) -> Result<Booted, String> {
    let booted = stand.boot(options)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "all CPUs should be online")?;
    let report = booted.report()?;
    let is_timed = report.bringup_ns > 0 || options.enable_method.has_pens();
    booted.expect(report.online_count == options.cpus && is_timed, "all CPUs are counted and timed")?;
    let all: BTreeSet<u32> = (0..options.cpus).collect();
    let said = Said::new(booted.0.console.lines());
    booted.expect(said.online.first() == Some(&all), "user space should see all CPUs")?;
    booted.expect(said.count == Some(options.cpus), "the system should count them")?;
    let firmware = firmware(&booted)?;
    let last = firmware.calls.last().map(|call| call.function.as_str());
    booted.expect(last == Some("SYSTEM_OFF"), &format!("the last call should switch the machine off, not {last:?}"))?;
    booted.expect(firmware.lost_calls == 0, "no call should be lost")?;
    Ok(booted)
}

fn off_and_on(stand: &Stand, cpus: u32) -> Result<(), String> {
    let append = Some(format!("reveille.cycles={CYCLES}"));
    let options = BootOptions { append, timeout: Some(PATIENCE), ..linux(cpus) };
    let booted = comes_up(stand, &options)?;
    let said = Said::new(booted.0.console.lines());
    let done = booted.0.console.lines().filter(|line| line.contains("reveille: cycle ")).count();
    booted.expect(done == CYCLES, &format!("{done} of {CYCLES} cycles were done"))?;
    let refused = booted.0.console.lines().find(|line| line.contains(" refuses online"));
    booted.expect(refused.is_none(), &format!("no CPU should refuse: {refused:?}"))?;
    let all: BTreeSet<u32> = (0..cpus).collect();
    booted.expect(said.online.last() == Some(&all), "all CPUs are there in the end")?;
    let alone = said.online.iter().filter(|online| online.len() == 1).count();
    booted.expect(alone == CYCLES, &format!("one CPU should have been alone {CYCLES} times, not {alone} times"))?;
    let firmware = firmware(&booted)?;
    for cpu in 0..cpus {
        let offs = firmware.calls.iter().filter(|call| call.function == "CPU_OFF" && call.cpu == cpu).count();
        let entries = firmware.entries.iter().filter(|entry| entry.cpu == cpu).count();
        let complaint = format!("CPU {cpu} should go and come {CYCLES} times, not {offs} and {entries} times");
        booted.expect(offs == CYCLES && entries == CYCLES + 1, &complaint)?;
    }
    Ok(())
}

/// CPUs wait in pens, and cannot go back to them.
fn spin_table(stand: &Stand) -> Result<(), String> {
    let booted = comes_up(stand, &BootOptions { enable_method: EnableMethod::SpinTable, ..linux(4) })?;
    let firmware = firmware(&booted)?;
    let calls = firmware.calls.iter().filter(|call| call.function == "CPU_ON").count();
    booted.expect(calls == 0 && firmware.entries.len() == 4, "no CPU is started by a call")
}

/// A dead CPU: the others come up, and the report has what Linux says of it.
fn dead(stand: &Stand) -> Result<(), String> {
    let fault = "cpu2:dead".parse().map_err(|error| format!("{error}"))?;
    let booted = stand.boot(&BootOptions { faults: vec![fault], ..linux(4) })?;
    let problems = booted.problems()?;
    let expected = "CPU 2 (0x2) timed out: CPU_ON: SUCCESS, and it never began; it says: CPU2: failed to come online";
    booted.expect(problems == [expected], &format!("the problem should be told: {problems:?}"))?;
    let report = booted.report()?;
    booted.expect(report.masks.online == [0, 1, 3], "the others are online")?;
    booted.expect(report.cpus[2].outcome == Outcome::TimedOut, "it timed out")
}

/// Every physical CPU is Xen's, and the Linux above it takes its own off and on.
fn xen(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { append: Some("-- reveille.cycles=1".into()), ..system(System::Xen(None), 4) };
    let booted = comes_up(stand, &options)?;
    let report = booted.report()?;
    booted.expect(report.entry_level == Some(2), "Xen is entered at EL2")?;
    let dom0 = booted.0.console.lines().any(|line| line.contains("LOADING DOMAIN 0"));
    booted.expect(dom0, "there should be a Linux above it")?;
    let done = booted.0.console.lines().any(|line| line.contains("reveille: cycle 1 is done"));
    booted.expect(done, "the Linux above it should have come to its end")
}

fn firmware(booted: &Booted) -> Result<&Report, String> {
    let report = booted.report()?;
    report.stage("firmware").ok_or_else(|| booted.complaint("the firmware should have a report"))
}
