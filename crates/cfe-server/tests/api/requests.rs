//! What holds for every request: codes, sizes, and where it is in memory.

use cfe_abi::{CpuControl, Error, Function, HEADER_SIZE, Request, Time};
use cfe_server::Server;

use crate::board::{DATA, MEMORY, SIZE, TestBoard, put, refused, server};

fn put_request(server: &mut Server<TestBoard>, address: u32, request: &Request) {
    put(server, address, &request.to_bytes());
}

fn request_at(server: &mut Server<TestBoard>, address: u32) -> Request {
    let bytes = &*server.board_mut().at(address, Request::SIZE);
    Request::from_bytes(bytes.try_into().unwrap())
}

#[test]
fn unknown_codes_are_no_commands() {
    for function in [7, 8, 18, 19, 21, 25, 31, 32, 0x8000, 1 << 32, u64::MAX] {
        for parameter_size in [0, 8, 40, 48, 80] {
            let request = Request { function, parameter_size, ..Request::default() };
            refused(&mut server(), 0, request, Error::InvalidCommand);
        }
    }
}

#[test]
fn every_function_refuses_every_size_but_its_own() {
    for function in Function::ALL {
        let sizes = (0..=120).chain([1 << 32, u64::MAX]);
        for parameter_size in sizes.filter(|size| *size != function.parameter_size()) {
            let request = Request { parameter_size, ..Request::new(*function) };
            refused(&mut server(), 0, request, Error::InvalidParameter);
        }
    }
}

#[test]
fn a_request_is_answered_where_it_is() {
    for address in [DATA, DATA + 0x2000_0000] {
        let mut server = server();
        put_request(&mut server, address, &Request::with(Function::GetTime, Time { ticks: 99 }));
        assert_eq!(server.dispatch_at(0, address), 0);
        let answer = request_at(&mut server, address);
        assert_eq!((answer.status, answer.parameters()), (0, Time { ticks: 7 }));
    }
}

#[test]
fn a_refused_request_in_memory_stays_but_for_its_status() {
    let mut server = server();
    let request = Request { function: 21, ..Request::default() };
    put_request(&mut server, DATA, &request);
    assert_eq!(server.dispatch_at(0, DATA), -2);
    assert_eq!(request_at(&mut server, DATA), Request { status: -2, ..request });
}

#[test]
fn the_caller_is_who_is_said_to_be() {
    let mut server = server();
    let control = CpuControl { cpu_number: 1, ..CpuControl::default() };
    put_request(&mut server, DATA, &Request::with(Function::CpuControl, control));
    assert_eq!(server.dispatch_at(3, DATA), -1);
    assert_eq!(server.dispatch_at(0, DATA), 0);
}

#[test]
fn memory_behind_a_short_list_is_neither_read_nor_written() {
    let mut server = server();
    let size = HEADER_SIZE + 8;
    let address = MEMORY + SIZE - size as u32;
    put(&mut server, address, &Request::with(Function::GetTime, Time::default()).to_bytes()[..size]);
    assert_eq!(server.dispatch_at(0, address), 0);
    assert_eq!(server.board_mut().at(address + 40, 8), 7_i64.to_ne_bytes());

    put_request(&mut server, DATA, &Request { words: [5; 10], ..Request::with(Function::GetTime, Time::default()) });
    assert_eq!(server.dispatch_at(0, DATA), 0);
    assert_eq!(request_at(&mut server, DATA).words, [7, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
}

#[test]
fn a_list_that_is_out_of_reach_is_refused_in_the_header() {
    let mut server = server();
    let address = MEMORY + SIZE - HEADER_SIZE as u32;
    let request = Request::with(Function::GetTime, Time::default());
    put(&mut server, address, &request.to_bytes()[..HEADER_SIZE]);
    assert_eq!(server.dispatch_at(0, address), -8);
    assert_eq!(server.board_mut().at(address + 8, 8), (-8_i64).to_ne_bytes());
}

#[test]
fn a_request_that_is_nowhere_is_refused() {
    for address in
        [0, 0x10_1000, 0x8000_1000, 0x9fc0_0000, 0xc010_1000, MEMORY + SIZE - 8, u32::MAX, DATA + 4, DATA + 1]
    {
        let mut server = server();
        let before = server.clone();
        assert_eq!(server.dispatch_at(0, address), -8, "{address:#x}");
        assert_eq!(server, before);
    }
}
