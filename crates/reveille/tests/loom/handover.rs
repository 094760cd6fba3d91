//! CPUs that are handed over: each leaves or stays, and the control CPU says which.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;
use reveille::handover::{Departure, Exit, Handover, Leaver, NotGone};
use reveille::{
    CallError, ContextId, Cpu, CpuIndex, EnableMethod, FirmwareState, Instant, Plan, Policy, Smp, SmpOptions, Timeout,
    Topology,
};

use crate::machine::topology;
use crate::shared::{REUSED, USED};

const DENIED: i32 = -3;
const NO_ANSWER: CallError = CallError { call: "thread", code: 0, meaning: "no answer" };
/// How many turns of the wait the deadline leaves: one with a look before and one after the CPU may have moved.
const TURNS: u64 = 2;

/// What the CPU's way out is like, and the call that asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Goes,
    IsDenied,
    /// The control CPU is told that it cannot be asked, though it was.
    GoesThoughNotAsked,
}

/// What became of the CPU, as it knows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// It looked before it was asked.
    NotAsked,
    Went,
    Stayed(NotGone),
}

/// What control CPU and the CPU that leaves have in common.
struct Shared {
    manner: Manner,
    smp: Smp,
    handover: Handover,
    asked: AtomicBool,
    /// What firmware, or the pen, says of the CPU.
    off: AtomicBool,
    /// The CPU's until it is gone, and then the next system's. Relaxed: what is seen there, others have ordered.
    memory: AtomicU32,
}

impl Exit for Shared {
    fn check(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn leave(&self, _: &Cpu) -> i32 {
        self.memory.store(USED, Ordering::Relaxed);
        if self.manner != Manner::IsDenied {
            self.off.store(true, Ordering::Release);
            // A thread that ends here stands for a CPU that executes nothing any more.
            resume_unwind(Box::new("off"));
        }
        DENIED
    }

    fn refusal(&self, _: &Cpu, code: i32) -> CallError {
        CallError { call: "CPU_OFF", code: code.into(), meaning: "DENIED" }
    }

    fn state(&self, _: &Cpu) -> FirmwareState {
        if self.off.load(Ordering::Acquire) { FirmwareState::Off } else { FirmwareState::On }
    }
}

/// The CPU that leaves.
fn leave(shared: &Shared, topology: &Topology) -> Left {
    if !shared.asked.load(Ordering::Relaxed) {
        return Left::NotAsked;
    }
    let cpu = &topology.cpus()[1];
    match catch_unwind(AssertUnwindSafe(|| shared.handover.leave(&shared.smp, cpu, shared))) {
        Ok(stays) => {
            // It goes on with what is still its own.
            shared.memory.store(USED, Ordering::Relaxed);
            Left::Stayed(stays)
        }
        Err(_) => Left::Went,
    }
}

struct Control<'a> {
    shared: &'a Shared,
    now: std::cell::Cell<u64>,
}

impl Leaver for Control<'_> {
    fn now(&self) -> Instant {
        Instant(self.now.get())
    }

    /// Does not yield, which would have the other go on until it ends: the wait is bounded.
    fn relax(&self) {
        self.now.set(self.now.get() + 1);
    }

    fn ask(&self, _: &Cpu) -> Result<(), CallError> {
        self.shared.asked.store(true, Ordering::Relaxed);
        if self.shared.manner == Manner::GoesThoughNotAsked { Err(NO_ANSWER) } else { Ok(()) }
    }
}

/// No CPU is started here.
struct Method;

impl EnableMethod for Method {
    fn name(&self) -> &'static str {
        "loom"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, _: &Cpu, _: ContextId) -> Result<(), CallError> {
        unreachable!()
    }
}

/// One hand-over while the CPU leaves: what both sides say of it.
fn hand_over(topology: &std::sync::Arc<Topology>, manner: Manner) -> (Departure, Left) {
    let shared = Arc::new(Shared {
        manner,
        smp: Smp::new(),
        handover: Handover::new(),
        asked: AtomicBool::new(false),
        off: AtomicBool::new(false),
        memory: AtomicU32::new(0),
    });
    let one = CpuIndex::new(1).unwrap();
    shared.smp.masks.online.insert(one);
    let leaving = {
        let (shared, topology) = (shared.clone(), topology.clone());
        thread::spawn(move || leave(&shared, &topology))
    };
    let methods: [&dyn EnableMethod; 1] = [&Method];
    let plan = Plan {
        topology,
        methods: &methods,
        options: SmpOptions::ALL,
        policy: Policy::PARALLEL,
        timeout: Timeout::DEFAULT,
    };
    let control = Control { shared: &shared, now: std::cell::Cell::new(0) };
    let mut departures = [Departure::Gone; 2];
    let timeout = Timeout::new(Duration::from_nanos(TURNS), Duration::ZERO);
    shared.handover.hand_over(&shared.smp, &plan, &*shared, &control, timeout, &mut departures);
    if departures[1].is_gone() {
        // It may be another's now: nothing that the CPU wrote comes later.
        assert_eq!(shared.memory.swap(REUSED, Ordering::Relaxed), USED);
        assert!(!shared.smp.masks.online.contains(one));
    }
    let left = leaving.join().unwrap();
    let stays = matches!(left, Left::NotAsked | Left::Stayed(NotGone::Withdrawn));
    assert_eq!(shared.smp.masks.online.contains(one), stays);
    let reused = shared.memory.load(Ordering::Relaxed) == REUSED;
    assert_eq!(reused, departures[1].is_gone());
    (departures[1], left)
}

/// Every pair of what both sides say, in all interleavings.
fn outcomes(manner: Manner) -> Vec<String> {
    let seen = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let (topology, report) = (std::sync::Arc::from(topology()), seen.clone());
    loom::model(move || {
        let (departure, left) = hand_over(&topology, manner);
        let left = match left {
            Left::NotAsked => "it was not asked yet",
            Left::Went => "it went",
            Left::Stayed(NotGone::Withdrawn) => "it stayed, not wanted any more",
            Left::Stayed(NotGone::Refused) => "it stayed, refused",
        };
        report.lock().unwrap().insert(format!("{departure}: {left}"));
    });
    let seen = seen.lock().unwrap();
    seen.iter().cloned().collect()
}

#[test]
fn a_cpu_that_can_go_goes_or_stays_and_the_control_cpu_says_which() {
    assert_eq!(
        outcomes(Manner::Goes),
        [
            "gone: it went",
            "has left and is not there yet (firmware says ON): it went",
            "was asked to leave and does not answer: it stayed, not wanted any more",
            "was asked to leave and does not answer: it was not asked yet",
        ]
    );
}

#[test]
fn a_refusal_comes_with_its_code_and_is_never_taken_for_silence() {
    assert_eq!(
        outcomes(Manner::IsDenied),
        [
            "could not leave: CPU_OFF: DENIED (-3): it stayed, refused",
            "has left and is not there yet (firmware says ON): it stayed, refused",
            "was asked to leave and does not answer: it stayed, not wanted any more",
            "was asked to leave and does not answer: it was not asked yet",
        ]
    );
}

#[test]
fn a_cpu_that_goes_though_it_could_not_be_asked_is_waited_for() {
    assert_eq!(
        outcomes(Manner::GoesThoughNotAsked),
        [
            "cannot leave: thread: no answer: it stayed, not wanted any more",
            "cannot leave: thread: no answer: it was not asked yet",
            "gone: it went",
            "has left and is not there yet (firmware says ON): it went",
        ]
    );
}
