//! Which functions there are, and what a call changes beside X0.

use alloc::format;

use reveille_psci_caller::code::*;
use reveille_psci_caller::id;

use super::{Row, Verdict, all, answers};
use crate::caller::Machine;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("row_1_version", version),
    ("row_2_what_has_no_64_bit_form", no_64_bit_form),
    ("row_3_upper_half_of_x0", upper_half),
    ("row_4_32_bit_arguments", narrow_arguments),
    ("row_6_unknown_ids", unknown_ids),
    ("row_7_registers", registers),
    ("row_30_affinity_info", affinity_info),
    ("row_34_features", features),
    ("row_35_no_trusted_os", no_trusted_os),
];

/// Ids that PSCI and SMCCC's own functions do not have, some of which other owners might.
const UNKNOWN: [u64; 8] =
    [0x8400_001f, 0xc400_001f, 0x8400_ffff, 0xc400_0000 | 0x17, 0x8100_0000, 0xbf00_ff01, 0, 0xffff_ffff];

fn version(machine: &Machine) -> Verdict {
    let version = machine.call(id::VERSION, [0; 3]);
    let (major, minor) = (version >> 16, version & 0xffff);
    match (major, minor) {
        (0, 2) | (1, 0..=3) => Ok(format!("PSCI {major}.{minor}")),
        _ => Err(format!("PSCI_VERSION answers {version:#x}")),
    }
}

/// CPU_OFF is among them, so another CPU calls.
fn no_64_bit_form(machine: &Machine) -> Verdict {
    let cpu = machine.others[0];
    machine.bring_up(cpu, 0)?;
    let verdict = all([0, 2, 0xa].map(|function| {
        machine.order(cpu, [0xc400_0000 | function, 0, 0, 0]);
        let answer = machine.comes_back(cpu).ok_or_else(|| format!("{function:#x} has a 64-bit form"))?;
        answers(&format!("the 64-bit form of {function:#x}"), answer, &[NOT_SUPPORTED])
    }));
    if machine.affinity_info(cpu) == ON {
        machine.take_down(cpu)?;
    }
    verdict
}

fn upper_half(machine: &Machine) -> Verdict {
    let version = machine.call(id::VERSION, [0; 3]);
    answers("PSCI_VERSION with bits above W0", machine.call(0xdead_beef << 32 | id::VERSION, [0; 3]), &[version])
}

fn narrow_arguments(machine: &Machine) -> Verdict {
    let cpu = 0xffff_ffff << 32 | machine.others[0];
    answers("AFFINITY_INFO by SMC32 with bits above", machine.call(id::AFFINITY_INFO_32, [cpu, 0xf << 32, 0]), &[OFF])
}

fn unknown_ids(machine: &Machine) -> Verdict {
    all(UNKNOWN.map(|id| answers(&format!("{id:#x}"), machine.call(id, [!0; 3]), &[NOT_SUPPORTED])))
}

fn registers(machine: &Machine) -> Verdict {
    let pattern = |place: usize| 0x0101_0101_0101_0101 * place as u64;
    for id in [id::VERSION, id::AFFINITY_INFO, id::CPU_ON, 0x8400_001f] {
        let mut registers = core::array::from_fn(pattern);
        registers[0] = id;
        machine.call_with(&mut registers);
        if let Some(place) = (4..31).find(|&place| registers[place] != pattern(place)) {
            return Err(format!("a call of {id:#x} changes X{place}"));
        }
    }
    Ok("X4 to X30 are kept".into())
}

fn affinity_info(machine: &Machine) -> Verdict {
    let ask = |id: u64, level: u64| machine.call(id::AFFINITY_INFO, [id, level, 0]);
    all([
        answers("AFFINITY_INFO of the caller", ask(0, 0), &[ON]),
        answers("of a CPU that is off", ask(machine.others[0], 0), &[OFF]),
        answers("of no CPU", ask(0xff_00ff_ffff, 0), &[INVALID_PARAMETERS]),
        answers("of bits that are none of an affinity", ask(1 << 24, 0), &[INVALID_PARAMETERS]),
        answers("of level 4", ask(0, 4), &[INVALID_PARAMETERS]),
        answers("of level 2^32", ask(0, !0), &[INVALID_PARAMETERS]),
    ])
}

fn features(machine: &Machine) -> Verdict {
    let ask = |id: u64| machine.call(id::FEATURES, [id, 0, 0]);
    let existing = [id::VERSION, id::CPU_OFF, id::CPU_ON, id::AFFINITY_INFO, id::SYSTEM_OFF, id::SYSTEM_RESET];
    all(existing.map(|id| answers(&format!("PSCI_FEATURES of {id:#x}"), ask(id), &[0])))?;
    // Its flags are the format of power states and OS-initiated mode.
    answers("PSCI_FEATURES of CPU_SUSPEND", ask(id::CPU_SUSPEND), &[0, 1, 2, 3])?;
    all(UNKNOWN.map(|id| answers(&format!("PSCI_FEATURES of {id:#x}"), ask(id), &[NOT_SUPPORTED])))?;
    let smccc = machine.call(id::SMCCC_VERSION, [0; 3]);
    let expected = if smccc >= 0x1_0001 { 0 } else { NOT_SUPPORTED };
    answers("PSCI_FEATURES of SMCCC_VERSION", ask(id::SMCCC_VERSION), &[expected])
}

fn no_trusted_os(machine: &Machine) -> Verdict {
    all([
        answers("MIGRATE", machine.call(id::MIGRATE, [0; 3]), &[NOT_SUPPORTED]),
        answers("MIGRATE_INFO_TYPE", machine.call(id::MIGRATE_INFO_TYPE, [0; 3]), &[2, NOT_SUPPORTED]),
    ])
}
