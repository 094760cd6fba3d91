//! The device functions.

use cfe_abi::{Buffer, EnvironmentBuffer, Error, Function, InputStatus, Request, pointer};
use cfe_server::{CONSOLE_HANDLE, MAX_NAME, Server};

use crate::board::{DATA, MEMORY, SIZE, TestBoard, ask, put, refused, server};

fn buffer(function: Function, pointer: u64, length: u64) -> Request {
    Request::with(function, Buffer { pointer, length, offset: 5, returned_length: 99, control: 77 })
}

/// A request with a name, put into memory.
fn named(server: &mut Server<TestBoard>, function: Function, name: &[u8]) -> Request {
    let pointer = put(server, DATA, name);
    buffer(function, pointer, name.len() as u64)
}

fn closed() -> Server<TestBoard> {
    let mut server = server();
    assert_eq!(ask(&mut server, Request::new(Function::DeviceClose).with_handle(CONSOLE_HANDLE)).status, 0);
    server
}

fn enumerate(index: i64, name: u64, name_length: i64) -> Request {
    let buffer = EnvironmentBuffer { index, name, name_length, ..EnvironmentBuffer::default() };
    Request::with(Function::DeviceEnumerate, buffer)
}

#[test]
fn gethandle_knows_the_console_only() {
    let answer = ask(&mut server(), Request::new(Function::DeviceGetHandle).with_handle(9));
    assert_eq!((answer.status, answer.handle), (0, CONSOLE_HANDLE));
    refused(&mut server(), 0, Request::new(Function::DeviceGetHandle).with_flags(1), Error::InvalidParameter);
    refused(&mut closed(), 0, Request::new(Function::DeviceGetHandle), Error::DeviceNotFound);
}

#[test]
fn enum_names_the_one_device() {
    let mut server = server();
    let answer = ask(&mut server, enumerate(0, pointer::from_address(DATA), 20));
    assert_eq!(answer.status, 0);
    assert_eq!(server.board_mut().at(DATA, 7), b"uart0\0\xa5");
    for index in [1, -1, i64::MAX] {
        refused(&mut server, 0, enumerate(index, pointer::from_address(DATA), 20), Error::NoMore);
    }
}

#[test]
fn enum_cuts_the_name_and_refuses_no_room() {
    let mut server = server();
    assert_eq!(ask(&mut server, enumerate(0, pointer::from_address(DATA), 3)).status, 0);
    assert_eq!(server.board_mut().at(DATA, 4), b"ua\0\xa5");
    for length in [0, -1] {
        refused(&mut server, 0, enumerate(0, pointer::from_address(DATA), length), Error::InvalidParameter);
    }
    refused(&mut server, 0, enumerate(0, 0, 20), Error::InvalidParameter);
}

#[test]
fn the_console_is_open_until_it_is_closed() {
    let mut server = server();
    let open = named(&mut server, Function::DeviceOpen, b"uart0");
    refused(&mut server, 0, open, Error::DeviceOpen);
    assert_eq!(ask(&mut server, Request::new(Function::DeviceClose).with_handle(CONSOLE_HANDLE)).status, 0);
    let answer = ask(&mut server, open.with_handle(9));
    assert_eq!((answer.status, answer.handle), (0, CONSOLE_HANDLE));
    refused(&mut server, 0, open, Error::DeviceOpen);
}

#[test]
fn open_understands_names_with_and_without_their_zero() {
    for (name, length) in [(&b"uart0\0"[..], 6), (b"uart0xyz", 5), (b"uart0\0zz", 8)] {
        let mut server = closed();
        let pointer = put(&mut server, DATA, name);
        assert_eq!(ask(&mut server, buffer(Function::DeviceOpen, pointer, length)).status, 0, "{name:?}");
    }
}

#[test]
fn open_refuses_other_names() {
    for name in [&b"uart1"[..], b"uart", b"uart00", b"", b"eth0", b"uart0:115200"] {
        let mut server = closed();
        let request = named(&mut server, Function::DeviceOpen, name);
        refused(&mut server, 0, request, Error::DeviceNotFound);
    }
    let mut server = closed();
    let request = named(&mut server, Function::DeviceOpen, &[b'u'; MAX_NAME + 1]);
    refused(&mut server, 0, request, Error::InvalidParameter);
}

#[test]
fn getinfo_tells_the_class_of_the_console() {
    for name in [&b"uart0"[..], b"uart0:115200"] {
        let mut server = server();
        let request = named(&mut server, Function::DeviceGetInfo, name);
        let answer = ask(&mut server, request);
        assert_eq!(answer.result(), Ok(()));
        assert_eq!(answer.parameters::<Buffer>(), Buffer { control: 4, ..request.parameters() });
    }
    let mut server = server();
    let request = named(&mut server, Function::DeviceGetInfo, b"eth0");
    refused(&mut server, 0, request, Error::DeviceNotFound);
}

#[test]
fn inpstat_tells_whether_there_is_input() {
    let mut server = server();
    let request = Request::with(Function::DeviceInputStatus, InputStatus { status: 9 });
    assert_eq!(ask(&mut server, request).parameters::<InputStatus>().status, 0);
    server.board_mut().input.push_back(b'x');
    assert_eq!(ask(&mut server, request).parameters::<InputStatus>().status, 1);
}

