//! QEMU's malta with MIPS CPUs and a boot ROM of our own, which offers CFE: the same kernel, and much of what is tested on arm64.

use std::time::Duration;

use reveille_cli::report::Outcome;
use reveille_system_tests::Stand;
use reveille_system_tests::misbehaving::{DEADLINE, SLACK, Scenario};

use crate::faults::{OFFLINE, ONLINE, arrival, departure, steps};
use crate::{Test, boots, command, console, hotplug};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("malta_1_cpu", |stand| detected(stand, 1)),
    ("malta_2_cpus", |stand| detected(stand, 2)),
    ("malta_4_cpus", |stand| detected(stand, 4)),
    ("malta_8_cpus", |stand| detected(stand, 8)),
    ("malta_16_cpus", |stand| detected(stand, 16)),
    ("malta_serially_each_cpu_is_online_before_the_next_is_kicked", |stand| boots::serially(stand.malta()?)),
    ("malta_in_parallel_all_are_kicked_before_the_wait", |stand| boots::in_parallel(stand.malta()?)),
    ("malta_row_53_maxcpus_2_leaves_two_present_cpus_alone", |stand| boots::maxcpus(stand.malta()?)),
    ("malta_row_53_nosmp_leaves_the_boot_cpu_alone", |stand| boots::nosmp(stand.malta()?)),
    ("malta_row_53_nr_cpus_3_is_a_hard_cap", |stand| boots::nr_cpus(stand.malta()?)),
    ("malta_the_times_of_the_report_are_those_of_the_events", |stand| boots::times(stand.malta()?)),
    ("malta_cpus_come_and_go_by_requests_from_all_cpus", |stand| soak(stand, 4, 60)),
    ("malta_two_cpus_take_turns", |stand| soak(stand, 2, 30)),
    ("malta_the_console_takes_cpus_up_and_down_and_moves", talk),
    ("malta_exit_0_with_four_cpus_and_their_tree", well),
    ("malta_exit_4_when_the_time_is_up", timed_out),
    ("malta_exit_5_shows_what_the_rom_says_of_a_kernel_that_is_not_there", no_kernel),
    ("malta_row_54_dead_cpus_cost_one_deadline_together_and_can_be_stopped", dead),
    ("malta_row_54_a_slow_cpu_comes_up", slow),
    ("malta_row_54_every_code_with_which_cfe_refuses_is_named", refused),
    ("malta_row_54_cpus_that_stop_in_each_starting_step_are_named_and_can_be_stopped", stops),
    ("malta_row_55_a_late_cpu_parks_and_touches_nothing", |stand| arrival::late(stand.malta()?)),
    ("malta_a_cpu_whose_stop_is_denied_is_named_and_left_alone", denied),
    ("malta_a_cpu_that_takes_long_to_stop_can_come_again", slow_stop),
    ("malta_row_54_a_start_that_is_refused_and_happens_all_the_same_parks", refused_yet_starts),
    ("malta_a_cpu_that_lacks_what_the_kernel_relies_on_does_not_come_online", features),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("malta_1000_cycles", |stand| soak(stand, 4, 1_000)),
    ("malta_16_cpus_come_and_go_300_times", |stand| soak(stand, 16, 300)),
    ("malta_two_in_flight_are_never_three", |stand| boots::two_in_flight(stand.malta()?)),
    ("malta_row_54_a_failure_in_each_prepare_step_is_named_and_undone", |stand| {
        steps::fails_in_prepare(stand.malta()?)
    }),
    ("malta_row_54_a_failure_in_each_starting_step_is_named_and_undone", |stand| {
        steps::fails_in_starting(stand.malta()?)
    }),
    ("malta_row_54_a_failure_in_each_online_step_is_named_and_undone", |stand| steps::fails_in_online(stand.malta()?)),
    ("malta_row_54_a_failure_that_cannot_be_undone_stops_there", |stand| steps::cannot_be_undone(stand.malta()?)),
    ("malta_row_54_cpus_that_hang_in_each_online_step_are_named_with_it", |stand| steps::hangs(stand.malta()?)),
    ("malta_row_55_a_cpu_that_arrives_twice_parks_and_touches_nothing", |stand| steps::again(stand.malta()?)),
    ("malta_row_55_a_cpu_with_the_id_of_another_or_of_another_kick_parks", |stand| arrival::wrong_id(stand.malta()?)),
    ("malta_a_cpu_whose_hotplug_thread_is_deaf_is_named", |stand| steps::deaf(stand.malta()?)),
    ("malta_a_teardown_that_fails_is_undone_or_passed_over", |stand| departure::teardown_fails(stand.malta()?)),
    ("malta_a_teardown_that_does_not_end_is_named", |stand| departure::teardown_hangs(stand.malta()?)),
];

