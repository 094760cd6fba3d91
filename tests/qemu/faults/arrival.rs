//! CPUs that do not arrive, or not in time, or not as themselves.

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::report::Outcome;
use reveille_system_tests::misbehaving::{DEADLINE, SLACK, Scenario, psci_codes};
use reveille_system_tests::{Stand, cpus};

use super::{OFFLINE, ONLINE};
use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_54_dead_cpus_cost_one_deadline_together_and_are_named", dead),
    ("row_54_a_dead_cpu_is_given_up_by_the_hosts_clock_too", dead_in_real_time),
    ("row_54_slow_cpus_come_up", slow),
    ("row_54_a_cpu_that_is_refused_and_starts_all_the_same_parks", refused_yet_starts),
    ("row_54_every_code_with_which_cpu_on_is_refused_is_named", refused),
    ("row_55_a_late_cpu_parks_and_touches_nothing", late),
    ("row_55_a_late_cpu_is_adopted_on_request", adopted),
    ("row_55_cpus_that_arrive_late_or_twice_park_at_el2_too", at_el2),
    ("row_55_a_cpu_with_the_id_of_another_or_of_another_kick_parks", wrong_id),
    ("a_cpu_whose_features_differ_is_named_with_the_register", features),
    ("a_cpu_that_lacks_what_the_kernel_relies_on_does_not_come_online", vital_feature),
];

const NEVER_ARRIVED: &str = "never arrived (firmware says ON)";

fn dead(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:dead", "cpu2:dead", "cpu4:dead"];
    let run = Scenario { cpus: 5, faults: &faults, script: &["show:1", "on:1", "off:3", "on:3"] }.run(stand)?;
    for cpu in [1, 2, 4] {
        run.expect_outcome(cpu, Outcome::TimedOut, NEVER_ARRIVED)?;
    }
    run.expect_others_online(&[1, 2, 4])?;
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "three dead CPUs should cost one deadline")?;
    let place = "at offline, Abandoned, firmware says ON";
    run.answer(0)?.expect_text(place)?;
    run.answer(1)?.expect(false, NEVER_ARRIVED, place)?;
    run.answer(2)?.expect_done(OFFLINE)?;
    run.answer(3)?.expect_done(ONLINE)
}

/// All CPUs run at the same time here.
fn dead_in_real_time(stand: &Stand) -> Result<(), String> {
    let append = Some("reveille.fault=cpu1:dead reveille.fault=cpu2:dead reveille.fault=cpu3:dead".into());
    let options = BootOptions { deadline: Some(DEADLINE), append, ..cpus(4) };
    let booted = stand.boot_image(stand.faulty_image()?, &options)?;
    let problems = booted.problems()?;
    let named = (1..4).all(|cpu| problems.iter().any(|problem| problem.contains(&format!("CPU {cpu} "))));
    booted.expect(named && problems.len() == 3, "each of the three CPUs is named")?;
    let report = booted.report()?;
    booted.expect(report.masks.online == [0] && report.masks.present.len() == 4, "the boot goes on without them")?;
    booted.expect(report.proofs.iter().all(|proof| proof.passed), "and works")
}

fn slow(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:late:500ms", "cpu2:slow:300ms", "cpu3:slow:100us"];
    let run = Scenario { cpus: 4, faults: &faults, script: &[] }.run(stand)?;
    run.expect_others_online(&[])?;
    let waited = run.waited()?;
    let expected = Duration::from_millis(490)..Duration::from_millis(510);
    run.booted().expect(expected.contains(&waited), "the slowest should decide how long it takes")
}

