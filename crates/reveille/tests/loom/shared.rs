//! A CPU that comes up, and what it has in common with the one that starts it.

use loom::cell::Cell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use reveille::rendezvous::{Lost, State};
use reveille::{ClaimWord, ContextId, CpuIndex, Smp, Stage};

/// How far the new CPU came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    NotStarted,
    LostClaim(State),
    LostOnline(State),
    Online,
}

/// What control CPU and new CPU have in common.
pub struct Shared {
    pub smp: Smp,
    /// The context id that firmware hands over; 0 before.
    pub context: Arc<AtomicU32>,
    /// Memory that the control CPU fills before the kick, and that is the new CPU's once it has claimed.
    pub memory: Cell<u32>,
}

pub const FILLED: u32 = 7;
pub const USED: u32 = 8;
pub const REUSED: u32 = 9;

impl Shared {
    pub fn new() -> Arc<Self> {
        let shared = Self { smp: Smp::new(), context: Arc::new(AtomicU32::new(0)), memory: Cell::new(0) };
        Arc::new(shared)
    }

    pub fn word(&self) -> &ClaimWord {
        self.smp.claim_word(cpu())
    }

    /// The control CPU's side of a start: the context id of the kick, handed over.
    pub fn start(&self) -> ContextId {
        let context = ContextId::new(cpu(), self.word().kick().unwrap());
        self.context.store(context.to_raw(), Ordering::Relaxed);
        context
    }

    /// What firmware handed over, if the CPU was started yet.
    pub fn handed_over(&self) -> Option<ContextId> {
        match self.context.load(Ordering::Relaxed) {
            0 => None,
            raw => ContextId::from_raw(raw),
        }
    }

    /// The new CPU's way up.
    pub fn come_up(&self, context: ContextId) -> Came {
        let arrival = match self.smp.claim(context) {
            Ok(arrival) => arrival,
            Err(Lost(state)) => return Came::LostClaim(state),
        };
        assert_eq!(self.memory.get(), FILLED);
        self.memory.set(USED);
        arrival.stage(Stage(3));
        match arrival.online() {
            Ok(()) => Came::Online,
            Err(Lost(state)) => Came::LostOnline(state),
        }
    }
}

pub fn cpu() -> CpuIndex {
    CpuIndex::new(1).unwrap()
}

/// A CPU that comes up if it was started before it looked.
pub fn spawn(shared: &Arc<Shared>) -> thread::JoinHandle<Came> {
    let shared = shared.clone();
    thread::spawn(move || shared.handed_over().map_or(Came::NotStarted, |context| shared.come_up(context)))
}

/// The CPU is online, and its memory is used.
pub fn online() -> Arc<Shared> {
    let shared = Shared::new();
    shared.memory.set(FILLED);
    let context = shared.start();
    assert_eq!(shared.come_up(context), Came::Online);
    shared
}
