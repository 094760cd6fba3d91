//! CPU_SUSPEND.

use psci_server::{Answer, CpuState, Entry, Failed, Platform, Policy, PowerState, PowerStateFormat, Resumed, Server};

use crate::board::*;

const POWER_DOWN: u64 = 1 << 16;
const POWER_DOWN_EXTENDED: u64 = 1 << 30;

fn suspend(server: &TestServer, state: u64, address: u64) -> Answer {
    server.handle(0, [CPU_SUSPEND, state, address, 5])
}

fn extended() -> TestServer {
    with_policy(Policy { power_state_format: PowerStateFormat::Extended, ..Policy::V1_1 })
}

#[test]
fn row_32_a_bad_power_state_is_an_invalid_parameter() {
    let server = server();
    let reserved = (17..24).chain(26..32).map(|bit| 1 << bit);
    for state in reserved.chain([2, 0xffff, POWER_DOWN, POWER_DOWN | 1, 1 << 24, POWER_DOWN | 2 << 24 | 2]) {
        assert_eq!(suspend(&server, state, ENTRY.address), INVALID_PARAMETERS, "{state:#x}");
    }
    let server = extended();
    let reserved = [28, 29, 31].map(|bit| 1 << bit);
    for state in reserved.into_iter().chain([2, POWER_DOWN | 2, POWER_DOWN_EXTENDED, POWER_DOWN_EXTENDED | 3]) {
        assert_eq!(suspend(&server, state, ENTRY.address), INVALID_PARAMETERS, "{state:#x}");
    }
    assert_eq!(told(&server), []);
}

#[test]
fn row_32_the_state_is_judged_before_the_address() {
    assert_eq!(suspend(&server(), POWER_DOWN, 1), INVALID_PARAMETERS);
}

#[test]
fn row_32_power_down_with_a_bad_entry_is_an_invalid_address() {
    for (server, down) in [(server(), POWER_DOWN), (extended(), POWER_DOWN_EXTENDED)] {
        for address in [0, 2, ENTRY.address | 1, MEMORY.end] {
            assert_eq!(suspend(&server, down | 2, address), INVALID_ADDRESS);
        }
        assert_eq!(server.state(0), Some(CpuState::On));
        assert_eq!(suspend(&server, down | 2, ENTRY.address), Answer::Suspended(PowerState::PowerDown(2)));
    }
}

#[test]
fn row_32_standby_ignores_the_entry_and_returns() {
    for server in [server(), extended()] {
        for address in [0, 1, ENTRY.address] {
            assert_eq!(suspend(&server, 1, address), Answer::Suspended(PowerState::StandbyOrRetention(1)));
            assert_eq!(server.state(0), Some(CpuState::Suspended));
            assert_eq!(server.resume(0), Some(Resumed::Return(0)));
            assert_eq!((server.state(0), server.resume(0)), (Some(CpuState::On), None));
        }
    }
}

#[test]
fn a_powered_down_cpu_resumes_at_its_entry_once() {
    let server = server();
    let state = PowerState::PowerDown(0x100_0002);
    assert_eq!(suspend(&server, POWER_DOWN | 1 << 24 | 2, ENTRY.address), Answer::Suspended(state));
    assert_eq!(told(&server), [Done::Suspend(0, state)]);
    assert_eq!(server.state(0), Some(CpuState::Suspended));
    assert_eq!(server.enter(0), None, "that is for CPU_ON");
    assert_eq!(server.resume(0), Some(Resumed::Enter(Entry { context_id: 5, ..ENTRY })));
    assert_eq!((server.state(0), server.resume(0)), (Some(CpuState::On), None));
}

#[test]
fn what_the_platform_refuses_is_denied_and_the_cpu_stays_on() {
    let server = server();
    server.platform().fails.set(true);
    for state in [0, POWER_DOWN | 2] {
        assert_eq!(suspend(&server, state, ENTRY.address), DENIED);
    }
    assert_eq!((server.state(0), server.resume(0)), (Some(CpuState::On), None));
}

#[test]
fn a_cpu_that_is_not_on_to_the_server_is_denied_without_the_hardware() {
    let server = server();
    assert_eq!(server.handle(1, [CPU_SUSPEND, 0, 0, 0]), DENIED);
    assert_eq!(told(&server), []);
}

/// A platform with no more than it must have.
struct Least;

impl Platform for Least {
    fn cpu_ids(&self) -> &[u64] {
        &[0]
    }

    fn can_enter(&self, _: u64) -> bool {
        true
    }

    fn power_on(&self, _: usize) -> Result<(), Failed> {
        Ok(())
    }
}

/// A platform that has every power state, in one format.
struct Sleeper(Policy);

impl Platform for Sleeper {
    fn cpu_ids(&self) -> &[u64] {
        &[0]
    }

    fn policy(&self) -> &Policy {
        &self.0
    }

    fn can_enter(&self, _: u64) -> bool {
        true
    }

    fn power_on(&self, _: usize) -> Result<(), Failed> {
        Ok(())
    }

    fn has_power_state(&self, _: PowerState) -> bool {
        true
    }
}

#[test]
fn row_32_bits_that_must_be_zero_are_so_whatever_states_there_are() {
    for (format, down, id) in
        [(PowerStateFormat::Original, 16, 0x300_ffff), (PowerStateFormat::Extended, 30, 0xfff_ffff)]
    {
        let server: Server<Sleeper, 1> = Server::new(Sleeper(Policy { power_state_format: format, ..Policy::V1_1 }));
        assert!(server.boot(0));
        for bit in 0..32 {
            let state = if bit == down {
                Some(PowerState::PowerDown(0))
            } else {
                (id >> bit & 1 == 1).then_some(PowerState::StandbyOrRetention(1 << bit))
            };
            let answer = server.handle(0, [CPU_SUSPEND, 1 << bit, 0, 0]);
            assert_eq!(answer, state.map_or(INVALID_PARAMETERS, Answer::Suspended), "{format:?}, bit {bit}");
            assert_eq!(server.resume(0).is_some(), state.is_some());
        }
    }
}

#[test]
fn a_platform_that_says_nothing_has_standby_alone() {
    let server: Server<Least, 1> = Server::new(Least);
    assert!(server.boot(0));
    let call = |state| server.handle(0, [CPU_SUSPEND, state, 0, 0]);
    assert_eq!([call(1), call(POWER_DOWN)], [INVALID_PARAMETERS; 2]);
    assert_eq!(call(0), Answer::Suspended(PowerState::StandbyOrRetention(0)));
    assert_eq!(server.resume(0), Some(Resumed::Return(0)));
    assert_eq!(server.handle(0, [CPU_OFF, 0, 0, 0]), Answer::Off);
}
