//! CPU_ON: what is refused, and how a CPU enters.

use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use reveille_psci_caller::code::*;
use reveille_psci_caller::id;

use super::{Row, Verdict, all, answers};
use crate::caller::{Machine, entry, mailbox, wait};

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("row_9_no_such_cpu", no_such_cpu),
    ("row_10_bits_outside_the_affinity", bits_outside),
    ("row_11_the_caller", the_caller),
    ("row_12_a_running_cpu", running),
    ("row_14_on_its_way", on_its_way),
    ("row_15_many_callers", many_callers),
    ("row_16_a_refusal_changes_nothing", refusal_changes_nothing),
    ("row_17_unaligned_entries", unaligned),
    ("row_18_the_id_before_the_address", id_before_address),
    ("row_22_the_context_id", context_id),
    ("row_23_the_exception_level", exception_level),
    ("row_24_masked_and_uncached", masked),
];

const CONTEXT: u64 = 0x0123_4567_89ab_cdef;
/// How often what races is tried.
const ROUNDS: usize = 20;

fn no_such_cpu(machine: &Machine) -> Verdict {
    all([0xfe, 0xfe00, 0xff_00ff_ffff].map(|id| answers("CPU_ON", machine.cpu_on(id, 0), &[INVALID_PARAMETERS])))
}

fn bits_outside(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let verdict = all([24, 31, 40, 63].map(|bit| {
        answers(&format!("CPU_ON with bit {bit}"), machine.cpu_on(1 << bit | cpu, 0), &[INVALID_PARAMETERS])
    }));
    verdict.and_then(|_| still_off(machine, cpu))
}

/// Row 20: a failed call leaves the target off.
fn still_off(machine: &Machine, cpu: u64) -> Verdict {
    answers("AFFINITY_INFO of a CPU whose CPU_ON failed", machine.affinity_info(cpu), &[OFF])
}

fn the_caller(machine: &Machine) -> Verdict {
    answers("CPU_ON", machine.cpu_on(0, 0), &[ALREADY_ON])
}

fn running(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    machine.bring_up(cpu, 0)?;
    let verdict = answers("CPU_ON", machine.cpu_on(cpu, 0), &[ALREADY_ON]);
    machine.take_down(cpu)?;
    verdict
}

/// It may have come before the second call, where nothing delays it.
fn on_its_way(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let before = mailbox(cpu).arrivals.load(Ordering::Acquire);
    let answer = [machine.cpu_on(cpu, 0), machine.cpu_on(cpu, 0)];
    if !wait(|| mailbox(cpu).arrivals.load(Ordering::Acquire) > before) {
        return Err("it did not come".into());
    }
    machine.take_down(cpu)?;
    answers("the first CPU_ON", answer[0], &[SUCCESS])?;
    answers("the second CPU_ON", answer[1], &[ON_PENDING, ALREADY_ON])
}

fn many_callers(machine: &Machine) -> Verdict {
    let [target, callers @ ..] = &machine.others[..] else { return Err("there is one CPU".into()) };
    for &caller in callers {
        machine.bring_up(caller, 0)?;
    }
    let verdict = (0..ROUNDS).map(|_| round(machine, *target, callers)).find(Result::is_err);
    for &caller in callers {
        machine.take_down(caller)?;
    }
    verdict.unwrap_or_else(|| Ok(format!("{ROUNDS} rounds of {} callers", callers.len() + 1)))
}

fn round(machine: &Machine, target: u64, callers: &[u64]) -> Verdict {
    let before = mailbox(target).arrivals.load(Ordering::Acquire);
    for &caller in callers {
        machine.order(caller, [id::CPU_ON, target, entry(), caller]);
    }
    let own = machine.cpu_on(target, 0);
    let mut codes: Vec<i64> = callers.iter().filter_map(|&caller| machine.answer(caller)).collect();
    codes.push(own);
    let successes = codes.iter().filter(|&&code| code == SUCCESS).count();
    let lawful = codes.iter().all(|code| [SUCCESS, ALREADY_ON, ON_PENDING].contains(code));
    let came = wait(|| mailbox(target).arrivals.load(Ordering::Acquire) > before);
    machine.take_down(target)?;
    let times = mailbox(target).arrivals.load(Ordering::Acquire) - before;
    if successes == 1 && lawful && came && times == 1 && codes.len() == callers.len() + 1 {
        Ok(format!("{codes:?}"))
    } else {
        Err(format!("the callers are answered {codes:?}, and the CPU came {times} times"))
    }
}

fn refusal_changes_nothing(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let before = mailbox(cpu).arrivals.load(Ordering::Acquire);
    let first = machine.cpu_on(cpu, CONTEXT);
    let second = machine.cpu_on(cpu, !CONTEXT);
    if !wait(|| mailbox(cpu).arrivals.load(Ordering::Acquire) > before) {
        return Err("it did not come".into());
    }
    let context = mailbox(cpu).context.load(Ordering::Relaxed);
    machine.take_down(cpu)?;
    answers("the first CPU_ON", first, &[SUCCESS])?;
    answers("the second CPU_ON", second, &[ON_PENDING, ALREADY_ON])?;
    if context == CONTEXT { Ok("the first context id".into()) } else { Err(format!("X0 is {context:#x}")) }
}

fn unaligned(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let verdict = all([1, 2, 3].map(|offset| {
        let answer = machine.call(id::CPU_ON, [cpu, entry() + offset, 0]);
        answers(&format!("CPU_ON with an entry {offset} bytes off"), answer, &[INVALID_ADDRESS])
    }));
    still_off(machine, cpu)?;
    verdict
}

fn id_before_address(machine: &Machine) -> Verdict {
    answers("CPU_ON with neither", machine.call(id::CPU_ON, [0xfe, 1, 0]), &[INVALID_PARAMETERS])
}

fn context_id(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let context = machine.bring_up(cpu, CONTEXT)?.context.load(Ordering::Relaxed);
    machine.take_down(cpu)?;
    if context == CONTEXT { Ok("64 bits".into()) } else { Err(format!("X0 is {context:#x}")) }
}

fn exception_level(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let level = machine.bring_up(cpu, 0)?.level.load(Ordering::Relaxed) >> 2;
    machine.take_down(cpu)?;
    answers("the level of a CPU", level as i64, &[machine.level.into()])
}

fn masked(machine: &Machine) -> Verdict {
    const MASKS: u64 = 0xf << 6;
    /// MMU, data cache, big-endian.
    const CLEAR: u64 = 1 | 1 << 2 | 1 << 25;
    let cpu = machine.others[0];
    let mailbox = machine.bring_up(cpu, 0)?;
    let (daif, sctlr) = (mailbox.daif.load(Ordering::Relaxed), mailbox.sctlr.load(Ordering::Relaxed));
    machine.take_down(cpu)?;
    if daif == MASKS && sctlr & CLEAR == 0 {
        Ok(format!("DAIF {daif:#x}, SCTLR {sctlr:#x}"))
    } else {
        Err(format!("DAIF is {daif:#x}, SCTLR {sctlr:#x}"))
    }
}
