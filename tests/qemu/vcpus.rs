//! vCPUs and the CPUs of the machine: what share each vCPU gets, which stay on one CPU, and CPUs that go and come back under guests.

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::stack::Stack;
use reveille_cli::verdict::Verdict;
use reveille_system_tests::{Booted, PATIENCE, Stand};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("vcpus_of_four_guests_get_even_shares_of_half_as_many_cpus", even_shares),
    ("vcpus_that_are_bound_to_a_cpu_have_it_stay", bound_to_a_cpu),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("vcpus_three_on_two_cpus_get_two_thirds_each", uneven_shares),
    ("vcpus_that_are_bound_share_their_cpu_and_leave_the_others_to_the_rest", bound_shares),
    ("vcpus_row_26_cpus_go_and_come_back_1000_times_under_two_linux_that_work", soak),
];

/// How long shares are measured, in milliseconds of virtual time.
const MEASURED: u32 = 10_000;
/// On a busy host a minute of the guests' may take ten.
const LONG: Duration = Duration::from_secs(1_200);
/// How often CPUs go.
const CYCLES: u32 = 1_000;
/// The longest that a nap of five hundredths of a second may take where two cores emulate four, in hundredths. One whose timer
/// was lost does not end.
const LONGEST_NAP: u32 = 1_000;

/// The part of a CPU that each vCPU had, by guest and vCPU.
type Shares = BTreeMap<(u32, u32), f64>;

/// Guest 0 is our kernel, with as many vCPUs as the machine has CPUs.
fn options(cpus: u32, guests: &[&str], own: &str, words: &str) -> Result<BootOptions, String> {
    let Ok(stack) = "hypervisor,kernel".parse::<Stack>();
    let guests = guests.iter().map(|guest| guest.parse()).collect::<Result<_, String>>()?;
    let append = Some(format!("{own} -- {words}"));
    Ok(BootOptions {
        stack,
        cpus,
        guests,
        append,
        timeout: Some(LONG),
        deadline: Some(PATIENCE),
        ..BootOptions::default()
    })
}

/// Boots guests that spin, by virtual time, and returns what their vCPUs had.
fn shares(stand: &Stand, cpus: u32, guests: &[&str]) -> Result<(Booted, Shares), String> {
    let own = format!("reveille.shares={MEASURED}");
    let icount = vec!["-icount".into(), "shift=4".into()];
    let options = BootOptions { qemu_arguments: icount, ..options(cpus, guests, &own, "reveille.spin=1")? };
    let booted = stand.boot(&options)?;
    let shares = booted.0.console.lines().filter_map(share).collect();
    Ok((booted, shares))
}

/// `shares: guest 0 vCPU 1: 5003 of 10000 ms`.
fn share(line: &str) -> Option<((u32, u32), f64)> {
    let words: Vec<&str> =
        line.strip_prefix("shares: guest ")?.split([' ', ':']).filter(|word| !word.is_empty()).collect();
    let ["vCPU", vcpu, ran, "of", all, "ms"] = words[1..] else { return None };
    let (ran, all): (f64, f64) = (ran.parse().ok()?, all.parse().ok()?);
    Some(((words[0].parse().ok()?, vcpu.parse().ok()?), ran / all))
}

/// Each guest's vCPUs should have had this part of a CPU, give or take a tenth of it.
fn expect_shares(booted: &Booted, shares: &Shares, expected: &[(u32, u32, f64)]) -> Result<(), String> {
    let vcpus: usize = expected.iter().map(|&(_, vcpus, _)| vcpus as usize).sum();
    booted.expect(shares.len() == vcpus, &format!("{vcpus} vCPUs should have been measured: {shares:?}"))?;
    for &(guest, vcpus, share) in expected {
        for vcpu in 0..vcpus {
            let had = shares.get(&(guest, vcpu)).copied().unwrap_or(0.0);
            let is_fair = (had - share).abs() <= share / 10.0;
            booted.expect(
                is_fair,
                &format!("vCPU {vcpu} of guest {guest} should have {share:.3} of a CPU: {shares:?}"),
            )?;
        }
    }
    Ok(())
}

