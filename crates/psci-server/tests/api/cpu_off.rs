//! CPU_OFF.

use psci_server::{Answer, CpuState};

use crate::board::*;

const OFF: [u64; 4] = [CPU_OFF, 0, 0, 0];

#[test]
fn row_25_cpu_off_returns_denied_only_and_then_the_cpu_is_on() {
    let server = server();
    bring_up(&server, 1);
    server.platform().fails.set(true);
    assert_eq!(server.handle(1, OFF), DENIED);
    assert_eq!(server.state(1), Some(CpuState::On));
    assert_eq!(server.handle(0, [AFFINITY_INFO, IDS[1], 0, 0]), SUCCESS);
    assert_eq!(switch_on(&server, 1), ALREADY_ON);
    server.platform().fails.set(false);
    assert_eq!(server.handle(1, OFF), Answer::Off);
}

#[test]
fn row_26_off_is_visible_and_the_cpu_can_be_switched_on_again() {
    let server = server();
    bring_up(&server, 1);
    assert_eq!(server.handle(1, OFF), Answer::Off);
    assert_eq!(server.handle(0, [AFFINITY_INFO, IDS[1], 0, 0]), Answer::Return(1));
    assert_eq!(server.enter(1), None);
    bring_up(&server, 1);
}

#[test]
fn row_26_the_cpu_that_the_machine_started_with_goes_off_and_comes_back() {
    let server = server();
    bring_up(&server, 1);
    assert_eq!(server.handle(0, OFF), Answer::Off);
    assert_eq!(server.handle(1, [CPU_ON, IDS[0], ENTRY.address, ENTRY.context_id]), SUCCESS);
    assert_eq!(server.enter(0), Some(ENTRY));
}

#[test]
fn row_28_a_cpu_goes_off_and_on_30_000_times() {
    let server = server();
    for _ in 0..30_000 {
        bring_up(&server, 1);
        assert_eq!(server.handle(1, OFF), Answer::Off);
        assert_eq!(server.state(1), Some(CpuState::Off));
    }
}

#[test]
fn a_cpu_that_is_not_on_to_the_server_is_denied_without_the_hardware() {
    let server = server();
    assert_eq!(server.handle(1, OFF), DENIED);
    assert_eq!(switch_on(&server, 1), SUCCESS);
    told(&server);
    assert_eq!(server.handle(1, OFF), DENIED);
    assert_eq!(told(&server), []);
    assert_eq!(server.enter(1), Some(ENTRY));
}
