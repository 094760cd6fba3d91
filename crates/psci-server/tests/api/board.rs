//! A board of six CPUs in two clusters and a third on its own, whose hardware fails on request.

use std::cell::{Cell, RefCell};

use psci_server::{Answer, CpuState, Entry, Failed, Platform, Policy, PowerState, Server};

pub const CPUS: usize = 6;
/// Not in order, as a devicetree may have them.
pub const IDS: [u64; CPUS] = [0x100, 0x000, 0x001, 0x101, 0x1_0000_0000, 0x20000];
/// Where programs are.
pub const MEMORY: std::ops::Range<u64> = 0x4000_0000..0x2_0000_0000;
pub const ENTRY: Entry = Entry { address: 0x4020_0000, context_id: 0x1234_5678_9abc_def0 };

pub const CPU_SUSPEND_32: u64 = 0x8400_0001;
pub const CPU_SUSPEND: u64 = 0xc400_0001;
pub const CPU_OFF: u64 = 0x8400_0002;
pub const CPU_ON_32: u64 = 0x8400_0003;
pub const CPU_ON: u64 = 0xc400_0003;
pub const AFFINITY_INFO_32: u64 = 0x8400_0004;
pub const AFFINITY_INFO: u64 = 0xc400_0004;
pub const FEATURES: u64 = 0x8400_000a;

pub const SUCCESS: Answer = Answer::Return(0);
pub const NOT_SUPPORTED: Answer = code(-1);
pub const INVALID_PARAMETERS: Answer = code(-2);
pub const DENIED: Answer = code(-3);
pub const ALREADY_ON: Answer = code(-4);
pub const ON_PENDING: Answer = code(-5);
pub const INTERNAL_FAILURE: Answer = code(-6);
pub const INVALID_ADDRESS: Answer = code(-9);

pub const fn code(code: i64) -> Answer {
    Answer::Return(code as u64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    On(usize),
    Off(usize),
    Suspend(usize, PowerState),
}

pub struct Board {
    pub policy: Policy,
    pub ids: Vec<u64>,
    /// Whether the hardware does nothing that it is told.
    pub fails: Cell<bool>,
    /// What it was told.
    pub told: RefCell<Vec<Done>>,
}

impl Board {
    pub fn new(policy: Policy, ids: &[u64]) -> Self {
        Self { policy, ids: ids.to_vec(), fails: Cell::new(false), told: RefCell::new(Vec::new()) }
    }

    fn tell(&self, done: Done) -> Result<(), Failed> {
        self.told.borrow_mut().push(done);
        if self.fails.get() { Err(Failed) } else { Ok(()) }
    }
}

impl Platform for Board {
    fn cpu_ids(&self) -> &[u64] {
        &self.ids
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn can_enter(&self, address: u64) -> bool {
        MEMORY.contains(&address)
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        self.tell(Done::On(cpu))
    }

    fn power_off(&self, cpu: usize) -> Result<(), Failed> {
        self.tell(Done::Off(cpu))
    }

    fn has_power_state(&self, state: PowerState) -> bool {
        matches!(state, PowerState::StandbyOrRetention(0 | 1) | PowerState::PowerDown(2 | 0x100_0002))
    }

    fn suspend(&self, cpu: usize, state: PowerState) -> Result<(), Failed> {
        self.tell(Done::Suspend(cpu, state))
    }

    fn architecture_feature(&self, function: u32) -> Option<u32> {
        (function == 0x8000_8000).then_some(1)
    }
}

pub type TestServer = Server<Board, CPUS>;

/// A server on which CPU 0 runs.
pub fn server() -> TestServer {
    with_policy(Policy::V1_1)
}

pub fn with_policy(policy: Policy) -> TestServer {
    let server = Server::new(Board::new(policy, &IDS));
    assert!(server.boot(0));
    server
}

/// CPU_ON for the CPU with this number, as CPU 0 calls it.
pub fn switch_on(server: &TestServer, cpu: usize) -> Answer {
    server.handle(0, [CPU_ON, IDS[cpu], ENTRY.address, ENTRY.context_id])
}

/// Brings a CPU up until it runs.
pub fn bring_up(server: &TestServer, cpu: usize) {
    assert_eq!(switch_on(server, cpu), SUCCESS);
    assert_eq!(server.enter(cpu), Some(ENTRY));
}

/// Brings a CPU up and suspends it.
pub fn bring_up_and_suspend(server: &TestServer, cpu: usize) {
    bring_up(server, cpu);
    let answer = server.handle(cpu, [CPU_SUSPEND, 1 << 16 | 2, ENTRY.address, 5]);
    assert_eq!(answer, Answer::Suspended(PowerState::PowerDown(2)));
}

pub fn states(server: &TestServer) -> [CpuState; CPUS] {
    std::array::from_fn(|cpu| server.state(cpu).unwrap())
}

pub fn told(server: &TestServer) -> Vec<Done> {
    server.platform().told.take()
}
