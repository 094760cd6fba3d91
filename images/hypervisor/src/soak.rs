//! CPUs taken off and on under running guests, as often as the command line's `reveille.soak=N` says, by choices that begin with
//! `reveille.seed=S`. The boot CPU stays. At the end a line is typed for every guest, guest 0 last: those that wait for it go on, and
//! switch themselves off.

use alloc::vec::Vec;
use core::time::Duration;

use fastrand::Rng;
use reveille::CpuIndex;
use reveille::hotplug::HotplugError;
use reveille_runtime::cpus::SMP;
use reveille_runtime::plan::value;
use reveille_runtime::{clock, println, thread};

use crate::domains::{self, Domain, life_cycle};
use crate::hotplug;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    cycles: u32,
    seed: u64,
}

impl Options {
    /// Reads them, if they are there.
    pub fn from_command_line(line: &str) -> Option<Self> {
        let cycles = value(line, "reveille.soak=")?.parse().ok()?;
        Some(Self { cycles, seed: value(line, "reveille.seed=").and_then(|seed| seed.parse().ok()).unwrap_or(1) })
    }
}

/// How long guests may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest time for which a CPU is left as it is, in microseconds.
const LONGEST_REST: u64 = 5_000;

/// What was done.
#[derive(Default)]
struct Tally {
    cycles: u32,
    /// How long each request took, in microseconds.
    transitions: Vec<u32>,
    failures: u32,
}

impl Tally {
    /// Whether it did what it was asked for.
    fn note<T>(&mut self, cpu: CpuIndex, done: &hotplug::Done<T>) -> bool {
        match &done.result {
            Ok(_) => self.transitions.push(u32::try_from(done.nanoseconds / 1_000).unwrap_or(u32::MAX)),
            // A request that failed before has left it there.
            Err(HotplugError::AlreadyThere(_)) => {}
            Err(error) => {
                println!("soak: CPU {cpu}: {error}");
                self.failures += 1;
            }
        }
        done.result.is_ok()
    }
}

/// What its thread does.
pub fn run(options: Options) {
    // On their way up they take what comes, and are done before a line is typed.
    let mut tally = Tally::default();
    let mut random = Rng::with_seed(options.seed);
    let cpus: Vec<CpuIndex> = SMP.masks.online.snapshot().iter().filter(|cpu| !cpu.is_boot()).collect();
    let tenth = options.cycles.div_ceil(10).max(1);
    while tally.cycles < options.cycles && tally.failures == 0 && !cpus.is_empty() {
        let cpu = cpus[random.usize(..cpus.len())];
        let mut rest = || thread::sleep_until(clock::ticks_after(Duration::from_micros(random.u64(..LONGEST_REST))));
        tally.note(cpu, &hotplug::cpu_down(cpu));
        rest();
        if tally.note(cpu, &hotplug::cpu_up(cpu)) {
            tally.cycles += 1;
        }
        rest();
        if tally.cycles.is_multiple_of(tenth) {
            println!("soak: {} of {} cycles", tally.cycles, options.cycles);
        }
    }
    report(options, tally, cpus.len() + 1);
    end();
}

fn report(options: Options, mut tally: Tally, cpus: usize) {
    tally.transitions.sort_unstable();
    let times = &tally.transitions;
    let (median, slowest) = (times.get(times.len() / 2).unwrap_or(&0), times.last().unwrap_or(&0));
    let active = SMP.masks.active.snapshot().count();
    println!(
        "soak: {} cycles from {cpus} CPUs, seed {}; {} transitions, median {median} us, slowest {slowest} us; {active} of {cpus} CPUs active \
         in the end; {} failures",
        tally.cycles,
        options.seed,
        times.len(),
        tally.failures
    );
    if tally.failures > 0 || tally.cycles < options.cycles || active < cpus {
        life_cycle::note_failure();
    }
}

/// Has the guests end, guest 0 last: with it the run does.
fn end() {
    let (first, others): (Vec<&Domain>, Vec<_>) = domains::all().iter().partition(|domain| domain.number == 0);
    for domain in others.into_iter().chain(first) {
        type_until_it_ends(domain);
    }
}

/// Types lines for a guest until it has ended: what comes before its system listens is lost.
fn type_until_it_ends(domain: &Domain) {
    let deadline = clock::now().0 + PATIENCE.as_nanos() as u64;
    while domain.past().is_none() {
        if clock::now().0 > deadline {
            println!("soak: guest {} ({}) does not end", domain.number, domain.name());
            life_cycle::note_failure();
            return;
        }
        if let Some(guest) = domain.guest() {
            guest.type_byte(b'\r');
        }
        thread::sleep_until(clock::ticks_after(Duration::from_secs(1)));
    }
}
