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
use reveille::hotplug::{Hotplug, HotplugError, HotplugPlatform, Section, Step, StepTable, Verdict};
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

impl HotplugPlatform for Control {
    fn wake(&self, _: CpuIndex) {}
}

/// The CPU is online, and its memory is used.
fn online() -> Arc<Shared> {
    let shared = Shared::new();
    shared.memory.set(FILLED);
    let context = shared.start();
    assert_eq!(shared.come_up(context), Came::Online);
    shared
}

/// What a dying CPU that firmware refuses to switch off comes to: back online, or parked.
fn die_and_revive(shared: &Shared) -> Result<(), Lost> {
    let word = shared.word();
    shared.memory.set(USED);
    word.report_dead()?;
    let generation = word.revive()?;
    assert_eq!(shared.memory.get(), USED);
    shared.memory.set(USED);
    word.come_online(generation)
}

#[test]
fn a_dying_cpu_is_taken_for_off_or_comes_back_and_never_both() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || die_and_revive(&shared))
        };
        let confirmed = shared.word().confirm_off();
        if confirmed.is_ok() {
            // Its memory may be another's now.
            shared.memory.set(REUSED);
        }
        let came_back = dying.join().unwrap();
        let (expected, state) = match confirmed {
            Ok(()) => (Err(Lost(State::Offline)), State::Offline),
            Err(_) => (Ok(()), State::Online),
        };
        assert_eq!((came_back, shared.word().state()), (expected, state));
    });
}

#[test]
fn what_a_dying_cpu_wrote_last_is_visible_to_who_takes_it_for_off() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.memory.set(USED + 1);
                shared.word().report_dead().unwrap();
            })
        };
        if shared.word().confirm_off().is_ok() {
            assert_eq!(shared.memory.get(), USED + 1);
            // And a new kick finds the CPU off.
            shared.memory.set(FILLED);
            assert!(shared.word().kick().is_ok());
        }
        dying.join().unwrap();
    });
}

#[test]
fn a_cpu_that_came_back_has_died_only_once_it_says_so_again() {
    loom::model(|| {
        let shared = online();
        let dying = {
            let shared = shared.clone();
            thread::spawn(move || {
                die_and_revive(&shared)?;
                shared.memory.set(USED);
                shared.word().report_dead().map(|_| ())
            })
        };
        for _ in 0..2 {
            if shared.word().confirm_off().is_ok() {
                shared.memory.set(REUSED);
                break;
            }
        }
        let ended = dying.join().unwrap();
        let state = shared.word().state();
        assert!(matches!((ended, state), (Ok(()), State::Dead | State::Offline) | (Err(_), State::Offline)));
    });
}

/// Its memory was another's in between, and is its own again before it may claim.
#[test]
fn row_55_a_late_cpu_claims_what_was_reopened_or_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        shared.memory.set(FILLED);
        let context = shared.start();
        let late = {
            let shared = shared.clone();
            thread::spawn(move || shared.come_up(context))
        };
        if shared.word().abandon(context.generation()) == Ok(State::Kicked) {
            shared.memory.set(REUSED);
            shared.memory.set(FILLED);
            assert_eq!(shared.word().reopen(), Ok(context.generation()));
        }
        let (came, state) = (late.join().unwrap(), shared.word().state());
        let agreed = match came {
            Came::Online => state == State::Online,
            // It looked while it was abandoned, and has parked. Whoever waits for it asks firmware.
            Came::LostClaim(State::Abandoned) => state == State::Kicked,
            Came::LostOnline(State::Stuck) => state == State::Stuck,
            _ => false,
        };
        assert!(agreed, "{came:?}, {state:?}");
    });
}

#[test]
fn row_55_a_reopened_kick_is_given_up_again_or_claimed() {
    loom::model(|| {
        let shared = Shared::new();
        let context = shared.start();
        shared.word().abandon(context.generation()).unwrap();
        shared.memory.set(FILLED);
        let generation = shared.word().reopen().unwrap();
        let late = spawn(&shared);
        let given_up = shared.word().abandon(generation);
        if given_up == Ok(State::Kicked) {
            shared.memory.set(REUSED);
        }
        let expected = match late.join().unwrap() {
            Came::LostClaim(State::Abandoned) => Ok(State::Kicked),
            Came::LostOnline(State::Stuck) => Ok(State::Claimed),
            Came::Online => Err(Lost(State::Online)),
            came => panic!("{came:?}"),
        };
        assert_eq!(given_up, expected);
    });
}

