//! CPUs that come to grief in a hotplug step on their way up: in each step of each section, one CPU a step.

use reveille_cli::report::Outcome;
use reveille_system_tests::Stand;
use reveille_system_tests::misbehaving::{DEADLINE, Misbehaved, SLACK, Scenario};

use super::{OFFLINE, ONLINE};
use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_54_a_failure_in_each_prepare_step_is_named_and_undone", fails_in_prepare),
    ("row_54_a_failure_in_each_starting_step_is_named_and_undone", fails_in_starting),
    ("row_54_a_failure_in_each_online_step_is_named_and_undone", fails_in_online),
    ("row_54_a_failure_that_cannot_be_undone_stops_there_and_can_be_taken_up", cannot_be_undone),
    ("row_54_cpus_that_stop_in_each_starting_step_are_named_with_it", stops),
    ("row_54_cpus_that_hang_in_each_online_step_are_named_with_it", hangs),
    ("a_panic_in_each_online_step_is_reported_and_contained", panics),
    ("row_55_a_cpu_that_arrives_twice_on_its_way_up_parks_and_touches_nothing", again),
    ("a_cpu_that_is_lost_while_it_is_online_is_named", lost),
    ("a_cpu_whose_hotplug_thread_is_deaf_is_named", deaf),
    ("row_54_cpus_that_fail_and_do_not_go_off_cost_one_deadline_together", not_off),
];

/// A step as the kernel tells it.
struct Step {
    state: u32,
    section: String,
    name: String,
}

/// The steps of the kernel, in order.
fn steps(stand: &Stand) -> Result<Vec<Step>, String> {
    let run = Scenario { cpus: 1, faults: &[], script: &["steps"] }.run(stand)?;
    let answer = run.answer(0)?;
    let read = |line: &str| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        Some(Step { state: words.next()?.parse().ok()?, section: words.next()?, name: words.next()? })
    };
    let steps: Option<Vec<Step>> = answer.text().split("; ").filter(|line| !line.is_empty()).map(read).collect();
    steps.filter(|steps| steps.len() > 5).ok_or_else(|| run.booted().complaint("the kernel should tell its steps"))
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A CPU that comes to grief.
pub struct Victim {
    pub cpu: usize,
    /// In this step.
    pub step: String,
    /// What it has passed last.
    pub before: String,
}

/// One CPU for each step of `section`.
fn victims(steps: &[Step], section: &str) -> Vec<Victim> {
    let before = |step: &Step| {
        let last = step.state.checked_sub(2).and_then(|place| steps.get(place as usize));
        last.map_or("offline".into(), |step| step.name.clone())
    };
    let of_section = steps.iter().filter(|step| step.section == section);
    (1..).zip(of_section).map(|(cpu, step)| Victim { cpu, step: step.name.clone(), before: before(step) }).collect()
}

/// A boot in which `fault` happens in each step of `section`, to one CPU each, and requests are made for each of these CPUs.
pub fn in_each<'a>(
    stand: &'a Stand,
    section: &str,
    fault: &str,
    requests: &[&str],
) -> Result<(Misbehaved<'a>, Vec<Victim>), String> {
    let victims = victims(&steps(stand)?, section);
    let faults: Vec<String> =
        victims.iter().map(|victim| format!("cpu{}:{fault}:{}", victim.cpu, victim.step)).collect();
    let script: Vec<String> = victims
        .iter()
        .flat_map(|victim| requests.iter().map(move |request| format!("{request}:{}", victim.cpu)))
        .collect();
    // One more comes up.
    let cpus = victims.len() as u32 + 2;
    let run = Scenario { cpus, faults: &texts(&faults), script: &texts(&script) }.run(stand)?;
    run.expect_others_online(&(1..=victims.len()).collect::<Vec<_>>())?;
    Ok((run, victims))
}

pub fn fails_in_prepare(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Prepare", "fails", &["show", "on"])?;
    for (position, Victim { cpu, step, .. }) in victims.iter().enumerate() {
        run.expect_outcome(*cpu, Outcome::Failed, &format!("{step}: its startup failed (-5)"))?;
        run.answer(2 * position)?.expect_text(OFFLINE)?;
        run.answer(2 * position + 1)?.expect_done(ONLINE)?;
    }
    Ok(())
}

