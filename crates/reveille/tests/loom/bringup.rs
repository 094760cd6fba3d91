//! Whole bring-ups of one CPU: both sides agree on what came of it.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use reveille::rendezvous::State;
use reveille::{
    CallError, ContextId, Cpu, EnableMethod, FirmwareState, Instant, Outcome, Plan, Platform, Policy, SmpOptions,
    Stage, Timeout, Topology,
};

use crate::machine::topology;
use crate::shared::{Came, FILLED, REUSED, Shared, USED, cpu};

/// Starts the CPU and answers as it is told.
pub struct Firmware {
    pub context: Arc<AtomicU32>,
    pub answer: Result<(), CallError>,
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
pub struct Control {
    pub shared: Arc<Shared>,
    pub now: std::cell::Cell<u64>,
    pub tick: u64,
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