fn refused(stand: &Stand) -> Result<(), String> {
    let faults: Vec<String> =
        (1..).zip(psci_codes()).map(|(cpu, (code, _))| format!("cpu{cpu}:refused:{code}")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let script = ["show:1", "show:10", "on:1", "on:4", "on:10"];
    let run = Scenario { cpus: 12, faults: &faults, script: &script }.run(stand)?;
    for (cpu, (code, name)) in (1..).zip(psci_codes()) {
        run.expect_outcome(cpu, Outcome::Failed, &format!("CPU_ON: {name} ({code})"))?;
    }
    run.expect_others_online(&(1..11).collect::<Vec<_>>())?;
    let place = "at offline, Abandoned, firmware says OFF";
    run.answer(0)?.expect_text(place)?;
    run.answer(1)?.expect_text(place)?;
    (2..5).try_for_each(|position| run.answer(position)?.expect_done(ONLINE))
}

fn refused_yet_starts(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu2:refused-yet-starts:-6"];
    let run = Scenario { cpus: 4, faults: &faults, script: &["check:2", "on:2", "off:2"] }.run(stand)?;
    run.expect_outcome(2, Outcome::Failed, "CPU_ON: INTERNAL_FAILURE (-6)")?;
    run.expect_others_online(&[2])?;
    run.answer(0)?.expect_text("untouched; at offline, Abandoned, firmware says OFF")?;
    run.answer(1)?.expect_done(ONLINE)?;
    run.answer(2)?.expect_done(OFFLINE)
}

/// It arrives after all, finds that it was given up, and switches itself off.
pub fn late(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu2:late:1300ms"];
    let script = ["show:2", "wait:400", "check:2", "on:2", "off:2", "on:2", "check:2"];
    let run = Scenario { cpus: 4, faults: &faults, script: &script }.run(stand)?;
    run.expect_outcome(2, Outcome::TimedOut, NEVER_ARRIVED)?;
    run.expect_others_online(&[2])?;
    run.answer(0)?.expect_text("at offline, Abandoned, firmware says ON")?;
    run.answer(2)?.expect_text("untouched; at offline, Abandoned, firmware says OFF")?;
    run.answer(3)?.expect_done(ONLINE)?;
    run.answer(4)?.expect_done(OFFLINE)?;
    run.answer(5)?.expect_done(ONLINE)?;
    // One that is waited for does write there.
    run.answer(6)?.expect_complaint(&format!("written to; {ONLINE}"))
}

fn adopted(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu2:late:1500ms", "cpu1:late:1200ms"];
    let script = ["show:2", "on:2", "show:1", "on:1", "off:2", "on:2"];
    let run = Scenario { cpus: 4, faults: &faults, script: &script }.run(stand)?;
    for cpu in [1, 2] {
        run.expect_outcome(cpu, Outcome::TimedOut, NEVER_ARRIVED)?;
    }
    run.answer(0)?.expect_text("at offline, Abandoned, firmware says ON")?;
    run.answer(1)?.expect_done(ONLINE)?;
    // This one has parked meanwhile, and is kicked anew.
    run.answer(2)?.expect_text("at offline, Abandoned, firmware says OFF")?;
    run.answer(3)?.expect_done(ONLINE)?;
    run.answer(4)?.expect_done(OFFLINE)?;
    run.answer(5)?.expect_done(ONLINE)
}

/// With VHE, and a firmware that is called by SMC.
fn at_el2(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:late:1200ms", "cpu2:again:sched:starting", "cpu3:twice", "cpu4:late:1900ms"];
    let script = ["wait:300", "check:1", "check:2", "off:3", "check:3", "on:1", "on:2", "on:3", "on:4"];
    let run = Scenario { cpus: 5, faults: &faults, script: &script }.run_with(stand, |options| {
        options.entry_level = Some(2);
        options.cpu_model = Some("max".into());
    })?;
    run.booted().expect(run.report()?.entry_level == Some(2), "it should be entered at EL2")?;
    let parked = "untouched; at offline, Abandoned, firmware says OFF";
    run.answer(1)?.expect_text(parked)?;
    run.answer(2)?.expect_text("untouched; at clockevents:starting, Stuck, firmware says OFF")?;
    run.answer(3)?.expect_done(OFFLINE)?;
    run.answer(4)?.expect_text(&format!("untouched; {OFFLINE}"))?;
    (5..9).try_for_each(|on| run.answer(on)?.expect_done(ONLINE))
}

pub fn wrong_id(stand: &Stand) -> Result<(), String> {
    // That of CPU 4, which does not come, twice; one that no CPU has; the boot CPU's; and that of the kick before.
    let faults =
        ["cpu1:wrong-id:4", "cpu2:wrong-id:65535", "cpu3:wrong-id", "cpu4:refused:-6", "cpu5:stale", "cpu6:wrong-id:0"];
    let checks = ["check:1", "check:2", "check:3", "check:4", "check:5", "check:6"];
    let script = [checks, ["on:1", "on:2", "on:3", "on:4", "on:5", "on:6"]].concat();
    let run = Scenario { cpus: 8, faults: &faults, script: &script }.run(stand)?;
    for cpu in [1, 2, 3, 5, 6] {
        run.expect_outcome(cpu, Outcome::TimedOut, "never arrived (firmware says OFF)")?;
    }
    run.expect_others_online(&[1, 2, 3, 4, 5, 6])?;
    for check in 0..6 {
        run.answer(check)?.expect_text("untouched; at offline, Abandoned, firmware says OFF")?;
    }
    (6..12).try_for_each(|on| run.answer(on)?.expect_done(ONLINE))
}

fn features(stand: &Stand) -> Result<(), String> {
    let registers = [
        "ID_AA64PFR0_EL1",
        "ID_AA64PFR1_EL1",
        "ID_AA64ISAR0_EL1",
        "ID_AA64ISAR1_EL1",
        "ID_AA64MMFR0_EL1",
        "ID_AA64MMFR1_EL1",
        "CTR_EL0",
    ];
    let faults: Vec<String> =
        (1..).zip(registers).map(|(cpu, register)| format!("cpu{cpu}:features:{register}")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let run = Scenario { cpus: 9, faults: &faults, script: &[] }.run(stand)?;
    for (cpu, register) in (1..).zip(registers) {
        let found = &run.report()?.cpus[cpu];
        let named = found.reason.as_ref().is_some_and(|reason| reason.starts_with(&format!("its {register} is 0x")));
        run.booted().expect(named && found.outcome == Outcome::Online, &format!("CPU {cpu} should name {register}"))?;
    }
    run.expect_others_online(&(1..8).collect::<Vec<_>>())
}

fn vital_feature(stand: &Stand) -> Result<(), String> {
    let run = Scenario { cpus: 4, faults: &["cpu2:features"], script: &["show:2", "on:2"] }.run(stand)?;
    let found = &run.report()?.cpus[2];
    let reason = found.reason.as_deref().unwrap_or_default();
    let failed = "the startup of cpufeature:starting failed (error -22)";
    let named = reason.strip_prefix(failed).is_some_and(|register| register.starts_with(": its CNTFRQ_EL0 is 0x"));
    run.booted().expect(named && found.outcome == Outcome::Failed, "CPU 2 should not come online, and name why")?;
    run.expect_others_online(&[2])?;
    let place = "at cpu:bringup, Stuck, firmware says OFF";
    run.answer(0)?.expect_text(place)?;
    run.answer(1)?.expect(false, failed, place)
}
