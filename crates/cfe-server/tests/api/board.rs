//! A board in memory that can be compared with itself, and a machine around it.

use std::collections::VecDeque;

use cfe_abi::{CacheFlags, Error, MemoryType, Request, pointer};
use cfe_server::{Board, BootArea, CallerMemory, CpuState, Information, MemoryRegion, NotParked, Server, StartRecord};

/// Where the memory begins that programs may use.
pub const AVAILABLE: u32 = 0x10_0000;

/// How much of it there is.
pub const SIZE: u32 = 0x1_0000;

/// The same in KSEG0.
pub const MEMORY: u32 = 0x8000_0000 + AVAILABLE;

/// Where to put requests, and, from here on, what they point to.
pub const DATA: u32 = MEMORY + 0x1000;

/// What a [`TestBoard`] was told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Start(u32, StartRecord),
    Stop(u32),
    Flush(CacheFlags),
}

/// What unwinds out of [`Board::restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarted {
    pub warm: bool,
    pub status: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestBoard {
    pub map: Vec<MemoryRegion>,
    pub memory: Vec<u8>,
    pub output: Vec<u8>,
    pub input: VecDeque<u8>,
    /// How many bytes the console takes at once.
    pub console_takes: usize,
    pub calls: Vec<Call>,
    /// CPUs that do not park when they are told to.
    pub stuck: Vec<u32>,
    pub ticks: i64,
}

impl TestBoard {
    pub fn new() -> Self {
        let region = |memory_type, address: u32, size: u32| MemoryRegion {
            memory_type,
            address: address.into(),
            size: size.into(),
        };
        Self {
            map: vec![
                region(MemoryType::Reserved, 0, AVAILABLE),
                region(MemoryType::Available, AVAILABLE, SIZE),
                region(MemoryType::Reserved, AVAILABLE + SIZE, 0x1000),
            ],
            memory: vec![0xa5; SIZE as usize],
            output: Vec::new(),
            input: VecDeque::new(),
            console_takes: usize::MAX,
            calls: Vec::new(),
            stuck: Vec::new(),
            ticks: 7,
        }
    }

    /// What is in memory at a virtual address.
    pub fn at(&mut self, address: u32, length: usize) -> &mut [u8] {
        &mut self.memory[index(address)..][..length]
    }
}

/// Where in [`TestBoard::memory`] a virtual address is.
fn index(address: u32) -> usize {
    ((address & 0x1fff_ffff) - AVAILABLE) as usize
}

impl Board for TestBoard {
    fn information(&self) -> Information {
        let boot_area = BootArea { virtual_address: 0xa002_0000, physical_address: 0x2_0000, size: 0x1000 };
        Information { version: (1, 4, 2), board_id: 0x6, boot_area }
    }

    fn memory_map(&self) -> &[MemoryRegion] {
        &self.map
    }

    fn read_memory(&self, memory: CallerMemory, bytes: &mut [u8]) {
        assert_eq!(memory.length(), bytes.len());
        bytes.copy_from_slice(&self.memory[index(memory.address())..][..memory.length()]);
    }

    fn write_memory(&mut self, memory: CallerMemory, bytes: &[u8]) {
        assert_eq!(memory.length(), bytes.len());
        self.at(memory.address(), memory.length()).copy_from_slice(bytes);
    }

    fn console_write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.console_takes);
        self.output.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn console_read(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.input.len());
        for (byte, read) in bytes.iter_mut().zip(self.input.drain(..count)) {
            *byte = read;
        }
        count
    }

    fn console_has_input(&mut self) -> bool {
        !self.input.is_empty()
    }

    fn cpu_start(&mut self, cpu: u32, record: StartRecord) {
        self.calls.push(Call::Start(cpu, record));
    }

    fn cpu_stop(&mut self, cpu: u32) -> Result<(), NotParked> {
        self.calls.push(Call::Stop(cpu));
        if self.stuck.contains(&cpu) { Err(NotParked) } else { Ok(()) }
    }

    fn ticks(&mut self) -> i64 {
        self.ticks
    }

    fn flush_cache(&mut self, flags: CacheFlags) {
        self.calls.push(Call::Flush(flags));
    }

    fn restart(&mut self, warm: bool, status: i64) -> ! {
        std::panic::resume_unwind(Box::new(Restarted { warm, status }))
    }
}

/// A server with CPUs 1 and 2 parked, 3 running and 4 given up.
pub fn server() -> Server<TestBoard> {
    let mut server = Server::new(TestBoard::new());
    for (cpu, state) in [(1, CpuState::Parked), (2, CpuState::Parked), (3, CpuState::Running), (4, CpuState::GivenUp)] {
        server.set_secondary(cpu, state).unwrap();
    }
    server
}

/// Puts bytes into memory and returns the pointer to them.
pub fn put(server: &mut Server<TestBoard>, address: u32, bytes: &[u8]) -> u64 {
    server.board_mut().at(address, bytes.len()).copy_from_slice(bytes);
    pointer::from_address(address)
}

/// Sends a request from CPU 0 and returns the answer.
pub fn ask(server: &mut Server<TestBoard>, mut request: Request) -> Request {
    let status = server.dispatch(0, &mut request);
    assert_eq!(status, request.status);
    request
}

/// Sends a request that must be refused, and changes nothing by that.
#[track_caller]
pub fn refused(server: &mut Server<TestBoard>, cpu: u32, request: Request, error: Error) {
    let before = server.clone();
    let mut answer = request;
    assert_eq!(server.dispatch(cpu, &mut answer), error.code(), "{request:?}");
    assert_eq!(*server, before, "a refused request has changed the server: {request:?}");
    assert_eq!(answer, Request { status: error.code(), ..request }, "a refused request has changed");
}