/// The CPU has switched itself off. What it owns stays its own until the next request finds it off.
pub fn fails_in_starting(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Starting", "fails", &["show", "on"])?;
    for (position, Victim { cpu, step, .. }) in victims.iter().enumerate() {
        run.expect_outcome(*cpu, Outcome::Failed, &format!("the startup of {step} failed (error -5)"))?;
        run.answer(2 * position)?.expect_text("at cpu:bringup, Stuck, firmware says OFF")?;
        run.answer(2 * position + 1)?.expect_done(ONLINE)?;
    }
    let waited = run.waited()?;
    run.booted().expect(waited < DEADLINE / 2, "CPUs that say that they cannot come should not be waited for")
}

pub fn fails_in_online(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Online", "fails", &["show", "on"])?;
    for (position, Victim { cpu, step, .. }) in victims.iter().enumerate() {
        run.expect_outcome(*cpu, Outcome::Failed, &format!("the startup of {step} failed (error -5)"))?;
        run.answer(2 * position)?.expect_text(OFFLINE)?;
        run.answer(2 * position + 1)?.expect_done(ONLINE)?;
    }
    let waited = run.waited()?;
    run.booted().expect(waited < DEADLINE / 2, "CPUs that say that they cannot come should not be waited for")
}

pub fn cannot_be_undone(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:fails:boot_record:prepare", "cpu1:fails-down:smpboot/threads:prepare"];
    let run = Scenario { cpus: 3, faults: &faults, script: &["show:1", "on:1"] }.run(stand)?;
    run.expect_outcome(1, Outcome::Failed, "boot_record:prepare: its startup failed (-5)")?;
    run.expect_others_online(&[1])?;
    run.answer(0)?.expect_text("at smpboot/threads:prepare, Offline, firmware says OFF")?;
    run.answer(1)?.expect_done(ONLINE)
}

/// They hold what was prepared for them, for ever.
fn stops(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Starting", "stops", &["show", "on"])?;
    for (position, Victim { cpu, step, before }) in victims.iter().enumerate() {
        let reason = format!("arrived and got stuck in {step} (firmware says ON)");
        run.expect_outcome(*cpu, Outcome::Stuck, &reason)?;
        let place = format!("at {before}, Stuck, firmware says ON");
        run.answer(2 * position)?.expect_text(&place)?;
        run.answer(2 * position + 1)?.expect(false, "it does not go off (firmware says ON)", &place)?;
    }
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "they should cost one deadline together")
}

/// They take interrupts and threads meanwhile.
pub fn hangs(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Online", "stops", &["show", "off"])?;
    expect_hung(&run, &victims)
}

/// As if the step hung: nothing more is done by the thread that it took with it.
fn panics(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Online", "panics", &["show", "off"])?;
    for Victim { cpu, step, .. } in &victims {
        let says = |line: &str| {
            line.starts_with(&format!("CPU {cpu}: the thread cpuhp panicked at"))
                && line.ends_with(&format!("as it was told to in {step}"))
        };
        run.booted().expect(run.booted().0.console.lines().any(says), &format!("CPU {cpu} should tell its panic"))?;
    }
    expect_hung(&run, &victims)
}

fn expect_hung(run: &Misbehaved<'_>, victims: &[Victim]) -> Result<(), String> {
    for (position, Victim { cpu, step, before }) in victims.iter().enumerate() {
        run.expect_outcome(*cpu, Outcome::Stuck, &format!("online, and has not come past {step}"))?;
        let place = format!("at {before}, Online, firmware says ON");
        run.answer(2 * position)?.expect_text(&place)?;
        let busy = format!("it is still at work on an earlier request, at {step}");
        run.answer(2 * position + 1)?.expect(false, &busy, &place)?;
    }
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "they should cost one deadline together")
}