/// All come up, and the kernel has found as many as there are by stopping them.
fn detected(stand: &Stand, count: u32) -> Result<(), String> {
    let malta = stand.malta()?;
    let booted = malta.boot(&malta.cpus(count))?;
    let report = booted.expect_all_online(count)?;
    booted.expect(report.entry_level.is_none(), "there are no exception levels")?;
    booted.expect(report.cpus.iter().all(|cpu| cpu.lost_events == 0), "no event is lost")?;
    let detected = format!("Detected {} available secondary CPU(s)", count - 1);
    booted.expect(booted.0.console.lines().any(|line| line == detected), &detected)
}

fn soak(stand: &Stand, count: u32, cycles: u32) -> Result<(), String> {
    let malta = stand.malta()?;
    hotplug::soak(malta, cycles, malta.cpus(count))
}

/// The thread that reads the console is on CPU 1 at first.
fn talk(stand: &Stand) -> Result<(), String> {
    let session: &[console::Exchange<'_>] = &[
        ("cpu list", &["  2  0x2          yes       yes      yes     yes     ", "the console runs on CPU 1"]),
        ("cpu off 1", &["CPU 1 is at offline (state 0)"]),
        ("cpu list", &["the console runs on CPU 2"]),
        ("ipi all", &["CPU 0 was interrupted", "CPU 2 was", "CPU 3 was interrupted after "]),
        ("cpu off 2", &["CPU 2 is at offline"]),
        ("cpu on 1", &["CPU 1 is at sched:active"]),
        ("cpu off 0", &["CPU 0: it cannot be taken down: cpu_can_disable: it is the boot CPU"]),
        ("freeze", &["CPU 1,3 is frozen after "]),
        ("thaw", &["CPU 1,3 is thawed after "]),
        ("cpu on 2", &["CPU 2 is at sched:active"]),
    ];
    let malta = stand.malta()?;
    console::converse(malta, malta.cpus(4), session).map(|_| ())
}

fn reveille(arguments: &[&str]) -> Result<std::process::Output, String> {
    command::reveille(&[&["boot", "--machine", "malta", "--deadline", "10"], arguments].concat())
}

fn well(_: &Stand) -> Result<(), String> {
    let output = reveille(&["--tree"])?;
    command::expect(&output, 0, &["plat_smp_setup", "cfe_cpu_start → CPU 3", "smp_bootstrap", "4 of 4 CPUs online"])
}

fn timed_out(_: &Stand) -> Result<(), String> {
    // A machine that does not begin to run.
    command::expect(&reveille(&["--timeout", "2", "--qemu-arg", "-S"])?, 4, &["timed out"])
}

/// With half of the memory, the kernel lies behind its end.
fn no_kernel(_: &Stand) -> Result<(), String> {
    command::expect(
        &reveille(&["--qemu-arg", "-m", "--qemu-arg", "128M"])?,
        5,
        &["no program to start", "the machine died"],
    )
}

/// CFE resets CPUs that it stops, whatever they do: so they can be started again.
fn dead(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:dead", "cpu2:dead", "cpu4:dead"];
    let run =
        Scenario { cpus: 5, faults: &faults, script: &["show:1", "on:1", "off:3", "on:3"] }.run(stand.malta()?)?;
    for cpu in [1, 2, 4] {
        run.expect_outcome(cpu, Outcome::TimedOut, "never arrived (firmware cannot be asked)")?;
    }
    run.expect_others_online(&[1, 2, 4])?;
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "three dead CPUs should cost one deadline")?;
    run.answer(0)?.expect_text("at offline, Abandoned, firmware cannot be asked")?;
    run.answer(1)?.expect_done(ONLINE)?;
    run.answer(2)?.expect_done(OFFLINE)?;
    run.answer(3)?.expect_done(ONLINE)
}

