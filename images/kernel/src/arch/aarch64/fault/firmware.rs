//! Firmware that starts CPUs wrongly, or does not switch them off: [`FaultyFirmware`], between PSCI's methods and the real one.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, HwId, MAX_CPUS};
use reveille_aarch64::psci::{Firmware, PsciNode};
use reveille_runtime::cpus;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_sim::fault::FaultKind;

use super::stubs;
use crate::fault::spec::Kind;
use crate::fault::{guard, has, let_pass, take};

/// The functions by which firmware tells of a trusted OS, and what it says of one that must stay where it is (DEN0022, 5.9).
const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
const MIGRATE_INFO_UP_CPU: u32 = 0xc400_0007;
const UNIPROCESSOR_NOT_MIGRATABLE: u64 = 1;
/// The lowest bit of the generation in a context id, whose low half is the index.
const GENERATION: u64 = 1 << 16;

/// The context id that each CPU was last started with.
static CONTEXTS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Has this CPU enter again, as if it were reset and started as it was the last time. Interrupts are masked.
pub fn arrive_again() -> ! {
    stubs::arrive_again(CONTEXTS[smp_processor_id().get()].load(Ordering::Relaxed))
}

/// The firmware that the devicetree describes, and the faults.
pub struct FaultyFirmware(PsciNode);

impl FaultyFirmware {
    pub const fn new(node: &PsciNode) -> Self {
        Self(*node)
    }
}

impl Firmware for FaultyFirmware {
    fn call(&self, function: u32, arguments: [u64; 3]) -> u64 {
        let functions = &self.0.functions;
        let call = |arguments| self.0.conduit.call(function, arguments);
        if functions.cpu_on == Some(function)
            && let Some(cpu) = cpus::topology().cpus().iter().find(|cpu| cpu.hw_id.0 == arguments[0])
        {
            return start(cpu.index, arguments, call);
        }
        if functions.cpu_off == Some(function)
            && let Some(code) = keep_on()
        {
            return code as u64;
        }
        match (function, immovable()) {
            (MIGRATE_INFO_TYPE, Some(_)) => UNIPROCESSOR_NOT_MIGRATABLE,
            (MIGRATE_INFO_UP_CPU, Some(hw_id)) => hw_id.0,
            _ => call(arguments),
        }
    }
}

/// Starts `cpu` as a fault would, by a `call` of CPU_ON with these arguments or others; what that returns.
fn start(cpu: CpuIndex, [target, entry, context]: [u64; 3], call: impl Fn([u64; 3]) -> u64) -> u64 {
    CONTEXTS[cpu.get()].store(context, Ordering::Relaxed);
    let Some(kind) = take(cpu, |kind| concerns_start(*kind).then_some(*kind)) else {
        return call([target, entry, context]);
    };
    guard::mark(cpu);
    let with_index = |index: usize| {
        let victim = cpus::topology().cpus().get(index);
        victim.into_iter().for_each(|victim| guard::mark(victim.index));
        call([target, entry, context & !(GENERATION - 1) | index as u64])
    };
    match kind {
        Kind::WrongId(index) => with_index(index.into()),
        Kind::Stale => call([target, entry, context.wrapping_sub(GENERATION)]),
        Kind::Shared(FaultKind::WrongId) => with_index(cpu.get() + 1),
        Kind::Shared(FaultKind::Dead) => call([target, stubs::dead_entry(), context]),
        Kind::Shared(FaultKind::Late(delay)) => call([target, stubs::delayed_entry(cpu, delay), context]),
        Kind::Shared(FaultKind::Refused(code)) => code as u64,
        Kind::Shared(FaultKind::RefusedYetStarts(code)) => {
            // So late that it is taken for refused before.
            call([target, stubs::delayed_entry(cpu, Duration::from_millis(1)), context]);
            code as u64
        }
        _ => call([target, entry, context]),
    }
}

const fn concerns_start(kind: Kind) -> bool {
    use FaultKind::{Dead, Late, Refused, RefusedYetStarts, WrongId};
    match kind {
        Kind::WrongId(_) | Kind::Stale => true,
        Kind::Shared(kind) => matches!(kind, Dead | Late(_) | Refused(_) | RefusedYetStarts(_) | WrongId),
        _ => false,
    }
}

/// This CPU asks to be switched off: the code with which that is refused, if it is.
fn keep_on() -> Option<i64> {
    let kind = take(smp_processor_id(), |kind| match *kind {
        Kind::Shared(kind @ (FaultKind::OffDenied(_) | FaultKind::StaysOn(_) | FaultKind::Twice)) => Some(kind),
        _ => None,
    });
    match kind? {
        FaultKind::OffDenied(code) => return Some(code),
        FaultKind::StaysOn(time) => let_pass(time),
        // Of a CPU that runs there is no second one that could arrive: it is this one, after it was off.
        _ => arrive_again(),
    }
    None
}

/// The CPU of a trusted OS that cannot be moved, if there is one.
fn immovable() -> Option<HwId> {
    let cpus = cpus::topology().cpus();
    cpus.iter().find(|cpu| has(cpu.index, FaultKind::NoOff)).map(|cpu| cpu.hw_id)
}
