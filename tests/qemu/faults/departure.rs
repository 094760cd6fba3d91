//! CPUs that do not go off, or not all the way.

use reveille_system_tests::Stand;
use reveille_system_tests::misbehaving::Scenario;

use super::{OFFLINE, ONLINE};
use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_25_a_cpu_whose_cpu_off_is_denied_is_brought_back", denied),
    ("row_26_a_cpu_that_says_off_and_is_not_is_named_and_left_alone", ignored),
    ("row_26_a_cpu_that_goes_off_late_can_come_again", late),
    ("row_35_a_cpu_that_cannot_be_switched_off_stays", no_off),
    ("row_55_a_cpu_that_arrives_again_after_cpu_off_parks_and_touches_nothing", again),
    ("a_freeze_that_one_cpu_denies_is_taken_back", freeze),
    ("a_teardown_that_fails_is_undone_or_passed_over", teardown_fails),
    ("a_teardown_that_does_not_end_is_named", teardown_hangs),
];

/// The requests of a script that begins with all CPUs online.
pub fn run(stand: &Stand, cpus: u32, faults: &[&str], requests: &[(&str, bool, &str, &str)]) -> Result<(), String> {
    let script: Vec<&str> = requests.iter().map(|(request, ..)| *request).collect();
    let run = Scenario { cpus, faults, script: &script }.run(stand)?;
    run.expect_others_online(&[])?;
    for (position, (_, passed, result, place)) in requests.iter().enumerate() {
        run.answer(position)?.expect(*passed, result, place)?;
    }
    Ok(())
}

fn denied(stand: &Stand) -> Result<(), String> {
    let back = "CPU_OFF: DENIED (-3): it is on, and was brought back";
    let requests = [
        ("off:2", false, back, ONLINE),
        ("off:1", true, "done", OFFLINE),
        ("off:2", true, "done", OFFLINE),
        ("on:2", true, "done", ONLINE),
    ];
    run(stand, 4, &["cpu2:off-denied:-3"], &requests)
}

/// What it owns stays its own.
fn ignored(stand: &Stand) -> Result<(), String> {
    let (dead, not_off) = ("at cpu:bringup, Dead, firmware says ON", "it does not go off (firmware says ON)");
    let requests = [
        ("off:2", false, not_off, dead),
        ("on:2", false, not_off, dead),
        ("off:3", true, "done", OFFLINE),
        ("on:3", true, "done", ONLINE),
        ("off:2", false, not_off, dead),
    ];
    run(stand, 4, &["cpu2:stays-on:1000s"], &requests)
}

fn late(stand: &Stand) -> Result<(), String> {
    let script = ["off:2", "wait:1000", "show:2", "on:2", "off:2"];
    let run = Scenario { cpus: 4, faults: &["cpu2:stays-on:1500ms"], script: &script }.run(stand)?;
    run.answer(0)?.expect(false, "it does not go off (firmware says ON)", "at cpu:bringup, Dead, firmware says ON")?;
    run.answer(2)?.expect_text("at cpu:bringup, Dead, firmware says OFF")?;
    run.answer(3)?.expect_done(ONLINE)?;
    run.answer(4)?.expect_done(OFFLINE)
}

fn no_off(stand: &Stand) -> Result<(), String> {
    let refused = "it cannot be taken down: MIGRATE_INFO_UP_CPU: a trusted OS lives on it";
    let requests =
        [("off:2", false, refused, ONLINE), ("off:1", true, "done", OFFLINE), ("off:2", false, refused, ONLINE)];
    run(stand, 4, &["cpu2:no-off"], &requests)
}

fn again(stand: &Stand) -> Result<(), String> {
    let script = ["off:2", "check:2", "on:2", "off:2"];
    let run = Scenario { cpus: 3, faults: &["cpu2:twice"], script: &script }.run(stand)?;
    run.answer(0)?.expect_done(OFFLINE)?;
    run.answer(1)?.expect_text(&format!("untouched; {OFFLINE}"))?;
    run.answer(2)?.expect_done(ONLINE)?;
    run.answer(3)?.expect_done(OFFLINE)
}

fn freeze(stand: &Stand) -> Result<(), String> {
    let script = ["freeze", "show:1", "show:2", "show:3", "freeze", "show:2", "thaw", "show:2"];
    let run = Scenario { cpus: 4, faults: &["cpu2:off-denied:-3"], script: &script }.run(stand)?;
    run.answer(0)?.expect_text("CPU 2: CPU_OFF: DENIED (-3): it is on, and was brought back")?;
    (1..4).try_for_each(|show| run.answer(show)?.expect_text(ONLINE))?;
    run.answer(5)?.expect_text(OFFLINE)?;
    run.answer(7)?.expect_text(ONLINE)
}

/// That of an ONLINE step leaves the CPU up, that of a PREPARE step has it brought back, that of a STARTING step must not fail.
pub fn teardown_fails(stand: &Stand) -> Result<(), String> {
    let faults = [
        "cpu1:fails-down:sched:active",
        "cpu2:fails-down:workqueue:online",
        "cpu3:fails-down:irqchip:starting",
        "cpu4:fails-down:smpboot/threads:prepare",
    ];
    let requests = [
        ("off:1", false, "the teardown of sched:active failed (error -5)", ONLINE),
        ("off:2", false, "the teardown of workqueue:online failed (error -5)", ONLINE),
        ("off:3", true, "done, though the teardown of irqchip:starting failed (error -5)", OFFLINE),
        ("off:4", false, "the teardown of smpboot/threads:prepare failed (error -5)", ONLINE),
        ("off:1", true, "done", OFFLINE),
        ("off:2", true, "done", OFFLINE),
        ("off:4", true, "done", OFFLINE),
        ("on:3", true, "done", ONLINE),
        ("on:2", true, "done", ONLINE),
    ];
    run(stand, 6, &faults, &requests)
}

pub fn teardown_hangs(stand: &Stand) -> Result<(), String> {
    let faults =
        ["cpu1:stops-down:sched:active", "cpu2:panics-down:workqueue:online", "cpu3:stops-down:sched:starting"];
    let requests = [
        ("off:1", false, "it has not come past sched:active by the deadline", ONLINE),
        (
            "off:2",
            false,
            "it has not come past workqueue:online by the deadline",
            "at workqueue:online, Online, firmware says ON",
        ),
        (
            "off:3",
            false,
            "it has not come past sched:starting by the deadline",
            "at sched:starting, Online, firmware says ON",
        ),
        ("on:1", false, "it is still at work on an earlier request, at sched:active", ONLINE),
        (
            "on:2",
            false,
            "it is still at work on an earlier request, at workqueue:online",
            "at workqueue:online, Online, firmware says ON",
        ),
        ("off:4", true, "done", OFFLINE),
        ("on:4", true, "done", ONLINE),
    ];
    run(stand, 6, &faults, &requests)
}
