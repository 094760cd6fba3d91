//! Firmware that misbehaves as its options say, and what the kernel makes of it.

use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::policy::Policy;
use reveille_cli::report::Outcome;
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;
use reveille_sim::fault::FaultError;
use reveille_system_tests::Stand;
use reveille_system_tests::misbehaving::{DEADLINE, Misbehaved, SLACK, Scenario, psci_codes};

use crate::Test;
use crate::faults::{OFFLINE, ONLINE};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("firmware_fault_row_54_dead_cpus_cost_one_deadline_and_are_named", dead),
    ("firmware_fault_power_up_takes_its_time_for_all_cpus_at_once", power_up),
    ("firmware_fault_row_55_a_late_cpu_is_given_up_and_as_late_again", late),
    ("firmware_fault_row_54_every_code_is_named", refused),
    ("firmware_fault_a_refused_cpu_that_starts_all_the_same_parks", refused_yet_starts),
    ("firmware_fault_calls_that_are_dropped_leave_cpus_off", dropped),
    ("firmware_fault_row_25_a_cpu_whose_cpu_off_is_denied_is_brought_back", off_denied),
    ("firmware_fault_row_26_a_cpu_that_stays_on_is_named_and_comes_again_later", stays_on),
    ("firmware_fault_affinity_info_that_lies_is_what_is_reported", lies),
    ("firmware_says_which_option_it_does_not_have_and_boots_nothing", unknown),
];

/// How long a wait for nothing takes here, beside its deadline: the firmware takes instructions, too.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Boots the kernel with its script on firmware with these faults.
fn run<'a>(stand: &'a Stand, cpus: u32, faults: &[&str], script: &[&str]) -> Result<Misbehaved<'a>, String> {
    run_with(stand, cpus, faults, script, |_| ())
}

fn run_with<'a>(
    stand: &'a Stand,
    cpus: u32,
    faults: &[&str],
    script: &[&str],
    change: impl FnOnce(&mut BootOptions),
) -> Result<Misbehaved<'a>, String> {
    let faults = faults.iter().map(|fault| fault.parse()).collect::<Result<_, FaultError>>();
    let faults = faults.map_err(|error| error.to_string())?;
    Scenario { cpus, faults: &[], script }.run_with(stand, |options| {
        options.stack = Stack::firmware(System::Kernel);
        options.faults = faults;
        change(options);
    })
}

fn dead(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 5, &["cpu1:dead", "cpu2:dead", "cpu4:dead"], &["off:3", "on:3", "show:1"])?;
    for cpu in [1, 2, 4] {
        run.expect_outcome(cpu, Outcome::TimedOut, "never arrived (firmware says ON_PENDING)")?;
    }
    run.expect_others_online(&[1, 2, 4])?;
    let waited = run.waited()?;
    run.booted().expect((DEADLINE..DEADLINE + SLACK).contains(&waited), "three dead CPUs should cost one deadline")?;
    run.answer(0)?.expect_done(OFFLINE)?;
    run.answer(1)?.expect_done(ONLINE)?;
    run.answer(2)?.expect_text("at offline, Abandoned, firmware says ON_PENDING")
}

fn power_up(stand: &Stand) -> Result<(), String> {
    let (power_up, cpus) = (Duration::from_millis(20), 8);
    let parallel = run(stand, cpus, &["all:power-up:20ms"], &["off:2", "on:2"])?;
    parallel.expect_others_online(&[])?;
    let waited = parallel.waited()?;
    let once = power_up - MILLISECOND..2 * power_up;
    parallel.booted().expect(once.contains(&waited), &format!("all should wait once, not {waited:?}"))?;
    parallel.answer(1)?.expect_done(ONLINE)?;
    let one_by_one = |options: &mut BootOptions| options.policy = Policy::Serial;
    let serial = run_with(stand, cpus, &["all:power-up:20ms"], &[], one_by_one)?;
    serial.expect_others_online(&[])?;
    let took = Duration::from_nanos(serial.report()?.bringup_ns);
    serial.booted().expect(took >= 7 * power_up, &format!("one by one each should wait, not {took:?} in all"))
}

