//! Calls to a provider of PSCI from any CPU, with any registers, held against the account that the crate's own tests keep.
#![no_main]

use libfuzzer_sys::fuzz_target;
use psci_server::{Policy, PowerStateFormat};

#[path = "../../crates/psci-server/tests/api/account.rs"]
mod account;
#[allow(dead_code, reason = "the crate's tests need more of it")]
#[path = "../../crates/psci-server/tests/api/board.rs"]
mod board;

use crate::account::{Action, LEGACY, run};
use crate::board::*;

const FUNCTIONS: [u64; 8] =
    [CPU_ON, CPU_ON_32, CPU_OFF, CPU_SUSPEND, CPU_SUSPEND_32, AFFINITY_INFO, AFFINITY_INFO_32, FEATURES];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let policy = [Policy::V0_2, Policy::V1_0, Policy::V1_1, Policy::v0_1(LEGACY)][usize::from(first % 4)];
    let legacy_ids = if first & 4 == 0 { policy.legacy_ids } else { LEGACY };
    let power_state_format = [PowerStateFormat::Original, PowerStateFormat::Extended][usize::from(first >> 3 & 1)];
    run(Policy { legacy_ids, power_state_format, ..policy }, rest.as_chunks().0.iter().map(|bytes| action(*bytes)));
});

/// What 16 bytes say: who does what, with which registers.
fn action([kind, cpu, function, id, address, a, b, c, word @ ..]: [u8; 16]) -> Action {
    // The last does not exist.
    let cpu = usize::from(cpu) % (CPUS + 1);
    match kind % 8 {
        0 | 1 => return Action::Enter(cpu),
        2 => return Action::Resume(cpu),
        _ => {}
    }
    let any = u64::from_le_bytes(word);
    let x0 = match function % 16 {
        known @ 0..8 => FUNCTIONS[usize::from(known)],
        8..11 => 0x8400_0000 | u64::from(a % 0x20),
        11..13 => 0xc400_0000 | u64::from(a % 0x20),
        13 => u64::from(a % 5),
        14 => 0x8000_0000 + u64::from(a % 3),
        _ => any,
    };
    let argument = |choice: u8, own: u8| match choice % 16 {
        listed @ 0..6 => IDS[usize::from(listed)],
        6..10 => ENTRY.address,
        10..12 => u64::from(own % 6),
        12 => [1 << 16 | 2, 1 << 30 | 2, ENTRY.address | 1, MEMORY.end][usize::from(own % 4)],
        13 => x0,
        _ => any,
    };
    let registers = [x0, argument(id, b), argument(address, c), any];
    Action::Call { caller: cpu, registers, fails: kind >= 0xe0 }
}
