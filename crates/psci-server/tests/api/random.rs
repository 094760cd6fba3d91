//! Calls at random from CPUs at random: the server never panics, answers only with documented codes, and is at every moment in the
//! state that a simple account of the calls that succeeded comes to. So a call that was refused changed nothing.

use proptest::prelude::*;
use psci_server::{Policy, PowerStateFormat};

use crate::account::{Action, LEGACY, run};
use crate::board::*;

fn function() -> impl Strategy<Value = u64> {
    let common = [CPU_ON, CPU_ON, CPU_ON_32, CPU_OFF, CPU_OFF, CPU_SUSPEND, CPU_SUSPEND_32, AFFINITY_INFO];
    prop_oneof![
        12 => prop::sample::select(common.to_vec()),
        3 => (0..0x20_u64).prop_map(|function| 0x8400_0000 | function),
        3 => (0..0x20_u64).prop_map(|function| 0xc400_0000 | function),
        2 => 0..5_u64,
        1 => 0x8000_0000..0x8000_0003_u64,
        1 => any::<u64>(),
    ]
}

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => prop::sample::select(IDS.to_vec()),
        6 => Just(ENTRY.address),
        4 => 0..6_u64,
        2 => prop::sample::select(vec![1 << 16 | 2, 1 << 30 | 2, ENTRY.address | 1, MEMORY.end, 0x8400_0003]),
        1 => any::<u64>(),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let registers = (function(), argument(), argument(), any::<u64>()).prop_map(|(x0, x1, x2, x3)| [x0, x1, x2, x3]);
    // CPU 6 does not exist.
    let call = (0..7_usize, registers, prop::bool::weighted(0.1));
    prop_oneof![
        6 => call.prop_map(|(caller, registers, fails)| Action::Call { caller, registers, fails }),
        3 => (0..7_usize).prop_map(Action::Enter),
        1 => (0..7_usize).prop_map(Action::Resume),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let versions = vec![Policy::V0_2, Policy::V1_0, Policy::V1_1, Policy::v0_1(LEGACY)];
    let format = prop::sample::select(vec![PowerStateFormat::Original, PowerStateFormat::Extended]);
    (prop::sample::select(versions), any::<bool>(), format).prop_map(|(policy, legacy, power_state_format)| {
        let legacy_ids = if legacy { LEGACY } else { policy.legacy_ids };
        Policy { legacy_ids, power_state_format, ..policy }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_calls_are_answered_as_documented(
        policy in policy(),
        actions in prop::collection::vec(action(), 1..200),
    ) {
        run(policy, actions);
    }
}
