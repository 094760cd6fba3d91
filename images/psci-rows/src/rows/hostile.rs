//! Callers that mean no good: whatever they pass, they get codes, and no CPU comes or goes.

use alloc::format;

use reveille_psci_caller::code::*;
use reveille_psci_caller::{Junk, id};

use super::{Row, Verdict, answers};
use crate::caller::Machine;

/// The rows of this module. They trust that CPU_ON refuses what it cannot run, and so are for firmware that does.
pub const ROWS: &[Row] =
    &[("hostile_junk", junk), ("hostile_junk_from_all_cpus", junk_from_all), ("hostile_ids_of_version_0_1", legacy)];

const CALLS: u32 = 4_000;
const ROUNDS: u32 = 50;

/// Calls that might be valid.
struct Calls(Junk);

impl Calls {
    /// An id that might be a function's: of PSCI's range mostly, with anything above W0. Not one that ends or stops the caller.
    fn id(&mut self) -> u64 {
        loop {
            let (number, above) = (self.0.number(), self.0.number());
            let id = match number >> 60 {
                0..=9 => 0x8400_0000 | (number & 1 << 30) | (number & 0x1f),
                10..=13 => 0x8000_0000 | (number & 1 << 30) | (number & 0xffff),
                _ => number,
            };
            let stops = [id::CPU_SUSPEND, id::CPU_OFF, id::SYSTEM_OFF, id::SYSTEM_RESET];
            if !stops.iter().any(|stop| stop & !WIDE == id & 0xffff_ffff & !WIDE) {
                return above << 32 | id & 0xffff_ffff;
            }
        }
    }

    /// X0 to X3. The target of a CPU_ON is none that there is.
    fn call(&mut self) -> [u64; 4] {
        let (id, target) = (self.id(), self.0.argument());
        let is_on = id & 0xffff_ffff & !WIDE == id::CPU_ON & !WIDE;
        let target = if is_on && target & 0xffff_ffff < 0x1000 { target | 0xdead_0000 } else { target };
        [id, target, self.0.argument(), self.0.argument()]
    }
}

const WIDE: u64 = 1 << 30;

/// After all that was called: the caller is on, all others are off, and one of them comes when it is asked.
fn nothing_changed(machine: &Machine) -> Verdict {
    answers("AFFINITY_INFO of the caller", machine.affinity_info(0), &[ON])?;
    for &cpu in &machine.others {
        answers("AFFINITY_INFO of a CPU that nobody started", machine.affinity_info(cpu), &[OFF])?;
    }
    machine.bring_up(machine.others[0], 0)?;
    machine.take_down(machine.others[0])?;
    Ok("nothing changed".into())
}

fn junk(machine: &Machine) -> Verdict {
    let mut calls = Calls(Junk::new(1));
    for number in 0..CALLS {
        let mut registers = core::array::from_fn(|_| calls.0.argument());
        registers[..4].copy_from_slice(&calls.call());
        let passed = registers;
        machine.call_with(&mut registers);
        if registers[4..] != passed[4..] {
            return Err(format!("call {number}, {passed:x?}, changes more than X0 to X3"));
        }
    }
    nothing_changed(machine).map(|detail| format!("{CALLS} calls: {detail}"))
}

fn junk_from_all(machine: &Machine) -> Verdict {
    let mut calls = Calls(Junk::new(2));
    for &cpu in &machine.others {
        machine.bring_up(cpu, 0)?;
    }
    for _ in 0..ROUNDS {
        for &cpu in &machine.others {
            machine.order(cpu, calls.call());
        }
        let [x0, arguments @ ..] = calls.call();
        let _ = machine.call(x0, arguments);
        if let Some(silent) = machine.others.iter().find(|&&cpu| machine.answer(cpu).is_none()) {
            return Err(format!("CPU {silent:#x} has not come back from a call"));
        }
    }
    for &cpu in &machine.others {
        machine.take_down(cpu)?;
    }
    nothing_changed(machine).map(|detail| format!("{ROUNDS} rounds: {detail}"))
}

/// Those that QEMU once had.
fn legacy(machine: &Machine) -> Verdict {
    for id in 0x95c1_ba5e..=0x95c1_ba61 {
        let answer = machine.call(id, [machine.others[0], crate::caller::entry(), 0]);
        answers(&format!("{id:#x}"), answer, &[NOT_SUPPORTED])?;
    }
    nothing_changed(machine)
}
