//! Taking CPUs down and bringing them back, thousands of times, from threads on all CPUs at once, while CPUs interrupt each other
//! and threads work on them: everything that was accepted must happen, once, and all CPUs must be there in the end.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use fastrand::Rng;
use reveille::CpuIndex;
use reveille::hotplug::HotplugError;
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::lock::IrqLock;
use reveille_runtime::thread::Completion;
use reveille_runtime::{clock, ipi, println, thread, work};

use crate::hotplug::{self, Done};
use crate::proof::Proof;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many times a CPU is taken down and brought back.
    pub cycles: u32,
    /// What the choices begin with.
    pub seed: u64,
}

/// How long what is under way at the end may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many requests a thread makes before another goes on in its place, on the CPU that it is for.
const SHIFT: u32 = 16;

/// What all threads share.
struct Soak {
    options: Options,
    /// How often a CPU was taken down.
    cycles: AtomicU32,
    /// How many requests found their CPU where they wanted it.
    already: AtomicU32,
    calls: Tally,
    work: Tally,
    threads: Tally,
    transitions: IrqLock<Vec<u32>>,
    failures: IrqLock<Vec<(CpuIndex, HotplugError)>>,
    ended: Completion,
}

/// What was accepted, refused and done.
#[derive(Default)]
struct Tally {
    accepted: AtomicU32,
    refused: AtomicU32,
    done: AtomicU32,
}

impl Tally {
    fn note(&self, accepted: bool) {
        let count = if accepted { &self.accepted } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn do_one(&self) {
        core::hint::black_box((0..1_000_u64).fold(0, u64::wrapping_add));
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn value(count: &AtomicU32) -> u32 {
        count.load(Ordering::Relaxed)
    }

    /// Whether all that was accepted is done, and no more.
    fn is_even(&self) -> bool {
        Self::value(&self.done) == Self::value(&self.accepted)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, accepted, refused] = [&self.done, &self.accepted, &self.refused].map(Self::value);
        write!(f, "{done} of {accepted} done, {refused} refused")
    }
}

/// How many calls were answered: they carry a number, and no reference.
static ANSWERED: AtomicU32 = AtomicU32::new(0);

/// Runs it.
pub fn run(options: Options) -> Proof {
    let soak = Arc::new(Soak {
        options,
        cycles: AtomicU32::new(0),
        already: AtomicU32::new(0),
        calls: Tally::default(),
        work: Tally::default(),
        threads: Tally::default(),
        transitions: IrqLock::new(Vec::with_capacity(2 * options.cycles as usize + 1024)),
        failures: IrqLock::new(Vec::new()),
        ended: Completion::new(),
    });
    let online = SMP.masks.online.snapshot();
    for cpu in online.iter() {
        start(&soak, cpu, Rng::with_seed(options.seed ^ (cpu.get() as u64) << 32));
    }
    for _ in online.iter() {
        // It ends: every request does.
        let _ = soak.ended.wait(u64::MAX);
    }
    // What is down comes back.
    for cpu in online.iter().filter(|&cpu| !SMP.masks.active.contains(cpu)) {
        soak.note(cpu, hotplug::cpu_up(cpu));
    }
    soak.wait_for_the_rest();
    soak.proof(online.count())
}

/// Starts, on `home`, the thread that makes requests there. One whose CPU went down was moved, and does not come back by itself.
fn start(soak: &Arc<Soak>, home: CpuIndex, random: Rng) {
    let own = Arc::clone(soak);
    let entry = move || storm(&own, home, random);
    if let Err(reason) = thread::spawn("storm", home, entry) {
        println!("soak: {reason}");
        soak.ended.complete();
    }
}

fn storm(soak: &Arc<Soak>, home: CpuIndex, mut random: Rng) {
    let cpus = topology().cpus().len();
    let steps = hotplug::hotplug().steps();
    for _ in 0..SHIFT {
        let mut any = || CpuIndex::new(random.usize(..cpus)).unwrap_or(CpuIndex::BOOT);
        soak.interrupt(any());
        soak.give_work(any());
        soak.start_thread(any());
        let cpu = any();
        match random.u8(..8) {
            1..=3 => _ = soak.note(cpu, hotplug::cpu_up(cpu)),
            // It cannot be taken down, and somebody must stay active.
            _ if cpu.is_boot() => {}
            0 => _ = soak.note(cpu, hotplug::set_state(cpu, steps.ap_online())),
            _ if soak.note(cpu, hotplug::cpu_down(cpu)) => soak.count_cycle(),
            _ => {}
        }
    }
    if soak.is_over() {
        soak.ended.complete();
    } else {
        start(soak, home, random);
    }
}

impl Soak {
    fn is_over(&self) -> bool {
        self.cycles.load(Ordering::Relaxed) >= self.options.cycles || !self.failures.lock().is_empty()
    }

