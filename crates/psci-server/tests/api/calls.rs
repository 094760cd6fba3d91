//! Which functions there are, and how they are called.

use psci_server::{Answer, CpuState, Entry, LegacyIds, Policy, PowerState, PowerStateFormat, Resumed, SmcccVersion};

use crate::board::*;

const MIGRATE_INFO_TYPE: u64 = 0x8400_0006;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const SMCCC_VERSION: u64 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u64 = 0x8000_0001;
const LEGACY: LegacyIds =
    LegacyIds { cpu_suspend: Some(0x95c1_ba5e), cpu_off: Some(0x95c1_ba5f), cpu_on: Some(0x95c1_ba60) };

fn call(policy: Policy, x0: u64, x1: u64) -> Answer {
    with_policy(policy).handle(0, [x0, x1, 0, 0])
}

#[test]
fn row_1_the_version_has_its_major_in_the_upper_half() {
    for (policy, version) in [(Policy::V0_2, 2), (Policy::V1_0, 0x1_0000), (Policy::V1_1, 0x1_0001)] {
        assert_eq!(call(policy, 0x8400_0000, 0), Answer::Return(version));
    }
}

#[test]
fn row_2_what_exists_as_a_32_bit_call_only_is_no_64_bit_call() {
    for function in [0, 2, 6, 8, 9, 0xa] {
        assert_eq!(call(Policy::V1_1, 0xc400_0000 | function, 0), NOT_SUPPORTED, "{function}");
        assert_ne!(call(Policy::V1_1, 0x8400_0000 | function, 0x8400_0000), NOT_SUPPORTED, "{function}");
    }
}

#[test]
fn row_3_the_upper_half_of_x0_is_ignored() {
    assert_eq!(call(Policy::V1_1, 0xdead_beef_8400_0000, 0), Answer::Return(0x1_0001));
    assert_eq!(call(Policy::V1_1, 0xffff_ffff_8000_0000, 0), Answer::Return(0x1_0001));
    let server = server();
    let answer = server.handle(0, [0x1_0000_0000 | CPU_ON, IDS[1], ENTRY.address, ENTRY.context_id]);
    assert_eq!((answer, server.enter(1)), (SUCCESS, Some(ENTRY)));
}

#[test]
fn row_4_arguments_of_a_32_bit_call_are_truncated() {
    let server = server();
    let high = 0xabcd_0123_0000_0000;
    let answer = server.handle(0, [CPU_ON_32, high | IDS[1], high | ENTRY.address, high | 0x89ab_cdef]);
    assert_eq!((answer, server.enter(1)), (SUCCESS, Some(Entry { context_id: 0x89ab_cdef, ..ENTRY })));
    assert_eq!(server.handle(0, [AFFINITY_INFO_32, high | IDS[2], high, 0]), Answer::Return(1));
    assert_eq!(server.handle(0, [FEATURES, high | 0x8400_0000, 0, 0]), SUCCESS);
    let answer = server.handle(0, [CPU_SUSPEND_32, high | 1 << 16 | 2, high | ENTRY.address, high | 5]);
    assert_eq!(answer, Answer::Suspended(PowerState::PowerDown(2)));
    let resumed = Resumed::Enter(Entry { context_id: 5, ..ENTRY });
    assert_eq!(server.resume(0), Some(resumed));
}

#[test]
fn row_6_an_unknown_function_is_not_supported() {
    for x0 in [0, 0x8400_000b, 0x8400_001f, 0xc400_0015, 0x8400_0100, 0x8500_0000, 0x0400_0000, 0xffff_ffff] {
        assert_eq!(call(Policy::V1_1, x0, 0), NOT_SUPPORTED, "{x0:#x}");
    }
}

#[test]
fn row_33_the_system_is_switched_off_or_reset_and_the_call_does_not_return() {
    for policy in [Policy::V0_2, Policy::V1_1] {
        assert_eq!(call(policy, SYSTEM_OFF, 0), Answer::SystemOff);
        assert_eq!(call(policy, SYSTEM_RESET, 0), Answer::SystemReset);
    }
}

