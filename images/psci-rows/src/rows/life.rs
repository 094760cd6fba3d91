//! CPUs that go and come again, that sleep, and that are started where nothing is. The last rows spend CPUs.

use alloc::format;
use core::sync::atomic::Ordering;

use reveille_psci_caller::code::*;
use reveille_psci_caller::id;

use super::{Row, Verdict, all, answers};
use crate::caller::{Machine, entry, mailbox, wait};

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("row_27_on_racing_off", on_racing_off),
    ("row_32_power_states_that_do_not_exist", bad_power_states),
    ("row_13_and_31_a_suspended_cpu", suspended),
    ("row_17_entries_outside_memory", outside_memory),
];

/// How often what races is tried.
const ROUNDS: u64 = 50;
const POWER_DOWN: u64 = 1 << 16;

/// Rows 26 and 28: off is seen, and the CPU comes again, this often.
pub fn cycles(machine: &Machine, cycles: u32) -> Verdict {
    let cpu = machine.others[0];
    for cycle in 0..cycles {
        let context = machine.bring_up(cpu, cycle.into())?.context.load(Ordering::Relaxed);
        if context != cycle.into() {
            return Err(format!("X0 is {context:#x} in cycle {cycle}"));
        }
        machine.take_down(cpu)?;
    }
    Ok(format!("{cycles} cycles"))
}

/// As soon as a CPU calls CPU_OFF, CPU_ON is called until it succeeds.
fn on_racing_off(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    let arrivals = &machine.bring_up(cpu, 0)?.arrivals;
    let first = arrivals.load(Ordering::Acquire);
    for round in 1..=ROUNDS {
        machine.order(cpu, [id::CPU_OFF, 0, 0, 0]);
        if !wait(|| machine.cpu_on(cpu, round) == SUCCESS) {
            return Err(format!("CPU_ON does not succeed in round {round}"));
        }
        if !wait(|| arrivals.load(Ordering::Acquire) == first + round) {
            return Err(format!("a wake-up is lost in round {round}"));
        }
        let context = mailbox(cpu).context.load(Ordering::Relaxed);
        if context != round {
            return Err(format!("X0 is {context:#x} in round {round}"));
        }
    }
    machine.take_down(cpu)?;
    let times = arrivals.load(Ordering::Acquire) - first;
    answers("entries", times as i64, &[ROUNDS as i64])
}

/// A call that is not refused puts the CPU to sleep.
fn bad_power_states(machine: &Machine) -> Verdict {
    let cpu = machine.others[1];
    machine.bring_up(cpu, 0)?;
    let refused = |what: &str, state: u64, entry: u64, code: i64| {
        machine.order(cpu, [id::CPU_SUSPEND, state, entry, 0]);
        match machine.comes_back(cpu) {
            Some(answer) => answers(&format!("CPU_SUSPEND with {what}"), answer, &[code]),
            None => Err(format!("CPU_SUSPEND with {what} sleeps")),
        }
    };
    all([
        refused("reserved bits", 1 << 31, entry(), INVALID_PARAMETERS),
        refused("a state id that is none", 0xabcd, entry(), INVALID_PARAMETERS),
        refused("power-down to a state that is none", POWER_DOWN | 0xabcd, entry(), INVALID_PARAMETERS),
    ])?;
    machine.take_down(cpu)?;
    Ok("refused".into())
}

/// It sleeps until the end of the run, or for as long as the provider likes: standby may end at any time.
fn suspended(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    machine.bring_up(cpu, 0)?;
    machine.order(cpu, [id::CPU_SUSPEND, 0, 1, 0]);
    let sleeps = match machine.comes_back(cpu) {
        None => "asleep",
        Some(SUCCESS) => "back already",
        Some(code) => return Err(format!("standby is refused with {code}")),
    };
    all([
        answers("AFFINITY_INFO of a suspended CPU", machine.affinity_info(cpu), &[ON]),
        answers("CPU_ON of a suspended CPU", machine.cpu_on(cpu, 0), &[ALREADY_ON]),
    ])
    .map(|detail| format!("{detail}, {sleeps}"))
}

/// Flash, devices, secure memory, memory that there is not, and addresses that no CPU has.
fn outside_memory(machine: &Machine) -> Verdict {
    let cpu = machine.others[2];
    for address in [0, 0x0900_0000, 0x0e00_0000, 0x3f_0000_0000, 1 << 47, 0xffff_ffff_ffff_fffc] {
        let answer = machine.call(id::CPU_ON, [cpu, address, 0]);
        if answer != INVALID_ADDRESS {
            return Err(format!("CPU_ON with the entry {address:#x} answers {answer}"));
        }
        answers("AFFINITY_INFO of a CPU whose CPU_ON failed", machine.affinity_info(cpu), &[OFF])?;
    }
    machine.bring_up(cpu, 0)?;
    machine.take_down(cpu)?;
    Ok("refused".into())
}
