//! Requests at random: the server never panics, answers only with documented codes, and a refusal changes nothing.

use cfe_abi::{Error, Function, Request, pointer};
use cfe_server::{Access, CpuState, Server};
use proptest::prelude::*;

use crate::board::{self, DATA, MEMORY, SIZE, TestBoard};

/// What may be in a field: small numbers, addresses good and bad, and anything.
fn word() -> impl Strategy<Value = u64> {
    let ends = [MEMORY, MEMORY + SIZE, 0x8000_0000, 0x9fff_ffff, 0xbfff_ffff, 0xffff_ffff];
    prop_oneof![
        4 => 0..8_u64,
        2 => 0..200_u64,
        4 => (0..0x2000_u32).prop_map(|offset| pointer::from_address(DATA + offset)),
        2 => (prop::sample::select(ends.to_vec()), -64..64_i32)
            .prop_map(|(end, offset)| pointer::from_address(end.wrapping_add_signed(offset))),
        1 => any::<i8>().prop_map(|number| i64::from(number) as u64),
        1 => any::<u64>(),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let function = prop_oneof![
        8 => prop::sample::select(Function::ALL.to_vec()).prop_map(Function::code),
        1 => 0..40_u64,
        1 => any::<u64>(),
    ];
    let handle = prop_oneof![4 => Just(0_i64), 1 => -2..4_i64, 1 => any::<i64>()];
    let flags = prop_oneof![4 => 0..4_u64, 1 => 0..32_u64, 1 => any::<u64>()];
    let size = prop::option::weighted(0.1, any::<u64>());
    (function, any::<i64>(), handle, flags, size, prop::array::uniform10(word())).prop_map(
        |(function, status, handle, flags, size, words)| {
            let right = Function::from_code(function).map_or(0, Function::parameter_size);
            Request { function, status, handle, flags, parameter_size: size.unwrap_or(right), words }
        },
    )
}

/// A server whose board fails CPU 2, has input, and whose memory holds names.
fn server() -> Server<TestBoard> {
    let mut server = board::server();
    server.environment_mut().define(b"A", b"value", Access::ReadWrite).unwrap();
    server.environment_mut().define(b"B", b"constant", Access::ReadOnly).unwrap();
    let board = server.board_mut();
    board.stuck = vec![2];
    board.input.extend(0..100);
    for (index, name) in [&b"A\0"[..], b"B\0", b"uart0\0", b"C\0"].iter().cycle().take(512).enumerate() {
        board.at(DATA + 16 * index as u32, name.len()).copy_from_slice(name);
    }
    server
}

/// The codes with which a function may be refused.
fn documented(function: Option<Function>) -> &'static [Error] {
    use Error::*;
    match function {
        None | Some(Function::Boot) => &[InvalidCommand, InvalidParameter],
        Some(Function::CpuControl) => &[InvalidParameter, General, NotReady],
        Some(Function::MemoryEnumerate | Function::DeviceEnumerate) => &[InvalidParameter, NoMore],
        Some(Function::DeviceOpen) => &[InvalidParameter, DeviceNotFound, DeviceOpen],
        Some(Function::DeviceGetHandle | Function::DeviceGetInfo) => &[InvalidParameter, DeviceNotFound],
        Some(Function::DeviceControl) => &[InvalidParameter, InvalidCommand],
        Some(Function::EnvironmentEnumerate | Function::EnvironmentGet) => &[InvalidParameter, VariableNotFound],
        Some(Function::EnvironmentSet) => &[InvalidParameter, VariableReadOnly, NoMemory, InputOutput],
        Some(Function::EnvironmentDelete) => &[InvalidParameter, VariableNotFound, VariableReadOnly],
        Some(_) => &[InvalidParameter],
    }
}

/// Whether a request ends the run, and so is not for these tests.
fn restarts(request: &Request) -> bool {
    request.function == Function::Restart.code() && request.parameter_size == Function::Restart.parameter_size()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_requests_are_answered_as_documented(
        requests in prop::collection::vec((prop_oneof![4 => Just(0), 1 => 0..70_u32], request()), 1..40)
    ) {
        let mut server = server();
        for (cpu, request) in requests.into_iter().filter(|(_, request)| !restarts(request)) {
            let before = server.clone();
            let mut answer = request;
            let status = server.dispatch(cpu, &mut answer);
            prop_assert_eq!(status, answer.status);
            prop_assert!(status <= 0);
            let header = Request { status: request.status, handle: request.handle, words: request.words, ..answer };
            prop_assert_eq!(header, request, "what is asked is the caller's");

            if let Some(error) = Error::from_code(status) {
                let function = Function::from_code(request.function);
                prop_assert!(documented(function).contains(&error), "{:?}: {}", function, error);
                prop_assert_eq!(answer, Request { status, ..request });
                let given_up = (1..5).any(|cpu| {
                    server.cpu_state(cpu) == CpuState::GivenUp && before.board().calls.len() < server.board().calls.len()
                });
                prop_assert!(server == before || (error == Error::NotReady && given_up), "{:?}", request);
            }
            prop_assert_eq!(server.cpu_state(0), CpuState::Running);
            prop_assert_eq!(&server.board().map, &before.board().map);
        }
    }

    #[test]
    fn a_request_anywhere_in_memory_is_answered_or_refused(
        request in request(),
        address in prop_oneof![(0..SIZE / 8).prop_map(|index| MEMORY + 8 * index), any::<u32>()],
    ) {
        prop_assume!(!restarts(&request));
        let mut server = server();
        let begin = address.wrapping_sub(MEMORY) as usize;
        for (index, byte) in request.to_bytes().into_iter().enumerate() {
            if let Some(place) = server.board_mut().memory.get_mut(begin.saturating_add(index)) {
                *place = byte;
            }
        }
        let status = server.dispatch_at(0, address);
        prop_assert!(status == 0 || Error::NAMED.iter().any(|error| error.code() == status));
    }
}