/// Steps without state of their own: where a CPU is, the library says.
fn steps() -> &'static StepTable<'static> {
    static STEPS: [Step<'static>; 2] =
        [Step::new(Section::Online, 0, "first"), Step::new(Section::Online, 1, "second")];
    Box::leak(Box::new(StepTable::collect(&STEPS).unwrap()))
}

/// The CPU, online and held before its ONLINE steps.
fn held(steps: &'static StepTable<'static>) -> Arc<Shared> {
    let shared = Shared::new();
    shared.smp.masks.boot_cpu_init();
    shared.smp.masks.possible.insert(cpu());
    shared.smp.masks.present.insert(cpu());
    shared.memory.set(FILLED);
    let hotplug = Hotplug::new(&shared.smp, steps);
    let arrival = shared.smp.claim(shared.start()).unwrap();
    hotplug.starting(&arrival).unwrap();
    hotplug.come_online(arrival).unwrap();
    shared
}

/// Asks a CPU whose thread looks `looks` times to go through its ONLINE steps; the kinds of result that were seen.
fn ask(looks: usize, tick: u64) -> String {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let (topology, steps, report) = (std::sync::Arc::new(topology()), steps(), seen.clone());
    loom::model(move || {
        let shared = held(steps);
        let thread = {
            let shared = shared.clone();
            thread::spawn(move || {
                let hotplug = Hotplug::new(&shared.smp, steps);
                for _ in 0..looks {
                    assert_eq!(hotplug.thread(cpu()), Verdict::Sleep);
                    thread::yield_now();
                }
            })
        };
        let firmware = Firmware { context: shared.context.clone(), answer: Ok(()) };
        let methods: [&dyn EnableMethod; 1] = [&firmware];
        let plan = Plan {
            topology: &topology,
            methods: &methods,
            options: SmpOptions::ALL,
            policy: Policy::PARALLEL,
            timeout: Timeout::new(Duration::from_nanos(3), Duration::ZERO),
        };
        let control = Control { shared: shared.clone(), now: std::cell::Cell::new(0), tick };
        let hotplug = Hotplug::new(&shared.smp, steps);
        let result = hotplug.cpu_up(&plan, &control, cpu());
        thread.join().unwrap();
        let state = hotplug.state(cpu());
        let (kind, expected) = match result {
            Ok(()) => ("done", steps.online()),
            // It was not begun, and never is.
            Err(HotplugError::NoAnswer) => ("no answer", steps.ap_online()),
            // It was begun, and is ended by whoever began it.
            Err(HotplugError::Hung("first" | "second")) => ("hung", steps.online()),
            result => panic!("{result:?}"),
        };
        assert_eq!(state, expected, "{result:?}");
        report.lock().unwrap().insert(kind);
    });
    let seen: Vec<_> = seen.lock().unwrap().iter().copied().collect();
    seen.join(", ")
}

#[test]
fn an_order_is_carried_out_or_taken_back_and_never_both() {
    assert_eq!(ask(1, 1), "done, hung, no answer");
}

/// Two CPUs ask at once.
#[test]
fn requests_are_carried_out_one_after_the_other() {
    let (topology, steps) = (std::sync::Arc::new(topology()), steps());
    loom::model(move || {
        let shared = held(steps);
        let ask = |shared: Arc<Shared>, topology: std::sync::Arc<Box<Topology>>| {
            let plan = Plan {
                topology: &topology,
                methods: &[],
                options: SmpOptions::ALL,
                policy: Policy::PARALLEL,
                timeout: Timeout::new(Duration::from_nanos(1), Duration::ZERO),
            };
            let control = Control { shared: shared.clone(), now: std::cell::Cell::new(0), tick: 1 };
            Hotplug::new(&shared.smp, steps).disable(&plan, &control)
        };
        let other = {
            let (shared, topology) = (shared.clone(), topology.clone());
            thread::spawn(move || ask(shared, topology))
        };
        let results = [ask(shared.clone(), topology.clone()), other.join().unwrap()];
        assert!(results.contains(&Ok(())), "{results:?}");
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(HotplugError::Busy))), "{results:?}");
    });
}
