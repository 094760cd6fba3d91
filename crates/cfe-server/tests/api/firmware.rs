//! GETINFO, RESTART, BOOT, GETTIME, MEMENUM and FLUSHCACHE.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cfe_abi::{
    Buffer, CacheFlags, Error, ExitStatus, FLAG_FULL_ARENA, FLAG_WARM_START, FirmwareInfo, Function, MemoryInfo,
    Request, Time,
};
use cfe_server::Server;

use crate::board::{AVAILABLE, Call, Restarted, SIZE, TestBoard, ask, refused, server};

#[test]
fn getinfo_tells_what_firmware_and_board_are() {
    let answer = ask(&mut server(), Request::with(Function::FirmwareGetInfo, FirmwareInfo::default()));
    assert_eq!(answer.result(), Ok(()));
    let expected = FirmwareInfo {
        version: 0x01_0402,
        total_memory: i64::from(AVAILABLE + SIZE + 0x1000),
        flags: 0x12,
        board_id: 6,
        boot_area_virtual: 0xffff_ffff_a002_0000_u64 as i64,
        boot_area_physical: 0x2_0000,
        boot_area_size: 0x1000,
        ..FirmwareInfo::default()
    };
    assert_eq!(answer.parameters::<FirmwareInfo>(), expected);
}

#[test]
fn getinfo_names_several_cpus_only_where_there_are() {
    let mut alone = Server::new(TestBoard::new());
    let answer = ask(&mut alone, Request::with(Function::FirmwareGetInfo, FirmwareInfo::default()));
    assert_eq!(answer.parameters::<FirmwareInfo>().flags, 2);
}

#[test]
fn restart_does_not_come_back() {
    for (flags, warm) in [(0, false), (FLAG_WARM_START, true)] {
        let mut server = server();
        let mut request = Request::with(Function::Restart, ExitStatus { status: -3 }).with_flags(flags);
        let unwound = catch_unwind(AssertUnwindSafe(|| server.dispatch(0, &mut request))).unwrap_err();
        assert_eq!(unwound.downcast_ref(), Some(&Restarted { warm, status: -3 }));
    }
}

#[test]
fn boot_is_no_command() {
    refused(&mut server(), 0, Request::with(Function::Boot, Buffer::default()), Error::InvalidCommand);
}

#[test]
fn gettime_tells_the_boards_ticks() {
    let mut server = server();
    server.board_mut().ticks = 1 << 40;
    let answer = ask(&mut server, Request::with(Function::GetTime, Time::default()));
    assert_eq!((answer.status, answer.parameters()), (0, Time { ticks: 1 << 40 }));
}

#[test]
fn memenum_counts_the_map_and_ends_with_minus_28() {
    for flags in [0, FLAG_FULL_ARENA] {
        let mut server = server();
        let mut regions = Vec::new();
        let end = loop {
            let index = regions.len() as i64;
            let request = Request::with(Function::MemoryEnumerate, MemoryInfo { index, ..MemoryInfo::default() });
            let answer = ask(&mut server, request.with_flags(flags));
            if answer.status < 0 {
                break answer.status;
            }
            let info: MemoryInfo = answer.parameters();
            assert_eq!(info.index, index);
            regions.push((info.memory_type, info.address, info.size));
        };
        assert_eq!(end, -28);
        let (available, size) = (u64::from(AVAILABLE), u64::from(SIZE));
        assert_eq!(regions, [(0, 0, available), (1, available, size), (0, available + size, 0x1000)]);
    }
}

#[test]
fn memenum_is_past_its_end_at_every_number_behind_it_and_before() {
    for index in [3, i64::MAX, -1, i64::MIN] {
        let request = Request::with(Function::MemoryEnumerate, MemoryInfo { index, ..MemoryInfo::default() });
        refused(&mut server(), 0, request, Error::NoMore);
    }
}

#[test]
fn flushcache_does_what_the_flags_say() {
    for (flags, done) in [(0, 3), (1, 1), (2, 2), (4, 4), (8, 8), (15, 15)] {
        let mut server = server();
        assert_eq!(ask(&mut server, Request::new(Function::FlushCache).with_flags(flags)).status, 0);
        assert_eq!(server.board().calls, [Call::Flush(CacheFlags(done))]);
    }
}

#[test]
fn flushcache_refuses_what_it_does_not_know() {
    for flags in [16, 17, 1 << 63] {
        refused(&mut server(), 0, Request::new(Function::FlushCache).with_flags(flags), Error::InvalidParameter);
    }
}
