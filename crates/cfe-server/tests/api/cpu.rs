//! CPUCTL.

use cfe_abi::{CpuCommand, CpuControl, Error, Function, Request, pointer};
use cfe_server::{CpuState, MAX_CPUS, Server, StartRecord};

use crate::board::{Call, MEMORY, TestBoard, ask, refused, server};

const ENTRY: u32 = MEMORY + 0x400;

fn start(cpu_number: u64) -> Request {
    Request::with(
        Function::CpuControl,
        CpuControl {
            cpu_number,
            command: CpuCommand::Start.code(),
            start_address: pointer::from_address(ENTRY),
            global_pointer: pointer::from_address(0x8010_8000),
            stack_pointer: pointer::from_address(0x8010_7ff0),
            a1: 0x1234_5678_9abc_def0,
        },
    )
}

fn stop(cpu_number: u64) -> Request {
    let command = CpuCommand::Stop.code();
    Request::with(Function::CpuControl, CpuControl { cpu_number, command, ..CpuControl::default() })
}

fn change(request: Request, change: impl FnOnce(&mut CpuControl)) -> Request {
    let mut control = request.parameters();
    change(&mut control);
    Request::with(Function::CpuControl, control)
}

#[test]
fn a_parked_cpu_starts_with_the_registers_of_the_request() {
    let mut server = server();
    assert_eq!(ask(&mut server, start(1)).status, 0);
    let record = StartRecord { pc: ENTRY, sp: 0x8010_7ff0, gp: 0x8010_8000, a1: 0x9abc_def0 };
    assert_eq!(server.board().calls, [Call::Start(1, record)]);
    assert_eq!(server.cpu_state(1), CpuState::Running);
    assert_eq!(server.cpu_state(2), CpuState::Parked);
}

#[test]
fn a_stopped_cpu_can_be_started_again() {
    let mut server = server();
    for _ in 0..3 {
        assert_eq!(ask(&mut server, start(2)).status, 0);
        assert_eq!(ask(&mut server, stop(2)).status, 0);
        assert_eq!(server.cpu_state(2), CpuState::Parked);
    }
    assert_eq!(server.board().calls.len(), 6);
}

#[test]
fn a_probe_by_stopping_counts_the_cpus_that_answer() {
    let mut server = server();
    server.board_mut().stuck = vec![2, 4];
    let found: Vec<_> = (1..MAX_CPUS as u64).filter(|cpu| ask(&mut server, stop(*cpu)).status == 0).collect();
    assert_eq!(found, [1, 3]);
    // Also those that were parked are reset, and only those that exist.
    assert_eq!(server.board().calls, [Call::Stop(1), Call::Stop(2), Call::Stop(3), Call::Stop(4)]);
}

#[test]
fn numbers_that_are_no_secondary_are_refused() {
    for cpu in [0, 5, 63, 64, 65, 1 << 32, (1 << 32) + 1, u64::MAX] {
        refused(&mut server(), 0, start(cpu), Error::General);
        refused(&mut server(), 0, stop(cpu), Error::General);
    }
}

#[test]
fn a_running_cpu_is_not_started() {
    refused(&mut server(), 0, start(3), Error::General);
    let mut server = server();
    assert_eq!(ask(&mut server, start(1)).status, 0);
    refused(&mut server, 0, start(1), Error::General);
}

#[test]
fn secondaries_may_neither_start_nor_stop() {
    for caller in [1, 3, 99] {
        for cpu in 0..5 {
            refused(&mut server(), caller, start(cpu), Error::General);
            refused(&mut server(), caller, stop(cpu), Error::General);
        }
    }
}

#[test]
fn a_cpu_that_does_not_park_is_given_up_until_it_does() {
    let mut server = server();
    server.board_mut().stuck = vec![3];
    assert_eq!(ask(&mut server, stop(3)).result(), Err(Error::NotReady));
    assert_eq!(server.cpu_state(3), CpuState::GivenUp);
    refused(&mut server, 0, start(3), Error::NotReady);

    server.board_mut().stuck.clear();
    assert_eq!(ask(&mut server, stop(3)).status, 0);
    assert_eq!(ask(&mut server, start(3)).status, 0);
    assert_eq!(server.cpu_state(3), CpuState::Running);
}

#[test]
fn unknown_commands_are_refused() {
    for command in [2, u64::MAX] {
        refused(&mut server(), 0, change(stop(1), |control| control.command = command), Error::InvalidParameter);
    }
}

#[test]
fn a_start_address_must_be_an_instruction_in_available_memory() {
    for address in [0, 0x10_0400, 0x8000_0000, 0x9fc0_0000, 0xbfc0_0500, 0xc000_0000, ENTRY + 1, ENTRY + 2] {
        let request = change(start(1), |control| control.start_address = pointer::from_address(address));
        refused(&mut server(), 0, request, Error::InvalidParameter);
    }
    let request = change(start(1), |control| control.start_address = ENTRY.into());
    refused(&mut server(), 0, request, Error::InvalidParameter);
}

#[test]
fn uncached_start_addresses_are_taken() {
    let mut server = server();
    let request = change(start(1), |control| control.start_address = pointer::from_address(ENTRY + 0x2000_0000));
    assert_eq!(ask(&mut server, request).status, 0);
}

#[test]
fn one_cpu_alone_has_no_such_function() {
    let mut alone = Server::new(TestBoard::new());
    refused(&mut alone, 0, start(1), Error::InvalidCommand);
    refused(&mut alone, 0, stop(1), Error::InvalidCommand);
}

#[test]
fn only_numbers_of_secondaries_can_be_told_to_the_server() {
    let mut server = Server::new(TestBoard::new());
    for cpu in [0, MAX_CPUS as u32, u32::MAX] {
        assert_eq!(server.set_secondary(cpu, CpuState::Parked), Err(Error::InvalidParameter));
    }
    assert_eq!(server, Server::new(TestBoard::new()));
    server.set_secondary(MAX_CPUS as u32 - 1, CpuState::Parked).unwrap();
    assert_eq!(ask(&mut server, start(MAX_CPUS as u64 - 1)).status, 0);
}