    fn count_cycle(&self) {
        let cycles = self.cycles.fetch_add(1, Ordering::Relaxed) + 1;
        let tenth = self.options.cycles.div_ceil(10).max(1);
        if cycles.is_multiple_of(tenth) && cycles <= self.options.cycles {
            println!("soak: {cycles} of {} cycles", self.options.cycles);
        }
    }

    /// Whether the CPU is now where it was not before.
    fn note<T>(&self, cpu: CpuIndex, done: Done<T>) -> bool {
        match done.result {
            Ok(_) => {
                self.transitions.lock().push(u32::try_from(done.nanoseconds / 1_000).unwrap_or(u32::MAX));
                true
            }
            Err(HotplugError::AlreadyThere(_)) => {
                self.already.fetch_add(1, Ordering::Relaxed);
                false
            }
            Err(error) => {
                println!("soak: CPU {cpu}: {error}");
                self.failures.lock().push((cpu, error));
                false
            }
        }
    }

    fn interrupt(&self, cpu: CpuIndex) {
        self.calls.note(ipi::smp_call_function_single(cpu, answer, 0).is_ok());
    }

    /// A piece of work for the worker of `cpu`, which refuses it while its CPU is down.
    fn give_work(self: &Arc<Self>, cpu: CpuIndex) {
        let own = Arc::clone(self);
        self.work.note(work::queue_on(cpu, move || own.work.do_one()).is_ok());
    }

    /// A thread that begins on `cpu`, or on another while that is down.
    fn start_thread(self: &Arc<Self>, cpu: CpuIndex) {
        let own = Arc::clone(self);
        self.threads.note(thread::spawn("work", cpu, move || own.threads.do_one()).is_ok());
    }

    fn wait_for_the_rest(&self) {
        let deadline = clock::now().0 + PATIENCE.as_nanos() as u64;
        while !self.is_even() && clock::now().0 < deadline {
            thread::sleep_until(clock::ticks_after(Duration::from_millis(1)));
        }
    }

    fn is_even(&self) -> bool {
        self.calls.done.store(ANSWERED.load(Ordering::Relaxed), Ordering::Relaxed);
        [&self.calls, &self.work, &self.threads].into_iter().all(Tally::is_even)
    }

    fn proof(&self, cpus: usize) -> Proof {
        let active = SMP.masks.active.snapshot().count();
        let failures = self.failures.lock().len();
        let passed = self.is_even() && active == cpus && failures == 0;
        let mut times = core::mem::take(&mut *self.transitions.lock());
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or(0);
        let slowest = times.last().copied().unwrap_or(0);
        let mut detail = String::new();
        // A String takes everything.
        let _ = write!(
            detail,
            "{} cycles from {cpus} CPUs, seed {}; {} transitions, median {median} us, slowest {slowest} us; {} requests found \
             their CPU there; calls: {}; work: {}; threads: {}; {active} of {cpus} CPUs active in the end; {failures} failures",
            Tally::value(&self.cycles),
            self.options.seed,
            times.len(),
            Tally::value(&self.already),
            self.calls,
            self.work,
            self.threads,
        );
        Proof { name: "soak", passed, detail }
    }
}

/// On the CPU that was called.
fn answer(_: u32) {
    ANSWERED.fetch_add(1, Ordering::Relaxed);
}
