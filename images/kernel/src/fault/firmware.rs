//! Firmware that starts CPUs wrongly, or does not switch them off: [`FaultyFirmware`], between PSCI's methods and the real one.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, Instant, MAX_CPUS};
use reveille_aarch64::psci::{Conduit, Firmware, PsciNode};
use reveille_runtime::arch::interrupts;
use reveille_runtime::cpus;
use reveille_runtime::per_cpu::smp_processor_id;

use super::spec::Kind;
use super::{guard, stubs, take};
use crate::smp;

/// DENIED.
const DENIED: i64 = -3;
/// The lowest bit of the generation in a context id, whose low half is the index.
const GENERATION: u64 = 1 << 16;

/// The context id that each CPU was last started with.
static CONTEXTS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// What this CPU was started with.
pub fn context_of_this_cpu() -> u64 {
    CONTEXTS[smp_processor_id().get()].load(Ordering::Relaxed)
}

/// The firmware that the devicetree describes, and the faults.
pub struct FaultyFirmware(PsciNode);

impl FaultyFirmware {
    pub const fn new(node: &PsciNode) -> Self {
        Self(*node)
    }

    fn conduit(&self) -> &Conduit {
        &self.0.conduit
    }
}

impl Firmware for FaultyFirmware {
    fn call(&self, function: u32, arguments: [u64; 3]) -> u64 {
        let functions = &self.0.functions;
        if functions.cpu_on == Some(function)
            && let Some(cpu) = cpus::topology().cpus().iter().find(|cpu| cpu.hw_id.0 == arguments[0])
        {
            return match misguide(cpu.index, arguments) {
                Ok(arguments) => self.conduit().call(function, arguments),
                Err(code) => code as u64,
            };
        }
        if functions.cpu_off == Some(function)
            && let Some(code) = keep_on()
        {
            return code as u64;
        }
        self.conduit().call(function, arguments)
    }
}

/// With what `cpu` is started instead of these arguments of CPU_ON, or the code with which that is refused.
fn misguide(cpu: CpuIndex, [target, entry, context]: [u64; 3]) -> Result<[u64; 3], i64> {
    let kind = take(cpu, |kind| {
        use Kind::{Dead, Late, Refused, Slow, Stale, WrongId};
        matches!(kind, Dead | Slow(_) | Late(_) | Refused(_) | WrongId(_) | Stale).then_some(*kind)
    });
    CONTEXTS[cpu.get()].store(context, Ordering::Relaxed);
    if kind.is_some() {
        guard::mark(cpu);
    }
    let delayed = |delay: Duration| [target, stubs::delayed_entry(cpu, delay), context];
    Ok(match kind {
        Some(Kind::Dead) => [target, stubs::dead_entry(), context],
        Some(Kind::Slow(delay)) => delayed(delay),
        Some(Kind::Late(delay)) => delayed(delay + longest_wait()),
        Some(Kind::Refused(code)) => return Err(code),
        Some(Kind::WrongId(index)) => {
            let victim = cpus::topology().cpus().get(usize::from(index));
            victim.into_iter().for_each(|victim| guard::mark(victim.index));
            [target, entry, context & !(GENERATION - 1) | u64::from(index)]
        }
        Some(Kind::Stale) => [target, entry, context.wrapping_sub(GENERATION)],
        _ => [target, entry, context],
    })
}

/// How long all CPUs together are waited for.
fn longest_wait() -> Duration {
    let deadline = smp::plan().timeout.deadline(Instant(0), cpus::topology().cpus().len());
    Duration::from_nanos(deadline.at().0)
}

/// This CPU asks to be switched off: the code with which that is refused, if anything but what it asks for happens.
fn keep_on() -> Option<i64> {
    let kind = take(smp_processor_id(), |kind| {
        matches!(kind, Kind::OffDenied | Kind::OffIgnored | Kind::OffAgain).then_some(*kind)
    });
    match kind? {
        Kind::OffDenied => Some(DENIED),
        Kind::OffAgain => stubs::arrive_again(context_of_this_cpu()),
        _ => loop {
            interrupts::wait();
        },
    }
}
