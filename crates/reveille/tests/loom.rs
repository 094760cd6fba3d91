//! The rendezvous under every interleaving and every reordering that the memory model allows, with `loom`.
//!
//! Run by `loom_models.rs`, which is part of the ordinary tests. The context id travels through a relaxed atomic here, since
//! firmware hands it over in a register and orders nothing.
#![cfg(loom)]

use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use loom::cell::Cell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use reveille::rendezvous::{Lost, State};
use reveille::topology::FdtOptions;
use reveille::{
    CallError, ClaimWord, ContextId, Cpu, CpuIndex, EnableMethod, FirmwareState, HwId, Instant, Outcome, Plan,
    Platform, Policy, Smp, SmpOptions, Stage, Timeout, Topology,
};

/// How far the new CPU came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    NotStarted,
    LostClaim(State),
    LostOnline(State),
    Online,
}

/// What control CPU and new CPU have in common.
struct Shared {
    smp: Smp,
    /// The context id that firmware hands over; 0 before.
    context: Arc<AtomicU32>,
    /// Memory that the control CPU fills before the kick, and that is the new CPU's once it has claimed.
    memory: Cell<u32>,
}

const FILLED: u32 = 7;
const USED: u32 = 8;
const REUSED: u32 = 9;

impl Shared {
    fn new() -> Arc<Self> {
        let shared = Self { smp: Smp::new(), context: Arc::new(AtomicU32::new(0)), memory: Cell::new(0) };
        Arc::new(shared)
    }

    fn word(&self) -> &ClaimWord {
        self.smp.claim_word(cpu())
    }

    /// The control CPU's side of a start: the context id of the kick, handed over.
    fn start(&self) -> ContextId {
        let context = ContextId::new(cpu(), self.word().kick().unwrap());
        self.context.store(context.to_raw(), Ordering::Relaxed);
        context
    }

    /// What firmware handed over, if the CPU was started yet.
    fn handed_over(&self) -> Option<ContextId> {
        match self.context.load(Ordering::Relaxed) {
            0 => None,
            raw => ContextId::from_raw(raw),
        }
    }

    /// The new CPU's way up.
    fn come_up(&self, context: ContextId) -> Came {
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

fn cpu() -> CpuIndex {
    CpuIndex::new(1).unwrap()
}

/// A CPU that comes up if it was started before it looked.
fn spawn(shared: &Arc<Shared>) -> thread::JoinHandle<Came> {
    let shared = shared.clone();
    thread::spawn(move || shared.handed_over().map_or(Came::NotStarted, |context| shared.come_up(context)))
}

#[test]
fn what_was_written_before_the_kick_is_visible_after_the_claim() {
    loom::model(|| {
        let shared = Shared::new();
        let new_cpu = spawn(&shared);
        shared.memory.set(FILLED);
        shared.start();
        let came = new_cpu.join().unwrap();
        assert!(matches!(came, Came::NotStarted | Came::Online));
    });
}

#[test]
fn what_was_written_before_online_is_visible_to_who_sees_the_state() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let new_cpu = spawn(&shared);
        if shared.word().state() == State::Online {
            assert_eq!(shared.memory.get(), USED);
        }
        assert_eq!(new_cpu.join().unwrap(), Came::Online);
    });
}

#[test]
fn what_was_written_before_online_is_visible_to_who_sees_the_mask() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let new_cpu = spawn(&shared);
        if shared.smp.masks.online.contains(cpu()) {
            assert_eq!(shared.word().state(), State::Online);
            assert_eq!(shared.memory.get(), USED);
        }
        assert_eq!(new_cpu.join().unwrap(), Came::Online);
        assert!(shared.smp.masks.online.contains(cpu()));
    });
}

