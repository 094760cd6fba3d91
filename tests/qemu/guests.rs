//! Guests of the hypervisor come and go: its console, what it refuses, and what it gives back. Most of the guests are images of a few
//! instructions.

use std::path::Path;
use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::guests::GuestSpec;
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_system_tests::conversation::{Turn, converse, switch};
use reveille_system_tests::stub::Stub;
use reveille_system_tests::{Booted, Stand};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("guests_start_and_stop_again_and_again_with_memory_zeroed_and_none_lost", start_and_stop),
    ("guests_get_what_is_typed_by_turns_and_the_hypervisor_too", input),
    ("guests_go_on_while_the_console_takes_a_cpu_off_and_on", cpus_come_and_go),
    ("guests_that_cannot_be_served_are_refused_and_the_others_run", refused),
    ("guests_that_reset_themselves_are_started_again_but_not_for_ever", resets),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] =
    &[("guests_four_linux_with_8_vcpus_on_4_cpus_obey_the_hypervisors_console", four_linux)];

/// On a busy host Linux takes minutes to come up.
const LONG: Duration = Duration::from_secs(1200);

const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
/// In the memory of each guest: a word that its image does not touch by itself, and an instruction that runs for ever.
const WORD: u64 = 0x4100_0000;
const LOOP: u64 = 0x4080_0000;

/// A guest with `vcpus` that runs `image`.
fn guest(image: &Path, vcpus: u32) -> GuestSpec {
    GuestSpec { system: System::Image(image.to_owned()), vcpus, memory: 32, pins: Vec::new(), append: None }
}

/// Guest 0 that sends back what it hears, beside `guests`.
fn beside_echo(folder: &Path, guests: Vec<GuestSpec>) -> Result<BootOptions, String> {
    let echo = Stub::default().print("echo\n").echo().write(folder, "echo.Image")?;
    let Ok(stack) = format!("hypervisor,{}", echo.display()).parse::<Stack>();
    Ok(BootOptions { stack, cpus: 2, guests, ..BootOptions::default() })
}

fn talk(stand: &Stand, options: &BootOptions, turns: Vec<Turn>) -> Result<Booted, String> {
    converse(stand, &stand.built(&options.stack, &[])?, options, turns)
}

fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}

/// A guest of which one vCPU sleeps, one never yields and one is off, stopped and started ten times.
fn start_and_stop(stand: &Stand) -> Result<(), String> {
    const TIMES: usize = 10;
    let folder = folder()?;
    let image = Stub::default()
        .store(LOOP, 0x1400_0000)
        .start_cpu(1, LOOP, 0)
        .print("memory ")
        .print_and_set_lowest_bit(WORD)
        .print("\n")
        .sleep()
        .write(folder.path(), "guest.Image")?;
    let mut turns = vec![
        Turn::hear("*** Input to guest 0 (guest0)"),
        Turn::new("(d1) memory 0", switch()),
        Turn::new("*** Input to guest 1 (guest1)", switch()),
        Turn::new("*** Input to the hypervisor", "guest stop 1"),
    ];
    let is_off = "Guest 1 (guest1) is off after ";
    for _ in 0..TIMES {
        turns.extend([
            Turn::new(is_off, "guest list"),
            Turn::new("KiB of memory are free", "guest start 1"),
            Turn::new("(d1) memory 0", "guest stop 1"),
        ]);
    }
    turns.extend([
        Turn::new(is_off, "guest stop 1"),
        Turn::new("Guest 1 (guest1): it is off", "guest list"),
        Turn::new("KiB of memory are free", "exit"),
    ]);
    let booted = talk(stand, &beside_echo(folder.path(), vec![guest(&image, 3)])?, turns)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "the run should end well")?;
    let free: Vec<&str> = booted.0.console.lines().filter(|line| line.ends_with(" of memory are free")).collect();
    booted.expect(free.len() == TIMES + 1, "each list should say what is free")?;
    booted.expect(free.iter().all(|line| *line == free[0]), &format!("no memory should be lost: {free:#?}"))
}

