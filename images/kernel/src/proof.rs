//! The proof that every CPU which is online works: interrupts to and from each, timer interrupts on each, and a job that all
//! of them share.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, CpuMask};
use reveille_runtime::arch::timer;
use reveille_runtime::cpus::SMP;
use reveille_runtime::lock::SharedU64;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::thread::{Completion, Thread};
use reveille_runtime::{clock, ipi, thread};

/// How long all CPUs together may take for one proof: the host may have far fewer.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_PER_CPU: Duration = Duration::from_millis(100);
/// How often each CPU's timer must interrupt it, and how far apart.
const TIMER_INTERRUPTS: u32 = 3;
const SLEEP: Duration = Duration::from_millis(1);
/// The job: the sum of the squares of the numbers below this.
const NUMBERS: u64 = 1 << 18;

/// What one proof came to.
pub struct Proof {
    /// What was proven.
    pub name: &'static str,
    /// Whether it held on every CPU.
    pub passed: bool,
    /// The figures, or which CPUs failed.
    pub detail: String,
}

/// Makes every CPU that is online prove itself.
pub fn run() -> Vec<Proof> {
    let online = SMP.masks.online.snapshot();
    let mut proofs = Vec::from([interrupts(&online)]);
    proofs.extend(threads(&online));
    proofs
}

fn deadline(cpus: usize) -> u64 {
    clock::ticks_after(PATIENCE + PATIENCE_PER_CPU * cpus as u32)
}

fn detail(arguments: core::fmt::Arguments<'_>) -> String {
    let mut text = String::new();
    // A String takes everything.
    let _ = text.write_fmt(arguments);
    text
}

/// Set by each CPU's answer, on the boot CPU.
static ANSWERED: reveille::SharedCpuMask = reveille::SharedCpuMask::new();
static ALL_ANSWERED: Completion = Completion::new();

/// Interrupts each CPU, which interrupts this one back.
fn interrupts(online: &CpuMask) -> Proof {
    let others: Vec<CpuIndex> = online.iter().filter(|cpu| !cpu.is_boot()).collect();
    let asked = others.iter().filter(|&&cpu| ipi::smp_call_function_single(cpu, answer, 0).is_ok()).count();
    let deadline = deadline(others.len());
    let answers = (0..asked).take_while(|_| ALL_ANSWERED.wait(deadline).is_ok()).count();
    let silent: CpuMask = others.iter().copied().filter(|&cpu| !ANSWERED.contains(cpu)).collect();
    let passed = silent.is_empty() && answers == others.len();
    let detail = if passed {
        detail(format_args!("{answers} CPUs interrupted and answered by an interrupt"))
    } else {
        detail(format_args!("no answer from CPU {silent}"))
    };
    Proof { name: "interrupts", passed, detail }
}

/// On the CPU that was asked.
fn answer(_: u32) {
    let answered = ipi::smp_call_function_single(CpuIndex::BOOT, note_answer, smp_processor_id().get() as u32);
    answered.expect("the boot CPU waits for the answer");
}

/// On the boot CPU.
fn note_answer(cpu: u32) {
    if let Some(cpu) = CpuIndex::new(cpu as usize) {
        ANSWERED.insert(cpu);
    }
    ALL_ANSWERED.complete();
}

/// What one CPU's thread has found.
#[derive(Default)]
struct Work {
    ran_on: AtomicU32,
    timer_interrupts: AtomicU32,
    sum: SharedU64,
}

/// Starts a thread on each CPU, which sleeps by its CPU's timer and does its share of the job.
fn threads(online: &CpuMask) -> [Proof; 2] {
    let cpus: Vec<CpuIndex> = online.iter().collect();
    let share = cpus.len() as u64;
    let deadline = deadline(cpus.len());
    let mut workers: Vec<(CpuIndex, Arc<Work>, Arc<Thread>)> = Vec::new();
    let mut not_started = CpuMask::EMPTY;
    for (position, &cpu) in cpus.iter().enumerate() {
        let work = Arc::new(Work::default());
        let result = Arc::clone(&work);
        match thread::spawn("proof", cpu, move || do_work(&result, position as u64, share, deadline)) {
            Ok(thread) => workers.push((cpu, work, thread)),
            Err(_) => not_started.insert(cpu),
        }
    }
    let mut silent = not_started;
    for (cpu, _, thread) in &workers {
        if thread.join(deadline).is_err() {
            silent.insert(*cpu);
        }
    }
    [timers(&workers, &silent), job(&workers, &silent)]
}

fn do_work(work: &Work, position: u64, share: u64, deadline: u64) {
    let cpu = smp_processor_id();
    work.ran_on.store(cpu.get() as u32, Ordering::Relaxed);
    let before = thread::ticks_of(cpu);
    let interrupts = || thread::ticks_of(cpu).wrapping_sub(before);
    // A sleep that a busy host has overtaken needs no interrupt: then there is another.
    while interrupts() < TIMER_INTERRUPTS && timer::ticks() < deadline {
        thread::sleep_until(clock::ticks_after(SLEEP));
    }
    work.timer_interrupts.store(interrupts(), Ordering::Relaxed);
    let sum = (position..NUMBERS).step_by(share as usize).fold(0_u64, |sum, n| sum.wrapping_add(n.wrapping_mul(n)));
    work.sum.set(sum);
}

fn timers(workers: &[(CpuIndex, Arc<Work>, Arc<Thread>)], silent: &CpuMask) -> Proof {
    let interrupts = |work: &Work| work.timer_interrupts.load(Ordering::Relaxed);
    let without: CpuMask = workers
        .iter()
        .filter(|(_, work, _)| interrupts(work) < TIMER_INTERRUPTS)
        .map(|(cpu, ..)| *cpu)
        .chain(silent.iter())
        .collect();
    let passed = without.is_empty();
    let detail = if passed {
        let all: u32 = workers.iter().map(|(_, work, _)| interrupts(work)).sum();
        detail(format_args!("{all} timer interrupts, at least {TIMER_INTERRUPTS} on each of {} CPUs", workers.len()))
    } else {
        detail(format_args!("timer interrupts are missing on CPU {without}"))
    };
    Proof { name: "timers", passed, detail }
}

fn job(workers: &[(CpuIndex, Arc<Work>, Arc<Thread>)], silent: &CpuMask) -> Proof {
    let sum = workers.iter().fold(0_u64, |sum, (_, work, _)| sum.wrapping_add(work.sum.get()));
    // The sum of the squares of 0..n in closed form; 128 bits, then as the workers wrap.
    let n = u128::from(NUMBERS);
    let expected = ((n - 1) * n * (2 * n - 1) / 6) as u64;
    let astray: CpuMask = workers
        .iter()
        .filter(|(cpu, work, _)| work.ran_on.load(Ordering::Relaxed) as usize != cpu.get())
        .map(|(cpu, ..)| *cpu)
        .collect();
    let passed = sum == expected && astray.is_empty() && silent.is_empty();
    let detail = if passed {
        detail(format_args!("{NUMBERS} squares summed on {} CPUs: {sum}", workers.len()))
    } else if silent.is_empty() {
        detail(format_args!("the sum is {sum}, and should be {expected}; threads astray: CPU {astray}"))
    } else {
        detail(format_args!("no result from CPU {silent}"))
    };
    Proof { name: "job", passed, detail }
}