fn late(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 4, &["cpu2:late:1300ms"], &["show:2", "wait:400", "on:2"])?;
    run.expect_outcome(2, Outcome::TimedOut, "never arrived (firmware says ON_PENDING)")?;
    run.expect_others_online(&[2])?;
    run.answer(0)?.expect_text("at offline, Abandoned, firmware says ON_PENDING")?;
    // It has come and gone. It is as late again, and is given up again.
    run.answer(2)?.expect(
        false,
        "never arrived (firmware says ON_PENDING)",
        "at offline, Abandoned, firmware says ON_PENDING",
    )
}

fn refused(stand: &Stand) -> Result<(), String> {
    let faults: Vec<String> =
        (1..).zip(psci_codes()).map(|(cpu, (code, _))| format!("cpu{cpu}:refused:{code}")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let run = run(stand, 12, &faults, &["show:1", "on:6"])?;
    for (cpu, (code, name)) in (1..).zip(psci_codes()) {
        run.expect_outcome(cpu, Outcome::Failed, &format!("CPU_ON: {name} ({code})"))?;
    }
    run.expect_others_online(&(1..11).collect::<Vec<_>>())?;
    let place = "at offline, Abandoned, firmware says OFF";
    run.answer(0)?.expect_text(place)?;
    run.answer(1)?.expect(false, "CPU_ON: INTERNAL_FAILURE (-6)", place)
}

fn refused_yet_starts(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 4, &["cpu2:refused-yet-starts:-6"], &["show:2", "off:3"])?;
    run.expect_outcome(2, Outcome::Failed, "CPU_ON: INTERNAL_FAILURE (-6)")?;
    run.expect_others_online(&[2])?;
    run.answer(0)?.expect_text("at offline, Abandoned, firmware says OFF")?;
    run.answer(1)?.expect_done(OFFLINE)
}

/// Those that are kicked one at a time come.
fn dropped(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 4, &["all:dropped:100ms"], &["on:2", "wait:200", "on:3"])?;
    run.expect_outcome(1, Outcome::Online, "")?;
    for cpu in [2, 3] {
        run.expect_outcome(cpu, Outcome::TimedOut, "never arrived (firmware says OFF)")?;
    }
    run.answer(0)?.expect_done(ONLINE)?;
    run.answer(2)?.expect_done(ONLINE)
}

fn off_denied(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 4, &["cpu2:off-denied:-3"], &["off:2", "off:1", "on:1"])?;
    run.expect_others_online(&[])?;
    run.answer(0)?.expect(false, "CPU_OFF: DENIED (-3): it is on, and was brought back", ONLINE)?;
    run.answer(1)?.expect_done(OFFLINE)?;
    run.answer(2)?.expect_done(ONLINE)
}

fn stays_on(stand: &Stand) -> Result<(), String> {
    let run = run(stand, 4, &["cpu2:stays-on:1500ms"], &["off:2", "wait:1000", "show:2", "on:2"])?;
    let dead = "at cpu:bringup, Dead, firmware says ON";
    run.answer(0)?.expect(false, "it does not go off (firmware says ON)", dead)?;
    run.answer(2)?.expect_text("at cpu:bringup, Dead, firmware says OFF")?;
    run.answer(3)?.expect_done(ONLINE)
}

fn lies(stand: &Stand) -> Result<(), String> {
    let faults = ["cpu1:dead", "cpu1:lies:OFF", "cpu2:lies:ON"];
    let run = run(stand, 4, &faults, &["off:2", "off:3"])?;
    run.expect_outcome(1, Outcome::TimedOut, "never arrived (firmware says OFF)")?;
    run.expect_others_online(&[1])?;
    let dead = "at cpu:bringup, Dead, firmware says ON";
    run.answer(0)?.expect(false, "it does not go off (firmware says ON)", dead)?;
    run.answer(1)?.expect_done(OFFLINE)
}

fn unknown(stand: &Stand) -> Result<(), String> {
    // The command would refuse it.
    let arguments = ["-fw_cfg", "name=opt/reveille/firmware,string=fault=cpu7:dead"].map(str::to_owned).to_vec();
    let options = BootOptions { stack: Stack::firmware(System::Kernel), qemu_arguments: arguments, ..stand.cpus(4) };
    let booted = stand.boot(&options)?;
    let sentence = "firmware: an option cannot be had: fault=cpu7:dead: the machine has no such CPU";
    booted.expect(booted.0.console.lines().any(|line| line == sentence), sentence)?;
    booted.expect(matches!(booted.0.verdict, Verdict::Died(_)), "nothing is booted")
}
