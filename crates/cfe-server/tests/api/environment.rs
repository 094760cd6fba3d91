//! The environment functions.

use cfe_abi::{EnvironmentBuffer, Error, FLAG_ENVIRONMENT_PERMANENT, Function, Request, pointer};
use cfe_server::{Access, MAX_NAME, MAX_VALUE, Server};

use crate::board::{self, DATA, MEMORY, SIZE, TestBoard, ask, put, refused};

const NAME: u32 = DATA;
const VALUE: u32 = DATA + 0x800;

fn server() -> Server<TestBoard> {
    let mut server = board::server();
    server.environment_mut().define(b"LINUX_CMDLINE", b"maxcpus=2", Access::ReadWrite).unwrap();
    server.environment_mut().define(b"CPU_TYPE", b"P5600", Access::ReadOnly).unwrap();
    server
}

fn request(server: &mut Server<TestBoard>, function: Function, name: &[u8], value: &[u8]) -> Request {
    let buffer = EnvironmentBuffer {
        index: 0,
        name: put(server, NAME, name),
        name_length: name.len() as i64,
        value: put(server, VALUE, value),
        value_length: value.len() as i64,
    };
    Request::with(function, buffer)
}

fn change(request: Request, change: impl FnOnce(&mut EnvironmentBuffer)) -> Request {
    let mut buffer = request.parameters();
    change(&mut buffer);
    let mut changed = request;
    changed.set_parameters(buffer);
    changed
}

#[test]
fn get_gives_a_value_with_its_zero() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentGet, b"LINUX_CMDLINE", &[0xee; 20]);
    let answer = ask(&mut server, request);
    assert_eq!(answer, Request { status: 0, ..request });
    assert_eq!(server.board_mut().at(VALUE, 11), b"maxcpus=2\0\xee");
}

#[test]
fn get_cuts_a_value_to_the_room_there_is() {
    for (room, text) in [(1, &b"\0\xee"[..]), (4, b"max\0\xee"), (10, b"maxcpus=2\0\xee")] {
        let mut server = server();
        let request = request(&mut server, Function::EnvironmentGet, b"LINUX_CMDLINE", &[0xee; 20]);
        assert_eq!(ask(&mut server, change(request, |buffer| buffer.value_length = room)).status, 0);
        assert_eq!(server.board_mut().at(VALUE, text.len()), text);
    }
}

#[test]
fn get_needs_no_more_room_than_the_value_takes() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentGet, b"CPU_TYPE", b"");
    let end = MEMORY + SIZE - 6;
    let at_the_end = change(request, |buffer| {
        buffer.value = pointer::from_address(end);
        buffer.value_length = 4096;
    });
    assert_eq!(ask(&mut server, at_the_end).status, 0);
    assert_eq!(server.board_mut().at(end, 6), b"P5600\0");
    let past_the_end = change(at_the_end, |buffer| buffer.value += 1);
    refused(&mut server, 0, past_the_end, Error::InvalidParameter);
}

#[test]
fn get_refuses_no_room_and_bad_pointers() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentGet, b"CPU_TYPE", &[0; 9]);
    for length in [0, -1, i64::MIN] {
        let request = change(request, |buffer| buffer.value_length = length);
        refused(&mut server, 0, request, Error::InvalidParameter);
    }
    for pointer in [0, u64::from(VALUE), pointer::from_address(0x8000_2000), u64::MAX] {
        refused(&mut server, 0, change(request, |buffer| buffer.value = pointer), Error::InvalidParameter);
        refused(&mut server, 0, change(request, |buffer| buffer.name = pointer), Error::InvalidParameter);
    }
    refused(&mut server, 0, change(request, |buffer| buffer.name_length = -1), Error::InvalidParameter);
}

#[test]
fn what_is_not_there_is_not_found() {
    for name in [&b"NOTHING"[..], b"LINUX", b"LINUX_CMDLINE2", b""] {
        for function in [Function::EnvironmentGet, Function::EnvironmentDelete] {
            let mut server = server();
            let request = request(&mut server, function, name, &[0; 9]);
            refused(&mut server, 0, request, Error::VariableNotFound);
        }
    }
}

#[test]
fn names_end_at_their_zero_or_their_length() {
    for (name, length) in [(&b"CPU_TYPE\0"[..], 9), (b"CPU_TYPE\0", 64), (b"CPU_TYPEx", 8)] {
        let mut server = server();
        let request = request(&mut server, Function::EnvironmentGet, name, &[0; 9]);
        assert_eq!(ask(&mut server, change(request, |buffer| buffer.name_length = length)).status, 0, "{name:?}");
    }
}