#[test]
fn row_34_features_names_what_exists_and_nothing_else() {
    let exist: Vec<u64> = (0..0x20)
        .flat_map(|function| [0x8400_0000 | function, 0xc400_0000 | function])
        .filter(|id| call(Policy::V1_1, FEATURES, *id) != NOT_SUPPORTED)
        .inspect(|id| assert_eq!(call(Policy::V1_1, FEATURES, *id), SUCCESS, "{id:#x}"))
        .collect();
    let expected = [
        [0x8400_0000].as_slice(),
        &[CPU_SUSPEND_32, CPU_SUSPEND, CPU_OFF, CPU_ON_32, CPU_ON, AFFINITY_INFO_32, AFFINITY_INFO],
        &[MIGRATE_INFO_TYPE, SYSTEM_OFF, SYSTEM_RESET, FEATURES],
    ];
    assert_eq!(exist, expected.concat());
}

#[test]
fn row_34_every_function_is_called_where_features_names_it_only() {
    let policies = [Policy::V1_1, Policy { migrate_info_type: false, ..Policy::V1_0 }];
    for (policy, function) in policies.into_iter().flat_map(|policy| (0..0x20).map(move |function| (policy, function)))
    {
        for id in [0x8400_0000 | function, 0xc400_0000 | function] {
            let named = call(policy, FEATURES, id) != NOT_SUPPORTED;
            // FEATURES of itself, which is there: its own NOT_SUPPORTED means something else.
            assert_eq!(call(policy, id, FEATURES) != NOT_SUPPORTED, named, "{id:#x}");
        }
    }
}

#[test]
fn row_34_features_has_the_format_of_power_states() {
    let extended = Policy { power_state_format: PowerStateFormat::Extended, ..Policy::V1_1 };
    for id in [CPU_SUSPEND_32, CPU_SUSPEND] {
        assert_eq!(call(Policy::V1_1, FEATURES, id), SUCCESS);
        assert_eq!(call(extended, FEATURES, id), Answer::Return(2));
    }
    assert_eq!(call(extended, FEATURES, CPU_ON), SUCCESS);
}

#[test]
fn row_34_there_is_no_features_before_1_0() {
    assert_eq!(call(Policy::V0_2, FEATURES, CPU_ON), NOT_SUPPORTED);
    assert_eq!(call(Policy::V1_0, FEATURES, CPU_ON), SUCCESS);
}

#[test]
fn row_34_the_calling_convention_is_named_from_1_1_on() {
    let version = |major, minor| Policy { smccc: Some(SmcccVersion { major, minor }), ..Policy::V1_1 };
    for (policy, answer) in [(version(1, 1), 0x1_0001), (version(1, 2), 0x1_0002), (version(2, 0), 0x2_0000)] {
        assert_eq!(call(policy, FEATURES, SMCCC_VERSION), SUCCESS);
        assert_eq!(call(policy, SMCCC_VERSION, 0), Answer::Return(answer));
    }
    for policy in [version(1, 0), Policy::V1_0] {
        assert_eq!(call(policy, FEATURES, SMCCC_VERSION), NOT_SUPPORTED);
        assert_eq!(call(policy, SMCCC_VERSION, 0), NOT_SUPPORTED);
        assert_eq!(call(policy, SMCCC_ARCH_FEATURES, SMCCC_VERSION), NOT_SUPPORTED);
    }
}

#[test]
fn the_architectures_features_are_the_platforms_and_the_conventions_own() {
    let ask = |function| call(Policy::V1_1, SMCCC_ARCH_FEATURES, function);
    assert_eq!([SMCCC_VERSION, SMCCC_ARCH_FEATURES].map(ask), [SUCCESS; 2]);
    assert_eq!(ask(0x8000_8000), Answer::Return(1));
    assert_eq!([0x8000_7fff, 0x8000_0002, CPU_ON].map(ask), [NOT_SUPPORTED; 3]);
}

#[test]
fn row_35_there_is_no_trusted_os() {
    assert_eq!(call(Policy::V1_1, MIGRATE_INFO_TYPE, 0), Answer::Return(2));
    assert_eq!(call(Policy::V0_2, MIGRATE_INFO_TYPE, 0), Answer::Return(2));
    let silent = Policy { migrate_info_type: false, ..Policy::V1_1 };
    assert_eq!(call(silent, MIGRATE_INFO_TYPE, 0), NOT_SUPPORTED);
    assert_eq!(call(silent, FEATURES, MIGRATE_INFO_TYPE), NOT_SUPPORTED);
    for migrate in [0x8400_0005, 0xc400_0005, 0x8400_0007, 0xc400_0007] {
        assert_eq!(call(Policy::V1_1, migrate, IDS[0]), NOT_SUPPORTED);
    }
}

