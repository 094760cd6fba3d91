//! CPU_ON.

use psci_server::{Answer, CpuState, Entry, Policy, PowerState, Resumed, Server};

use crate::board::*;

fn on(server: &TestServer, id: u64, address: u64) -> Answer {
    server.handle(0, [CPU_ON, id, address, 9])
}

#[test]
fn row_9_an_unknown_cpu_is_an_invalid_parameter() {
    let server = server();
    for id in [0x002, 0x102, 0x200, 0x1_0000, 0x2_0000_0000, 0xff_00ff_ffff] {
        assert_eq!(on(&server, id, ENTRY.address), INVALID_PARAMETERS, "{id:#x}");
    }
    assert_eq!(server.handle(0, [CPU_ON_32, 0x002, ENTRY.address, 0]), INVALID_PARAMETERS);
    assert_eq!(told(&server), []);
}

#[test]
fn row_10_bits_outside_the_affinity_fields_are_an_invalid_parameter() {
    let server = server();
    for bit in (24..32).chain(40..64) {
        assert_eq!(on(&server, IDS[1] | 1 << bit, ENTRY.address), INVALID_PARAMETERS, "bit {bit}");
    }
    for bit in 24..32 {
        let answer = server.handle(0, [CPU_ON_32, IDS[1] | 1 << bit, ENTRY.address, 0]);
        assert_eq!(answer, INVALID_PARAMETERS, "bit {bit}");
    }
    assert_eq!(on(&server, IDS[1], ENTRY.address), SUCCESS);
}

#[test]
fn row_11_the_caller_is_already_on() {
    assert_eq!(switch_on(&server(), 0), ALREADY_ON);
}

#[test]
fn row_12_a_cpu_that_runs_is_already_on() {
    let server = server();
    bring_up(&server, 1);
    assert_eq!(switch_on(&server, 1), ALREADY_ON);
    assert_eq!(server.handle(1, [CPU_ON, IDS[0], ENTRY.address, 0]), ALREADY_ON);
}

#[test]
fn row_13_a_cpu_that_is_suspended_is_already_on() {
    let server = server();
    bring_up_and_suspend(&server, 1);
    assert_eq!(switch_on(&server, 1), ALREADY_ON);
    assert_eq!(server.enter(1), None);
    bring_up(&server, 2);
    assert_eq!(server.handle(2, [CPU_SUSPEND, 0, 0, 0]), Answer::Suspended(PowerState::StandbyOrRetention(0)));
    assert_eq!(switch_on(&server, 2), ALREADY_ON);
}

#[test]
fn row_14_a_cpu_on_its_way_is_pending() {
    let server = server();
    assert_eq!(switch_on(&server, 1), SUCCESS);
    assert_eq!(switch_on(&server, 1), ON_PENDING);
    assert_eq!(told(&server), [Done::On(1)], "the hardware was told once");
}

#[test]
fn row_16_a_refused_call_leaves_what_is_pending() {
    let server = server();
    assert_eq!(switch_on(&server, 1), SUCCESS);
    assert_eq!(server.handle(0, [CPU_ON, IDS[1], 0x5000_0000, 77]), ON_PENDING);
    assert_eq!(server.handle(0, [CPU_ON, IDS[1], 1, 77]), INVALID_ADDRESS);
    assert_eq!(server.enter(1), Some(ENTRY));
}

#[test]
fn row_16_a_refused_call_leaves_what_a_suspended_cpu_resumes_with() {
    let server = server();
    bring_up_and_suspend(&server, 1);
    assert_eq!(server.handle(0, [CPU_ON, IDS[1], 0x5000_0000, 77]), ALREADY_ON);
    let resumed = Resumed::Enter(Entry { context_id: 5, ..ENTRY });
    assert_eq!(server.resume(1), Some(resumed));
}

#[test]
fn row_17_an_entry_that_cannot_run_is_an_invalid_address() {
    let server = server();
    let odd = [1, 2, 3].map(|offset| ENTRY.address + offset);
    let outside = [0, MEMORY.start - 4, MEMORY.end, u64::MAX - 3, ENTRY.address | 1 << 63];
    for address in odd.into_iter().chain(outside) {
        assert_eq!(on(&server, IDS[1], address), INVALID_ADDRESS, "{address:#x}");
    }
    assert_eq!(states(&server)[1], CpuState::Off);
    assert_eq!(on(&server, IDS[1], MEMORY.end - 4), SUCCESS);
}

#[test]
fn row_18_the_cpu_is_judged_before_the_address() {
    let server = server();
    assert_eq!(on(&server, 0x002, 1), INVALID_PARAMETERS);
    assert_eq!(on(&server, 1 << 63, 1), INVALID_PARAMETERS);
}

#[test]
fn rows_20_and_21_where_the_hardware_fails_the_cpu_is_off_and_can_be_tried_again() {
    let server = server();
    server.platform().fails.set(true);
    assert_eq!(switch_on(&server, 1), INTERNAL_FAILURE);
    assert_eq!(server.enter(1), None, "a CPU that comes all the same gets no entry");
    assert_eq!(server.handle(0, [AFFINITY_INFO, IDS[1], 0, 0]), Answer::Return(1));
    server.platform().fails.set(false);
    bring_up(&server, 1);
}

#[test]
fn row_22_the_context_id_arrives_once_and_whole() {
    let server = server();
    for context_id in [0, 1, u64::MAX, 0x8000_0000_0000_0001] {
        assert_eq!(server.handle(0, [CPU_ON, IDS[1], ENTRY.address, context_id]), SUCCESS);
        assert_eq!(server.enter(1), Some(Entry { context_id, ..ENTRY }));
        assert_eq!(server.enter(1), None);
        assert_eq!(server.handle(1, [CPU_OFF, 0, 0, 0]), Answer::Off);
        assert_eq!(server.enter(1), None);
    }
}

#[test]
fn every_cpu_is_found_whatever_the_order_of_the_ids() {
    let mut orders = vec![IDS.to_vec(), IDS.to_vec(), IDS.to_vec()];
    orders[1].sort_unstable();
    orders[2].sort_unstable_by(|a, b| b.cmp(a));
    for ids in orders {
        let server: TestServer = Server::new(Board::new(Policy::V1_1, &ids));
        for (cpu, id) in ids.into_iter().enumerate() {
            assert_eq!(on(&server, id, ENTRY.address), SUCCESS);
            assert_eq!(server.state(cpu), Some(CpuState::OnPending));
            assert!(server.enter(cpu).is_some());
        }
    }
}

#[test]
fn cpus_for_which_there_is_no_room_do_not_exist() {
    let small: Server<Board, 2> = Server::new(Board::new(Policy::V1_1, &IDS));
    assert_eq!(small.handle(0, [CPU_ON, IDS[2], ENTRY.address, 0]), INVALID_PARAMETERS);
    assert_eq!((small.state(2), small.boot(2), small.enter(2), small.resume(2)), (None, false, None, None));
    let large: Server<Board, 20> = Server::new(Board::new(Policy::V1_1, &IDS));
    assert_eq!((large.state(6), large.boot(6)), (None, false));
    assert_eq!(large.handle(6, [CPU_OFF, 0, 0, 0]), DENIED);
    assert_eq!(large.handle(usize::MAX, [CPU_SUSPEND, 0, 0, 0]), DENIED);
}

#[test]
fn a_machine_starts_with_a_cpu_once() {
    let server = server();
    assert_eq!(states(&server), std::array::from_fn(|cpu| if cpu == 0 { CpuState::On } else { CpuState::Off }));
    assert!(!server.boot(0));
}