#[test]
fn set_adds_and_replaces() {
    let mut server = server();
    for value in [&b"first"[..], b"second one", b""] {
        let request = request(&mut server, Function::EnvironmentSet, b"NEW", value);
        assert_eq!(ask(&mut server, request), Request { status: 0, ..request });
        assert_eq!(server.environment().get(b"NEW"), Some(value));
    }
    assert_eq!(server.environment().iter().count(), 3);
}

#[test]
fn set_refuses_what_is_read_only() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentSet, b"CPU_TYPE", b"34Kf");
    refused(&mut server, 0, request, Error::VariableReadOnly);
}

#[test]
fn set_refuses_what_is_too_long_or_has_no_name() {
    let long_name = [b'n'; MAX_NAME + 1];
    let long_value = [b'v'; MAX_VALUE + 1];
    for (name, value) in [(&long_name[..], &b"v"[..]), (b"N", &long_value), (b"", b"v")] {
        let mut server = server();
        let request = request(&mut server, Function::EnvironmentSet, name, value);
        refused(&mut server, 0, request, Error::InvalidParameter);
    }
}

#[test]
fn set_refuses_bad_pointers_and_lengths() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentSet, b"NEW", b"value");
    refused(&mut server, 0, change(request, |buffer| buffer.value = 0), Error::InvalidParameter);
    refused(&mut server, 0, change(request, |buffer| buffer.name = 0), Error::InvalidParameter);
    refused(&mut server, 0, change(request, |buffer| buffer.value_length = -1), Error::InvalidParameter);
}

#[test]
fn set_keeps_nothing_for_the_next_reset() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentSet, b"NEW", b"value");
    refused(&mut server, 0, request.with_flags(FLAG_ENVIRONMENT_PERMANENT), Error::InputOutput);
}

#[test]
fn set_refuses_what_does_not_fit_and_keeps_the_old_value() {
    let mut server = server();
    for name in [b"A", b"B", b"C"] {
        let request = request(&mut server, Function::EnvironmentSet, name, &[b'v'; MAX_VALUE]);
        assert_eq!(ask(&mut server, request).status, 0);
    }
    let request = request(&mut server, Function::EnvironmentSet, b"LINUX_CMDLINE", &[b'v'; MAX_VALUE]);
    refused(&mut server, 0, request, Error::NoMemory);
}

#[test]
fn del_deletes_but_not_what_is_read_only() {
    let mut server = server();
    let delete = request(&mut server, Function::EnvironmentDelete, b"LINUX_CMDLINE", b"");
    assert_eq!(ask(&mut server, delete).status, 0);
    assert_eq!(server.environment().get(b"LINUX_CMDLINE"), None);
    refused(&mut server, 0, delete, Error::VariableNotFound);
    let read_only = request(&mut server, Function::EnvironmentDelete, b"CPU_TYPE", b"");
    refused(&mut server, 0, read_only, Error::VariableReadOnly);
}

#[test]
fn enum_counts_all_variables() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentEnumerate, &[0xee; 32], &[0xee; 32]);
    assert_eq!(ask(&mut server, request).status, 0);
    assert_eq!(server.board_mut().at(NAME, 15), b"LINUX_CMDLINE\0\xee");
    assert_eq!(server.board_mut().at(VALUE, 11), b"maxcpus=2\0\xee");
    assert_eq!(ask(&mut server, change(request, |buffer| buffer.index = 1)).status, 0);
    assert_eq!(server.board_mut().at(NAME, 9), b"CPU_TYPE\0");
    for index in [2, -1, i64::MAX, i64::MIN] {
        refused(&mut server, 0, change(request, |buffer| buffer.index = index), Error::VariableNotFound);
    }
}

#[test]
fn enum_writes_both_or_neither() {
    let mut server = server();
    let request = request(&mut server, Function::EnvironmentEnumerate, &[0xee; 32], &[0xee; 32]);
    refused(&mut server, 0, change(request, |buffer| buffer.value = 0), Error::InvalidParameter);
    refused(&mut server, 0, change(request, |buffer| buffer.name = 0), Error::InvalidParameter);
    refused(&mut server, 0, change(request, |buffer| buffer.value_length = 0), Error::InvalidParameter);
    refused(&mut server, 0, change(request, |buffer| buffer.name_length = 0), Error::InvalidParameter);
}