/// Every switch, whole lines of each guest, and what is wrong with commands.
fn input(stand: &Stand) -> Result<(), String> {
    let folder = folder()?;
    let echo = Stub::default().print("here\n").echo().write(folder.path(), "guest.Image")?;
    let off = Stub::default().print("off\n").call(SYSTEM_OFF).sleep().write(folder.path(), "off.Image")?;
    let wrong: &[(&str, &str)] = &[
        ("help", "guest reset N          end guest N, and start it again"),
        ("frobnicate", "there is no command 'frobnicate'; help lists them"),
        ("guest", "guest what? list, start, stop, reset or vcpus"),
        ("guest frobnicate", "there is no command 'guest frobnicate'; help lists them"),
        ("guest stop", "guest stop takes the number of a guest"),
        ("guest stop two", "'two' is no number of a guest"),
        ("guest stop 7", "there is no guest 7; there is guest 0, 1, 2"),
        ("guest list 1", "'1' is too much; help lists the commands"),
        ("guest start 1", "Guest 1 (guest1): it runs already"),
        ("guest stop 0", "Guest 0 (guest0): the machine ends with guest 0; exit ends the run"),
        ("guest reset 2", "Guest 2 (guest2): it is off"),
        ("guest list", "    2      1    32 MiB  guest2        off: it switched itself off"),
        ("guest vcpus 2", "    2  off: it switched itself off"),
        ("guest vcpus", "    1     0  …  …ms"),
        ("guest vcpus 1", "    1     1  off"),
    ];
    let mut turns = vec![
        Turn::hear("*** Input to guest 0 (guest0); Ctrl-A three times switches it"),
        Turn::new("Guest 2 (guest2) switched itself off", "for the first"),
        Turn::new("(d0) for the first", switch()),
        // Guest 2 is off: nobody could type for it.
        Turn::new("*** Input to guest 1 (guest1)", "for the second"),
        Turn::new("(d1) for the second", "\u{1}a \u{1}\u{1}b"),
        Turn::new("(d1) \u{1}a \u{1}\u{1}b", switch()),
        Turn::new("*** Input to the hypervisor", wrong[0].0),
    ];
    turns.extend(wrong.windows(2).map(|pair| Turn::new(pair[0].1, pair[1].0)));
    turns.extend([
        Turn::new(wrong[wrong.len() - 1].1, "guest reset 1"),
        Turn::hear("Guest 1 (guest1) was reset"),
        Turn::new("Guest 1 (guest1) runs again after ", switch()),
        Turn::new("*** Input to guest 0 (guest0)", switch()),
        Turn::new("*** Input to guest 1 (guest1)", "once more"),
        Turn::new("(d1) once more", switch()),
        Turn::new("*** Input to the hypervisor", "exit"),
    ]);
    let options = beside_echo(folder.path(), vec![guest(&echo, 2), guest(&off, 1)])?;
    let booted = talk(stand, &options, turns)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "the run should end well")
}

/// Guest 1 has a vCPU that listens and one that never yields; guest 2 has one that is bound, for which its CPU stays.
fn cpus_come_and_go(stand: &Stand) -> Result<(), String> {
    let folder = folder()?;
    let listens = Stub::default().store(LOOP, 0x1400_0000).start_cpu(1, LOOP, 0).print("here\n").echo();
    let sleeps = Stub::default().print("here\n").sleep().write(folder.path(), "sleeps.Image")?;
    let bound = GuestSpec { pins: vec![1], ..guest(&sleeps, 1) };
    let guests = vec![guest(&listens.write(folder.path(), "listens.Image")?, 2), bound];
    let answers: &[(&str, &str)] = &[
        ("cpu", "cpu what? list, on or off"),
        ("cpu frobnicate", "there is no command 'cpu frobnicate'; help lists them"),
        ("cpu off", "cpu off takes the number of a CPU"),
        ("cpu off 7", "there is no CPU 7; there is CPU 0-1"),
        ("cpu off 0", "CPU 0: it cannot be taken down: cpu_can_disable: it is the boot CPU"),
        ("cpu off 1", "CPU 1: the teardown of sched:active failed (error -16); it is at sched:active"),
        ("guest stop 2", "Guest 2 (guest2) is off after "),
        ("cpu off 1", "CPU 1 is at offline (state 0) after "),
        ("cpu off 1", "CPU 1: it is at offline already"),
        ("guest vcpus 1", "    1     1  …    0  …ms"),
        ("cpu list", "  1  0x1          yes       yes      -       -       offline"),
        ("cpu on 1", "CPU 1 is at sched:active (state 10) after "),
    ];
    let mut turns = vec![
        Turn::after_all(["(d1) here", "(d2) here"].map(String::from), switch()),
        Turn::new("*** Input to guest 1 (guest1)", switch()),
        Turn::new("*** Input to guest 2 (guest2)", switch()),
        Turn::new("*** Input to the hypervisor", answers[0].0),
    ];
    turns.extend(answers.windows(2).map(|pair| Turn::new(pair[0].1, pair[1].0)));
    turns.extend([
        Turn::new(answers[answers.len() - 1].1, switch()),
        Turn::new("*** Input to guest 0 (guest0)", switch()),
        Turn::new("*** Input to guest 1 (guest1)", "still here"),
        Turn::new("(d1) still here", switch()),
        Turn::new("*** Input to the hypervisor", "exit"),
    ]);
    let booted = talk(stand, &beside_echo(folder.path(), guests)?, turns)?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "the run should end well")
}