#[test]
fn row_19_version_0_1_has_no_ids_but_its_own() {
    let policy = Policy::v0_1(LEGACY);
    for function in 0..0x20 {
        assert_eq!(call(policy, 0x8400_0000 | function, 0), NOT_SUPPORTED);
        assert_eq!(call(policy, 0xc400_0000 | function, 0), NOT_SUPPORTED);
    }
    let server = with_policy(policy);
    assert_eq!(server.handle(0, [0x95c1_ba60, IDS[4], ENTRY.address, ENTRY.context_id]), SUCCESS);
    assert_eq!(server.enter(4), Some(ENTRY));
    assert_eq!(server.handle(4, [0x95c1_ba5f, 0, 0, 0]), Answer::Off);
    let standby = PowerState::StandbyOrRetention(1);
    assert_eq!(server.handle(0, [0x95c1_ba5e, 1, 0, 0]), Answer::Suspended(standby));
}

#[test]
fn row_19_version_0_1_knows_fewer_codes() {
    let server = with_policy(Policy::v0_1(LEGACY));
    let on = |id, address| server.handle(0, [0x95c1_ba60, id, address, 0]);
    assert_eq!(on(IDS[0], ENTRY.address), INVALID_PARAMETERS);
    assert_eq!(on(IDS[1], ENTRY.address | 1), INVALID_PARAMETERS);
    assert_eq!(server.state(1), Some(CpuState::Off));
    assert_eq!([on(IDS[1], ENTRY.address), on(IDS[1], ENTRY.address)], [SUCCESS, INVALID_PARAMETERS]);
    server.platform().fails.set(true);
    assert_eq!(on(IDS[2], ENTRY.address), DENIED);
    assert_eq!(server.handle(0, [0x95c1_ba5f, 0, 0, 0]), DENIED);
    assert_eq!(server.handle(0, [0x95c1_ba5e, 0x1_0002, 1, 0]), INVALID_PARAMETERS);
}

#[test]
fn row_19_both_kinds_of_ids_have_their_own_codes() {
    // On many boards the node names ids that are standard, for callers which know 0.1 only.
    let same = LegacyIds { cpu_on: Some(CPU_ON as u32), ..LEGACY };
    let server = with_policy(Policy { legacy_ids: same, ..Policy::V1_1 });
    assert_eq!(switch_on(&server, 0), ALREADY_ON);
    let server = with_policy(Policy { legacy_ids: LEGACY, ..Policy::V1_1 });
    assert_eq!(switch_on(&server, 0), ALREADY_ON);
    assert_eq!(server.handle(0, [0x95c1_ba60, IDS[0], ENTRY.address, 0]), INVALID_PARAMETERS);
}

#[test]
fn row_17_version_0_2_has_no_code_for_addresses() {
    let server = with_policy(Policy::V0_2);
    assert_eq!(server.handle(0, [CPU_ON, IDS[1], ENTRY.address | 1, 0]), INVALID_PARAMETERS);
    assert_eq!(server.handle(0, [CPU_ON, IDS[0], ENTRY.address, 0]), ALREADY_ON);
}

#[test]
fn a_log_learns_which_cpu_a_call_is_about_and_only_where_there_is_one() {
    let server = server();
    assert_eq!(server.target([CPU_ON, IDS[3], 0, 0]), Some(3));
    assert_eq!(server.target([AFFINITY_INFO, IDS[2], 0, 0]), Some(2));
    assert_eq!(server.target([AFFINITY_INFO, IDS[2], 1, 0]), None, "an instance of CPUs");
    assert_eq!(server.target([CPU_ON, 0x777, 0, 0]), None);
    assert_eq!(server.target([CPU_ON_32, IDS[4], 0, 0]), Some(1), "truncated to 32 bits");
    assert_eq!(server.target([CPU_OFF, IDS[1], 0, 0]), None);
    assert_eq!(server.target([0, IDS[1], 0, 0]), None);
}