fn even_shares(stand: &Stand) -> Result<(), String> {
    let (booted, shares) = shares(
        stand,
        4,
        &[
            "kernel:vcpus=2,memory=64M,append=reveille.spin=1",
            "kernel:vcpus=1,memory=64M,append=reveille.spin=1",
            "kernel:vcpus=1,memory=64M,append=reveille.spin=1",
        ],
    )?;
    expect_shares(&booted, &shares, &[(0, 4, 0.5), (1, 2, 0.5), (2, 1, 0.5), (3, 1, 0.5)])
}

fn uneven_shares(stand: &Stand) -> Result<(), String> {
    let (booted, shares) = shares(stand, 2, &["kernel:vcpus=1,memory=64M,append=reveille.spin=1"])?;
    expect_shares(&booted, &shares, &[(0, 2, 2.0 / 3.0), (1, 1, 2.0 / 3.0)])
}

/// Were they not bound, each of the seven would have 3/7 of a CPU.
fn bound_shares(stand: &Stand) -> Result<(), String> {
    let (booted, shares) = shares(stand, 3, &["kernel:vcpus=4,pin=2+2+2+2,memory=64M,append=reveille.spin=1"])?;
    expect_shares(&booted, &shares, &[(0, 3, 2.0 / 3.0), (1, 4, 0.25)])
}

fn bound_to_a_cpu(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&options(2, &["kernel:pin=1,memory=64M"], "reveille.soak=1", "reveille.soak=100")?)?;
    booted.expect(booted.0.verdict != Verdict::AllOnline, "a CPU that does not go should be a failure")?;
    says(&booted, "CPU 1: it stays, since a vCPU is bound to it")?;
    says(&booted, "soak: CPU 1: the teardown of sched:active failed")?;
    says(&booted, "2 of 2 CPUs active in the end; 1 failures")
}

fn says(booted: &Booted, line: &str) -> Result<(), String> {
    let said = booted.0.console.lines().any(|said| said.contains(line));
    booted.expect(said, &format!("the console should say: {line}"))
}

/// Two Linux nap on all their vCPUs while CPUs go, and end well.
fn soak(stand: &Stand) -> Result<(), String> {
    let Ok(stack) = "hypervisor,linux".parse::<Stack>();
    let guests = ["linux:vcpus=2,memory=256M,append=reveille.work=1"];
    let own = format!("reveille.soak={CYCLES}");
    let booted = stand.boot(&BootOptions { stack, ..options(4, &guests, &own, "reveille.work=1")? })?;
    booted.expect(booted.0.verdict == Verdict::AllOnline, "the run should end well")?;
    says(&booted, &format!("soak: {CYCLES} cycles from 4 CPUs"))?;
    says(&booted, "4 of 4 CPUs active in the end; 0 failures")?;
    for (guest, vcpus) in [("(d0) ", 4), ("(d1) ", 2)] {
        let naps: Vec<(u32, u32)> =
            booted.0.console.lines().filter(|line| line.starts_with(guest)).filter_map(naps).collect();
        booted.expect(naps.len() == vcpus, &format!("every vCPU of {guest} should have napped: {naps:?}"))?;
        let sound = naps.iter().all(|&(count, longest)| count > 3 && longest < LONGEST_NAP);
        booted.expect(sound, &format!("the naps of {guest} should have ended in time: {naps:?}"))?;
    }
    let complaint = |line: &&str| ["stall", "lockup", "hung task", "Oops"].iter().any(|word| line.contains(word));
    let found = booted.0.console.lines().find(complaint);
    booted.expect(found.is_none(), &format!("no Linux should complain: {found:?}"))?;
    says(&booted, "Guest 1 (guest1) switched itself off")?;
    says(&booted, "Guest 0 (guest0) switched itself off")
}

/// `reveille: napped 812 times, for 9 hundredths of a second at most`: how often, and how long the longest was.
fn naps(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once("reveille: napped ")?;
    let mut numbers = rest.split_whitespace().filter_map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}
