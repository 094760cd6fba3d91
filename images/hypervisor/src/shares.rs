//! What share of the CPUs each vCPU gets: measured for as many milliseconds as the command line's `reveille.shares=N` says, from when
//! every vCPU runs on. Then the run ends.

use alloc::vec::Vec;
use core::time::Duration;

use reveille_runtime::arch::timer;
use reveille_runtime::plan::value;
use reveille_runtime::{clock, println, thread};

use crate::domains::{self, Domain, life_cycle};

/// For how long it is measured, if the command line asks for it.
pub fn from_command_line(line: &str) -> Option<Duration> {
    value(line, "reveille.shares=")?.parse().ok().map(Duration::from_millis)
}

/// How long vCPUs may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// A vCPU that has run for so long of [`A_WHILE`] works.
const LITTLE: Duration = Duration::from_millis(50);
const A_WHILE: Duration = Duration::from_secs(1);

/// What its thread does.
pub fn run(duration: Duration) {
    let guests = || domains::all().iter().filter_map(Domain::guest);
    let times = || guests().map(|guest| guest.vcpu_times()).collect::<Vec<_>>();
    let deadline = clock::ticks_after(PATIENCE);
    let all_work = || {
        let before = times();
        thread::sleep_until(clock::ticks_after(A_WHILE));
        let after = times();
        let pairs = before.iter().flatten().zip(after.iter().flatten());
        pairs.into_iter().all(|(before, after)| after - before >= clock::ticks_of(LITTLE))
    };
    while !all_work() {
        if timer::ticks() > deadline {
            println!("shares: a vCPU does not run");
            life_cycle::note_failure();
            life_cycle::exit();
        }
    }
    let (before, began) = (times(), timer::ticks());
    thread::sleep_until(clock::ticks_after(duration));
    let (after, took) = (times(), timer::ticks() - began);
    for (guest, (before, after)) in guests().zip(before.iter().zip(&after)) {
        for (vcpu, (before, after)) in before.iter().zip(after).enumerate() {
            println!(
                "shares: guest {} vCPU {vcpu}: {} of {} ms",
                guest.number,
                milliseconds(after - before),
                milliseconds(took)
            );
        }
    }
    life_cycle::exit();
}

fn milliseconds(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000) / timer::frequency()
}