#[test]
fn row_55_exactly_one_wins_and_the_loser_changes_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let generation = shared.start().generation();
        let new_cpu = spawn(&shared);
        let given_up = shared.word().abandon(generation);
        match given_up {
            // The memory may be another's now: a write of the new CPU's would race with this one.
            Ok(State::Kicked) => shared.memory.set(REUSED),
            Err(Lost(State::Online)) => assert_eq!(shared.memory.get(), USED),
            _ => {}
        }
        let came = new_cpu.join().unwrap();
        let (expected, state) = match came {
            Came::LostClaim(State::Abandoned) => (Ok(State::Kicked), State::Abandoned),
            Came::LostOnline(State::Stuck) => (Ok(State::Claimed), State::Stuck),
            Came::Online => (Err(Lost(State::Online)), State::Online),
            came => panic!("{came:?}"),
        };
        assert_eq!((given_up, shared.word().state()), (expected, state));
        assert_eq!(shared.smp.masks.online.contains(cpu()), came == Came::Online);
    });
}

#[test]
fn a_kick_is_withdrawn_or_claimed_and_a_claim_is_never_made_stuck() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let generation = shared.start().generation();
        let new_cpu = spawn(&shared);
        let withdrawn = shared.word().withdraw(generation);
        if withdrawn.is_ok() {
            shared.memory.set(REUSED);
        }
        match new_cpu.join().unwrap() {
            Came::LostClaim(State::Abandoned) => assert_eq!(withdrawn, Ok(())),
            Came::Online => assert!(matches!(withdrawn, Err(Lost(State::Claimed | State::Online)))),
            came => panic!("{came:?}"),
        }
    });
}

#[test]
fn row_55_an_old_generation_never_claims_a_new_kick() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let old = shared.start();
        let late = {
            let shared = shared.clone();
            thread::spawn(move || shared.come_up(old))
        };
        let given_up = shared.word().abandon(old.generation());
        let new_cpu = match shared.word().kick() {
            Ok(generation) => {
                assert_eq!(given_up, Ok(State::Kicked));
                let (shared, context) = (shared.clone(), ContextId::new(cpu(), generation));
                Some(thread::spawn(move || shared.come_up(context)))
            }
            Err(Lost(state)) => {
                assert!(matches!(state, State::Stuck | State::Online));
                None
            }
        };
        let late = late.join().unwrap();
        match new_cpu.map(|cpu| cpu.join().unwrap()) {
            Some(came) => {
                assert_eq!(came, Came::Online);
                assert!(matches!(late, Came::LostClaim(_)));
            }
            None => assert!(matches!(late, Came::LostOnline(State::Stuck) | Came::Online)),
        }
    });
}

/// Of two CPUs that come with one context id (firmware that starts a CPU twice) one claims.
#[test]
fn a_kick_is_claimed_once() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        shared.start();
        let (first, second) = (spawn(&shared), spawn(&shared));
        let came = [first.join().unwrap(), second.join().unwrap()];
        assert_eq!(came.iter().filter(|&&came| came == Came::Online).count(), 1, "{came:?}");
    });
}

/// Starts the CPU and answers as it is told.
struct Firmware {
    context: Arc<AtomicU32>,
    answer: Result<(), CallError>,
}

impl EnableMethod for Firmware {
    fn name(&self) -> &'static str {
        "loom"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, _: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.context.store(context.to_raw(), Ordering::Relaxed);
        self.answer
    }
}

/// A clock that ticks with every look at it, or stands still.
struct Control {
    shared: Arc<Shared>,
    now: std::cell::Cell<u64>,
    tick: u64,
}

impl Platform for Control {
    fn now(&self) -> Instant {
        self.now.set(self.now.get() + self.tick);
        Instant(self.now.get())
    }

    fn relax(&self) {
        thread::yield_now();
    }

    fn prepare(&self, _: &Cpu) -> Result<(), CallError> {
        self.shared.memory.set(FILLED);
        Ok(())
    }
}