#[test]
fn read_gives_what_is_there_and_does_not_wait() {
    let mut server = server();
    let request = buffer(Function::DeviceRead, pointer::from_address(DATA), 200);
    let answer = ask(&mut server, request);
    assert_eq!((answer.status, answer.parameters::<Buffer>().returned_length), (0, 0));

    server.board_mut().input.extend(0..150);
    let answer = ask(&mut server, request);
    assert_eq!((answer.status, answer.parameters::<Buffer>().returned_length), (0, 150));
    assert_eq!(server.board_mut().at(DATA, 150), (0..150).collect::<Vec<u8>>());
    assert_eq!(server.board_mut().at(DATA + 150, 1), [0xa5]);
}

#[test]
fn read_leaves_what_does_not_fit() {
    let mut server = server();
    server.board_mut().input.extend(b"abcdef");
    let answer = ask(&mut server, buffer(Function::DeviceRead, pointer::from_address(DATA), 4));
    assert_eq!(answer.parameters::<Buffer>().returned_length, 4);
    assert_eq!(server.board_mut().at(DATA, 5), b"abcd\xa5");
    assert_eq!(server.board().input, b"ef");
}

#[test]
fn write_gives_all_to_the_console() {
    let mut server = server();
    let text: Vec<u8> = (0..200).collect();
    let pointer = put(&mut server, DATA, &text);
    let answer = ask(&mut server, buffer(Function::DeviceWrite, pointer, 200));
    assert_eq!((answer.status, answer.parameters::<Buffer>().returned_length), (0, 200));
    assert_eq!(server.board().output, text);
}

#[test]
fn write_says_how_much_a_slow_console_took() {
    let mut server = server();
    server.board_mut().console_takes = 10;
    let pointer = put(&mut server, DATA, &[b'x'; 100]);
    let answer = ask(&mut server, buffer(Function::DeviceWrite, pointer, 100));
    assert_eq!((answer.status, answer.parameters::<Buffer>().returned_length), (0, 10));
    assert_eq!(server.board().output, [b'x'; 10]);
}

#[test]
fn write_takes_memory_up_to_its_last_byte() {
    let mut server = server();
    let pointer = put(&mut server, MEMORY + SIZE - 3, b"end");
    assert_eq!(ask(&mut server, buffer(Function::DeviceWrite, pointer, 3)).status, 0);
    assert_eq!(server.board().output, b"end");
    refused(&mut server, 0, buffer(Function::DeviceWrite, pointer, 4), Error::InvalidParameter);
}

#[test]
fn buffers_that_must_not_be_followed_are_refused() {
    for function in [Function::DeviceRead, Function::DeviceWrite, Function::DeviceOpen, Function::DeviceGetInfo] {
        for pointer in [
            0,
            0x10_1000,
            u64::from(DATA),
            pointer::from_address(0x8000_1000),
            pointer::from_address(0x800f_ffff),
            pointer::from_address(0x9fc0_0500),
            pointer::from_address(0xbf00_0900),
            pointer::from_address(0xc010_1000),
            pointer::from_address(0xffff_ffff),
            u64::MAX >> 1,
        ] {
            let mut server = server();
            server.board_mut().input.extend(b"abc");
            refused(&mut server, 0, buffer(function, pointer, 8), Error::InvalidParameter);
        }
    }
    for length in [u64::MAX, 1 << 32, u64::from(u32::MAX), u64::from(SIZE)] {
        for function in [Function::DeviceRead, Function::DeviceWrite] {
            refused(&mut server(), 0, buffer(function, pointer::from_address(DATA), length), Error::InvalidParameter);
        }
    }
}

#[test]
fn nothing_is_moved_whatever_the_pointer() {
    for function in [Function::DeviceRead, Function::DeviceWrite] {
        for pointer in [0, 1, u64::MAX] {
            let answer = ask(&mut server(), buffer(function, pointer, 0));
            assert_eq!((answer.status, answer.parameters::<Buffer>().returned_length), (0, 0));
        }
    }
}

#[test]
fn handles_that_are_not_open_are_refused() {
    let requests = [
        Request::with(Function::DeviceInputStatus, InputStatus::default()),
        buffer(Function::DeviceRead, pointer::from_address(DATA), 8),
        buffer(Function::DeviceWrite, pointer::from_address(DATA), 8),
        buffer(Function::DeviceControl, pointer::from_address(DATA), 8),
        Request::new(Function::DeviceClose),
    ];
    for request in requests {
        for handle in [1, 2, -1, i64::MAX, i64::MIN, 1 << 32] {
            refused(&mut server(), 0, request.with_handle(handle), Error::InvalidParameter);
        }
        refused(&mut closed(), 0, request, Error::InvalidParameter);
    }
}

#[test]
fn there_are_no_device_commands() {
    refused(&mut server(), 0, buffer(Function::DeviceControl, pointer::from_address(DATA), 8), Error::InvalidCommand);
}