/// QEMU, which lets CPUs take turns here, gives one that only looks at its clock 100 ms at a time.
fn slow(stand: &Stand) -> Result<(), String> {
    let run = Scenario { cpus: 4, faults: &["cpu1:late:500ms"], script: &[] }.run(stand.malta()?)?;
    run.expect_others_online(&[])?;
    let waited = run.waited()?;
    let expected = Duration::from_millis(390)..Duration::from_millis(710);
    run.booted().expect(expected.contains(&waited), &format!("it should decide how long it takes, not {waited:?}"))
}

/// The error without a name is what CFE says of a CPU that runs: that one is stopped, and started once more.
fn refused(stand: &Stand) -> Result<(), String> {
    let codes = [(-2, "no such command"), (-8, "invalid parameter"), (-36, "not ready"), (-77, "unknown code")];
    let mut faults: Vec<String> = (1..).zip(codes).map(|(cpu, (code, _))| format!("cpu{cpu}:refused:{code}")).collect();
    faults.push("cpu5:refused:-1".into());
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let run = Scenario { cpus: 7, faults: &faults, script: &["show:1", "on:1", "on:4"] }.run(stand.malta()?)?;
    for (cpu, (code, name)) in (1..).zip(codes) {
        run.expect_outcome(cpu, Outcome::Failed, &format!("cfe_cpu_start: {name} ({code})"))?;
    }
    run.expect_others_online(&(1..5).collect::<Vec<_>>())?;
    run.answer(0)?.expect_text("at offline, Abandoned, firmware cannot be asked")?;
    run.answer(1)?.expect_done(ONLINE)?;
    run.answer(2)?.expect_done(ONLINE)
}

fn stops(stand: &Stand) -> Result<(), String> {
    let (run, victims) = steps::in_each(stand.malta()?, "Starting", "stops", &["show", "on"])?;
    for (position, steps::Victim { cpu, step, before }) in victims.iter().enumerate() {
        let reason = format!("arrived and got stuck in {step} (firmware cannot be asked)");
        run.expect_outcome(*cpu, Outcome::Stuck, &reason)?;
        run.answer(2 * position)?.expect_text(&format!("at {before}, Stuck, firmware cannot be asked"))?;
        run.answer(2 * position + 1)?.expect_done(ONLINE)?;
    }
    Ok(())
}

/// Nobody knows whether it runs: what it owns stays its own, until it can be stopped.
fn denied(stand: &Stand) -> Result<(), String> {
    let dead = "at cpu:bringup, Dead, firmware cannot be asked";
    let refused = "it does not go off (firmware refused to say (cfe_cpu_stop: no such command (-2)))";
    let requests = [("off:2", false, refused, dead), ("off:1", true, "done", OFFLINE), ("on:2", false, refused, dead)];
    departure::run(stand.malta()?, 4, &["cpu2:no-off"], &requests)
}

fn slow_stop(stand: &Stand) -> Result<(), String> {
    let requests = [("off:2", true, "done", OFFLINE), ("on:2", true, "done", ONLINE)];
    departure::run(stand.malta()?, 4, &["cpu2:stays-on:500ms"], &requests)
}

fn refused_yet_starts(stand: &Stand) -> Result<(), String> {
    let script = ["wait:400", "check:2", "on:2", "off:2"];
    let run = Scenario { cpus: 4, faults: &["cpu2:refused-yet-starts:-8"], script: &script }.run(stand.malta()?)?;
    run.expect_outcome(2, Outcome::Failed, "cfe_cpu_start: invalid parameter (-8)")?;
    run.expect_others_online(&[2])?;
    run.answer(1)?.expect_text("untouched; at offline, Abandoned, firmware cannot be asked")?;
    run.answer(2)?.expect_done(ONLINE)?;
    run.answer(3)?.expect_done(OFFLINE)
}

fn features(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:features:PRId", "cpu2:features"];
    let run = Scenario { cpus: 4, faults: &faults, script: &["on:2"] }.run(stand.malta()?)?;
    let reason = |cpu: usize| Ok::<_, String>(run.report()?.cpus[cpu].reason.clone().unwrap_or_default());
    run.booted().expect(reason(1)?.starts_with("its PRId is 0x"), "CPU 1 should name its PRId")?;
    let failed = "the startup of cpufeature:starting failed (error -22): its Config is 0x";
    run.booted().expect(reason(2)?.starts_with(failed), "CPU 2 should not come online, and name why")?;
    run.expect_others_online(&[1, 2])
}