/// Two CPUs.
fn topology() -> Box<Topology> {
    let property = |name: &str, value: &[u8]| DeviceTreeProperty::new(name, value.to_vec()).unwrap();
    let mut cpus = DeviceTreeNode::new("cpus").unwrap();
    for id in 0..2u32 {
        let mut cpu = DeviceTreeNode::new(format!("cpu@{id}")).unwrap();
        cpu.add_property(property("reg", &id.to_be_bytes()));
        cpu.add_property(property("enable-method", b"loom\0"));
        cpus.add_child(cpu);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(cpus);
    let options = FdtOptions { boot_cpu: HwId(0), hw_id_mask: u64::MAX, methods: &["loom"], nr_cpus: 2 };
    let mut topology = Box::new(Topology::new(HwId(0)));
    let findings = topology.read_fdt(&Fdt::new(&tree.to_dtb()).unwrap(), &options, &mut |_| ());
    assert_eq!(findings.unwrap().left_out, 0);
    topology
}

/// Brings the CPU up while it comes up; checks that both sides agree.
fn bring_up(topology: &Topology, tick: u64, answer: Result<(), CallError>) -> Outcome {
    let shared = Shared::new();
    let new_cpu = {
        let shared = shared.clone();
        thread::spawn(move || {
            let context = loop {
                match shared.handed_over() {
                    Some(context) => break context,
                    None => thread::yield_now(),
                }
            };
            shared.come_up(context)
        })
    };
    let firmware = Firmware { context: shared.context.clone(), answer };
    let control = Control { shared: shared.clone(), now: std::cell::Cell::new(0), tick };
    let methods: [&dyn EnableMethod; 1] = [&firmware];
    let plan = Plan {
        topology,
        methods: &methods,
        options: SmpOptions::ALL,
        policy: Policy::PARALLEL,
        timeout: Timeout::new(Duration::from_nanos(2), Duration::ZERO),
    };
    let mut outcomes = [Outcome::NotAsked; 2];
    shared.smp.masks.boot_cpu_init();
    shared.smp.init_cpus(&plan, &mut outcomes);
    shared.smp.prepare_cpus(&plan, &mut outcomes);
    let summary = shared.smp.bring_up(&plan, &control, &mut outcomes);
    let online = outcomes[1] == Outcome::Online;
    assert_eq!((summary.asked, summary.online), (2, 1 + usize::from(online)));
    assert_eq!(shared.smp.masks.online.contains(cpu()), online);
    let expected = match outcomes[1] {
        Outcome::Online => {
            assert_eq!(shared.memory.get(), USED);
            Came::Online
        }
        Outcome::TimedOut(FirmwareState::Unknown) | Outcome::Failed(_) => {
            shared.memory.set(REUSED);
            Came::LostClaim(State::Abandoned)
        }
        Outcome::Stuck { stage: Stage(0 | 3), .. } => Came::LostOnline(State::Stuck),
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(new_cpu.join().unwrap(), expected);
    assert_eq!(shared.smp.masks.online.contains(cpu()), online);
    outcomes[1]
}

/// Runs a bring-up in every interleaving; the kinds of outcome that were seen.
fn model(tick: u64, answer: Result<(), CallError>) -> String {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let (topology, report) = (topology(), seen.clone());
    loom::model(move || {
        let outcome = bring_up(&topology, tick, answer);
        let kind = match outcome {
            Outcome::Online => "online",
            Outcome::TimedOut(_) => "timed out",
            Outcome::Stuck { .. } => "stuck",
            Outcome::Failed(_) => "failed",
            _ => "other",
        };
        report.lock().unwrap().insert(kind);
    });
    let seen: Vec<_> = seen.lock().unwrap().iter().copied().collect();
    seen.join(", ")
}

#[test]
fn row_54_both_sides_of_a_bring_up_agree_on_its_outcome() {
    assert_eq!(model(1, Ok(())), "online, stuck, timed out");
}

#[test]
fn an_arrival_ends_the_wait_without_a_deadline() {
    assert_eq!(model(0, Ok(())), "online");
}

#[test]
fn both_sides_agree_when_a_start_is_refused_and_happens() {
    let refused = CallError { call: "boot", code: -6, meaning: "INTERNAL_FAILURE" };
    assert_eq!(model(0, Err(refused)), "failed, online");
}
