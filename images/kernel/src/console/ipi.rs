//! Interrupts CPUs, and times their answers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, CpuMask};
use reveille_runtime::arch::timer;
use reveille_runtime::console::command::Took;
use reveille_runtime::lock::SharedU64;
use reveille_runtime::plan::plan;
use reveille_runtime::thread::Completion;
use reveille_runtime::{clock, ipi};

static ASKED: AtomicU32 = AtomicU32::new(0);
/// The number of the last question that was answered, and when it was, on the clock of the CPU that answered.
static ANSWERED: AtomicU32 = AtomicU32::new(0);
static ANSWERED_AT: SharedU64 = SharedU64::new(0);
static ANSWER: Completion = Completion::new();

/// Interrupts each of `cpus`, one after the other.
pub fn interrupt(cpus: CpuMask) -> String {
    cpus.iter().map(interrupt_one).collect::<Vec<_>>().join("\n")
}

fn interrupt_one(cpu: CpuIndex) -> String {
    let number = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    let now = clock::now();
    let patience = Duration::from_nanos(plan().timeout.deadline(now, 1).at().nanos_since(now));
    let deadline = clock::ticks_after(patience);
    let sent = timer::ticks();
    if let Err(offline) = ipi::smp_call_function_single(cpu, answer, number) {
        return format!("{offline}, and takes no interrupts");
    }
    // An answer that came too late for its question counts for none.
    while ANSWER.wait(deadline).is_ok() {
        if ANSWERED.load(Ordering::Acquire) == number {
            let answered = clock::instant_of(ANSWERED_AT.get());
            return format!("CPU {cpu} was interrupted after {}", Took(answered.nanos_since(clock::instant_of(sent))));
        }
    }
    format!("CPU {cpu} has not answered after {}", Took(patience.as_nanos() as u64))
}

/// On the CPU that was interrupted.
fn answer(number: u32) {
    ANSWERED_AT.set(timer::ticks());
    ANSWERED.store(number, Ordering::Release);
    ANSWER.complete();
}