/// It loses its claim, and switches itself off.
pub fn again(stand: &Stand) -> Result<(), String> {
    let (run, victims) = in_each(stand, "Starting", "again", &["check", "on"])?;
    for (position, Victim { cpu, step, before }) in victims.iter().enumerate() {
        let reason = format!("arrived and got stuck in {step} (firmware says OFF)");
        run.expect_outcome(*cpu, Outcome::Stuck, &reason)?;
        run.answer(2 * position)?.expect_text(&format!("untouched; at {before}, Stuck, firmware says OFF"))?;
        run.answer(2 * position + 1)?.expect_done(ONLINE)?;
    }
    Ok(())
}

/// A CPU that others count on is gone: they say so by their deadlines, and go on.
fn lost(stand: &Stand) -> Result<(), String> {
    let script = ["check:2", "off:1", "on:1"];
    let run = Scenario { cpus: 4, faults: &["cpu2:again:sched:active"], script: &script }.run_unproven(stand)?;
    run.expect_outcome(2, Outcome::Stuck, "online, and has not come past sched:active")?;
    run.expect_others_online(&[2])?;
    run.answer(0)?.expect_text("untouched; at lockup_detector:online, Online, firmware says OFF")?;
    run.answer(1)?.expect_done(OFFLINE)?;
    run.answer(2)?.expect_done(ONLINE)?;
    let proofs = &run.report()?.proofs;
    let details: Vec<&str> = proofs[proofs.len() - 3..].iter().map(|proof| proof.detail.as_str()).collect();
    let expected = ["no answer from CPU 2", "timer interrupts are missing on CPU 2", "no result from CPU 2"];
    run.booted().expect(details == expected, "CPU 2 and no other should be missed")
}

/// The CPU takes interrupts and threads.
pub fn deaf(stand: &Stand) -> Result<(), String> {
    let script = ["show:2", "off:2", "on:2", "off:1"];
    let run = Scenario { cpus: 3, faults: &["cpu2:deaf"], script: &script }.run(stand)?;
    run.expect_outcome(2, Outcome::Stuck, "online, and has not come past ap:online")?;
    run.expect_others_online(&[2])?;
    let place = "at ap:online, Online, firmware says ON";
    run.answer(0)?.expect_text(place)?;
    run.answer(1)?.expect(false, "its hotplug thread does not answer", place)?;
    run.answer(2)?.expect(false, "its hotplug thread does not answer", place)?;
    run.answer(3)?.expect_done(OFFLINE)
}

/// What failed up must go down, and these do not.
fn not_off(stand: &Stand) -> Result<(), String> {
    let faults = [
        "cpu1:fails:sched:active",
        "cpu1:stays-on:1000s",
        "cpu2:fails:workqueue:online",
        "cpu2:stays-on:1000s",
        "cpu3:fails:sched:active",
        "cpu3:off-denied:-3",
        "cpu4:fails:sched:starting",
        "cpu4:off-denied:-1",
    ];
    let script = ["show:1", "show:2", "show:3", "show:4", "on:3", "on:1", "on:4"];
    let run = Scenario { cpus: 6, faults: &faults, script: &script }.run(stand)?;
    for (cpu, step) in [(1, "sched:active"), (2, "workqueue:online"), (3, "sched:active"), (4, "sched:starting")] {
        run.expect_outcome(cpu, Outcome::Failed, &format!("the startup of {step} failed (error -5)"))?;
    }
    run.expect_others_online(&[1, 2, 3, 4])?;
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "they should cost one deadline together")?;
    let (dead, stuck) = ("at cpu:bringup, Dead, firmware says ON", "at cpu:bringup, Stuck, firmware says ON");
    run.answer(0)?.expect_text(dead)?;
    run.answer(1)?.expect_text(dead)?;
    run.answer(2)?.expect_text("at ap:online, Online, firmware says ON")?;
    run.answer(3)?.expect_text(stuck)?;
    run.answer(4)?.expect_done(ONLINE)?;
    run.answer(5)?.expect(false, "it does not go off (firmware says ON)", dead)?;
    run.answer(6)?.expect(false, "it does not go off (firmware says ON)", stuck)
}
