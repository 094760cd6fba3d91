//! PSCI, called as no kernel does.

use alloc::format;
use alloc::string::String;

use reveille_psci_caller::{code, id};

use super::machine::{DISTRIBUTOR, REDISTRIBUTORS, UART};
use super::{Attacker, Row, Verdict};
use crate::calls::{Conduit, call, hvc};
use crate::tables::RAM;
use crate::vcpus;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("psci_ids_of_other_guests", ids),
    ("psci_entries_outside_memory", entries),
    ("psci_functions_that_there_are_not", functions),
    ("psci_suspend_to_junk", suspend),
    ("psci_junk_by_hvc_and_smc", junk),
];

fn answers(what: &str, answer: i64, right: i64) -> Result<(), String> {
    if answer == right { Ok(()) } else { Err(format!("{what} answers {answer}, not {right}")) }
}

fn ids(attacker: &mut Attacker) -> Verdict {
    let own = attacker.vcpus.count as u64;
    let near = own..0x400;
    let far = (0..64).map(|bit| 1 << bit).filter(|&id| id >= own);
    let mut count = 0;
    for id in near.chain(far).chain([u64::MAX, 0x1_0000_0000, 0x8000_0001]) {
        let answer = hvc(id::CPU_ON, [id, vcpus::entry(), 0]);
        answers(&format!("CPU_ON of {id:#x}"), answer, code::INVALID_PARAMETERS)?;
        let answer = hvc(id::AFFINITY_INFO, [id, 0, 0]);
        answers(&format!("AFFINITY_INFO of {id:#x}"), answer, code::INVALID_PARAMETERS)?;
        count += 1;
    }
    answers("CPU_ON of itself", hvc(id::CPU_ON, [0, vcpus::entry(), 0]), code::ALREADY_ON)?;
    Ok(format!("{count} ids: {}", code::INVALID_PARAMETERS))
}

fn entries(attacker: &mut Attacker) -> Verdict {
    let elsewhere = [0, 4, DISTRIBUTOR, REDISTRIBUTORS, UART, RAM - 4, attacker.memory_end, RAM + (1 << 30)];
    let far = [1 << 38, 1 << 39, 1 << 47, u64::MAX - 3, RAM | 1 << 63];
    let unaligned = [vcpus::entry() + 1, vcpus::entry() + 2, vcpus::entry() + 3, u64::MAX];
    let other = vcpus::id_of(1);
    for address in elsewhere.into_iter().chain(far).chain(unaligned) {
        for target in [other, other | 1 << 40] {
            let right = if target == other { code::INVALID_ADDRESS } else { code::INVALID_PARAMETERS };
            answers(&format!("CPU_ON to {address:#x}"), hvc(id::CPU_ON, [target, address, 0]), right)?;
        }
        const POWER_DOWN: u64 = 1 << 16;
        let answer = hvc(id::CPU_SUSPEND, [POWER_DOWN, address, 0]);
        if ![code::INVALID_ADDRESS, code::INVALID_PARAMETERS].contains(&answer) {
            return Err(format!("CPU_SUSPEND to {address:#x} answers {answer}"));
        }
    }
    answers("AFFINITY_INFO of the vCPU", hvc(id::AFFINITY_INFO, [other, 0, 0]), code::OFF)?;
    Ok(format!("{}, and the vCPU is off", code::INVALID_ADDRESS))
}

fn functions(_: &mut Attacker) -> Verdict {
    // MIGRATE, MIGRATE_INFO_UP_CPU, CPU_FREEZE, CPU_DEFAULT_SUSPEND, NODE_HW_STATE, SYSTEM_SUSPEND, PSCI_SET_SUSPEND_MODE, STAT_RESIDENCY,
    // STAT_COUNT, SYSTEM_RESET2, MEM_PROTECT, MEM_PROTECT_CHECK_RANGE, SYSTEM_OFF2, and what is behind.
    let psci = (5..6).chain(7..8).chain(0xb..0x20);
    // TRNG, SDEI, FF-A, standard secure services, a hypervisor's own, a trusted OS's.
    let others =
        [0x8400_0050, 0xc400_0053, 0x8400_0020, 0xc400_0021, 0x8400_0060, 0x8400_0063, 0x8600_0000, 0xc600_0001];
    let further = [0x8200_0000, 0x8300_0000, 0x8700_ff01, 0xbf00_ff01, 0xf200_0000, 0x0, 0xffff_ffff];
    let wide = psci.clone().map(|number| 0xc400_0000 + number);
    let mut count = 0;
    for function in psci.map(|number| 0x8400_0000 + number).chain(wide).chain(others).chain(further) {
        for conduit in [Conduit::Hvc, Conduit::Smc] {
            let answer = call(conduit, [function, RAM, 1 << 30, 0]);
            answers(&format!("{function:#x}"), answer, code::NOT_SUPPORTED)?;
        }
        count += 1;
    }
    Ok(format!("{count} functions: {}", code::NOT_SUPPORTED))
}

/// States that there are not. One that there is would sleep, since nothing would wake this vCPU.
fn suspend(attacker: &mut Attacker) -> Verdict {
    const RESERVED: u64 = 0xfcfe_0000;
    for bit in (0..32).filter(|bit| RESERVED >> bit & 1 != 0) {
        let state = 1 << bit | attacker.junk.number() & 0xffff;
        let answer = hvc(id::CPU_SUSPEND, [state, vcpus::entry(), 0]);
        answers(&format!("CPU_SUSPEND with {state:#x}"), answer, code::INVALID_PARAMETERS)?;
    }
    Ok(format!("{}", code::INVALID_PARAMETERS))
}

fn junk(attacker: &mut Attacker) -> Verdict {
    const CALLS: usize = 4_000;
    // Those that would end or stop the caller, or start another where it is not expected.
    let stops = [id::CPU_SUSPEND, id::CPU_OFF, id::CPU_ON, id::SYSTEM_OFF, id::SYSTEM_RESET];
    let mut count = 0;
    while count < CALLS {
        let number = attacker.junk.number();
        let function = match number >> 60 {
            0..=9 => 0x8400_0000 | (number & 1 << 30) | (number & 0x1f),
            10..=13 => 0x8000_0000 | (number & 1 << 30) | (number & 0xffff),
            _ => number,
        };
        if stops.iter().any(|stop| (stop ^ function) & 0xbfff_ffff == 0) {
            continue;
        }
        let conduit = if number & 1 << 33 == 0 { Conduit::Hvc } else { Conduit::Smc };
        let arguments = [attacker.junk.argument(), attacker.junk.argument(), attacker.junk.argument()];
        let _ = call(conduit, [function, arguments[0], arguments[1], arguments[2]]);
        count += 1;
    }
    answers("PSCI_VERSION", hvc(id::VERSION, [0; 3]), 0x1_0001)?;
    for index in 1..attacker.vcpus.count {
        answers("AFFINITY_INFO of a vCPU", hvc(id::AFFINITY_INFO, [vcpus::id_of(index), 0, 0]), code::OFF)?;
    }
    Ok(format!("{CALLS} calls: codes, and no vCPU came or went"))
}