/// Two of four cannot be: one asks for too little memory, one for less than its kernel needs.
fn refused(stand: &Stand) -> Result<(), String> {
    let folder = folder()?;
    let here = Stub::default().print("here\n").sleep().write(folder.path(), "here.Image")?;
    let large = Stub::default().needs(64 << 20).sleep().write(folder.path(), "large.Image")?;
    let little = GuestSpec { memory: 16, ..guest(&here, 1) };
    let reason = "Guest 2 (guest2): it is refused: its kernel needs 67108864 bytes, 0 its ramdisk and 2097152 its devicetree, which do not \
                  fit into 32768 KiB of memory";
    let turns = vec![
        Turn::hear(
            "Guest 1 (guest1): it is refused: it asks for 16384 KiB of memory, and 32768 KiB is the least that is given",
        ),
        Turn::hear(reason),
        Turn::new("(d3) here", switch()),
        // Of those that are refused nobody gets the input.
        Turn::new("*** Input to guest 3 (guest3)", switch()),
        Turn::new("*** Input to the hypervisor", "guest start 2"),
        Turn::new(reason, "guest list"),
        Turn::hear("    1      0     0 MiB  guest1        refused: it asks for 16384 KiB of memory"),
        Turn::new("    3      1    32 MiB  guest3        on", "exit"),
    ];
    let guests = vec![little, guest(&large, 1), guest(&here, 1)];
    let booted = talk(stand, &beside_echo(folder.path(), guests)?, turns)?;
    booted.expect(booted.0.verdict != Verdict::AllOnline, "a run without all of its guests is no success")
}

/// It is off when it has reset itself too often, can be started by hand, and the run ends with failure.
fn resets(stand: &Stand) -> Result<(), String> {
    let folder = folder()?;
    let image = Stub::default().print("here\n").call(SYSTEM_RESET).sleep().write(folder.path(), "guest.Image")?;
    let too_often = "Guest 1 (guest1) reset itself 6 times, each within 60 s of its start, and is not started again";
    let again = "Guest 1 (guest1) reset itself, and is started again";
    let mut turns: Vec<Turn> = (0..5).map(|_| Turn::hear(again)).collect();
    turns.extend([
        Turn::new(too_often, switch()),
        Turn::new("*** Input to the hypervisor", "guest start 1"),
        Turn::hear(again),
        Turn::new(too_often, "guest list"),
        Turn::new("    1      1    32 MiB  guest1        off: it reset itself", "exit"),
    ]);
    let booted = talk(stand, &beside_echo(folder.path(), vec![guest(&image, 1)])?, turns)?;
    booted.expect(booted.0.verdict != Verdict::AllOnline, "a guest that is given up is no success")?;
    let begun = booted.0.console.lines().filter(|line| *line == "(d1) here").count();
    booted.expect(begun == 12, &format!("it should have begun 12 times, not {begun} times"))
}

/// All come to user space; one is stopped and started, one is reset, and one's shell answers.
fn four_linux(stand: &Stand) -> Result<(), String> {
    let Ok(stack) = "hypervisor,linux".parse::<Stack>();
    let guests = [2, 1, 1].map(|vcpus| format!("linux:vcpus={vcpus},memory=256M,append=reveille.shell=1").parse());
    let options = BootOptions {
        stack,
        cpus: 4,
        guests: guests.into_iter().collect::<Result<_, _>>()?,
        append: Some("-- reveille.shell=1".into()),
        timeout: Some(LONG),
        ..BootOptions::default()
    };
    let all = [
        "(d0)…reveille: online 0-3",
        "(d1)…reveille: online 0-1",
        "(d2)…reveille: online 0",
        "(d3)…reveille: online 0",
    ];
    let ready = |guest: usize| format!("(d{guest})…reveille: ready");
    let turns = vec![
        Turn::after_all(all.map(String::from).into_iter().chain((0..4).map(ready)), switch()),
        Turn::new("*** Input to guest 1 (guest1)", "echo said-$((40 + 2))"),
        Turn::new("(d1) said-42", switch()),
        Turn::new("*** Input to guest 2 (guest2)", switch()),
        Turn::new("*** Input to guest 3 (guest3)", switch()),
        Turn::new("*** Input to the hypervisor", "guest list"),
        Turn::new("KiB of memory are free", "guest stop 2"),
        Turn::new("Guest 2 (guest2) is off after ", "guest start 2"),
        Turn::new(ready(2), "guest reset 3"),
        Turn::new(ready(3), "guest vcpus"),
        Turn::new("    3     0  ", switch()),
        Turn::new("*** Input to guest 0 (guest0)", "echo still-$((40 + 2)); exit"),
        Turn::hear("(d0) still-42"),
        Turn::hear("Guest 0 (guest0) switched itself off"),
    ];
    let booted = talk(stand, &options, turns)?;
    let crashed = booted.0.console.lines().find(|line| line.contains("panic") && !line.contains("panic=-1"));
    booted.expect(crashed.is_none(), "no guest should crash")
}
