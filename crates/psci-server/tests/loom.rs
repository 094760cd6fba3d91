//! Calls from several CPUs at once, under every interleaving and every reordering that the memory model allows, with `loom`.
//!
//! Run by `loom_models.rs`, which is part of the ordinary tests. CPU 2 is in no model's way: it is where calls come from that are not
//! CPU 0's or CPU 1's.
#![cfg(loom)]

use loom::cell::Cell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;
use psci_server::{Answer, CpuState, Entry, Failed, Platform, PowerState, Resumed, Server};

const CPU_ON: u64 = 0xc400_0003;
const CPU_OFF: [u64; 4] = [0x8400_0002, 0, 0, 0];
const CPU_SUSPEND: u64 = 0xc400_0001;
const AFFINITY_INFO: u64 = 0xc400_0004;

const SUCCESS: Answer = Answer::Return(0);
const ALREADY_ON: Answer = Answer::Return(-4_i64 as u64);
const ON_PENDING: Answer = Answer::Return(-5_i64 as u64);
const INTERNAL_FAILURE: Answer = Answer::Return(-6_i64 as u64);

const ON: Answer = Answer::Return(0);
const OFF: Answer = Answer::Return(1);

/// CPUs 0 and 1 are a cluster.
const IDS: [u64; 3] = [0x000, 0x001, 0x100];

/// The CPU that is switched on and off.
const TARGET: usize = 0;

/// What the memory holds after its old CPU has gone, and before its new one comes.
const LEFT: u32 = 7;
const PREPARED: u32 = 8;

struct Machine {
    /// An interrupt that stays pending until the CPU sleeps, for each CPU.
    interrupt: [Notify; 3],
    /// Whether the next CPU that is switched on comes and the hardware says that it did not.
    fails: AtomicBool,
    /// Memory that belongs to the target while it is on, and to who switches it on while it is off.
    memory: Cell<u32>,
}

impl Platform for Machine {
    fn cpu_ids(&self) -> &[u64] {
        &IDS
    }

    fn can_enter(&self, _: u64) -> bool {
        true
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        self.interrupt[cpu].notify();
        if self.fails.swap(false, Ordering::Relaxed) { Err(Failed) } else { Ok(()) }
    }

    fn power_off(&self, _: usize) -> Result<(), Failed> {
        self.memory.set(LEFT);
        Ok(())
    }

    fn has_power_state(&self, state: PowerState) -> bool {
        matches!(state, PowerState::PowerDown(0))
    }
}

#[derive(Clone)]
struct System(Arc<Server<Machine, 3>>);

impl System {
    /// All CPUs are off but these.
    fn with(on: &[usize]) -> Self {
        let machine = Machine {
            interrupt: std::array::from_fn(|_| Notify::new()),
            fails: AtomicBool::new(false),
            memory: Cell::new(0),
        };
        let server = Server::new(machine);
        assert!(on.iter().all(|cpu| server.boot(*cpu)));
        Self(Arc::new(server))
    }

    fn spawn<T: 'static>(&self, run: impl FnOnce(&Self) -> T + 'static) -> thread::JoinHandle<T> {
        let system = self.clone();
        thread::spawn(move || run(&system))
    }

    /// CPU_ON for the target, told apart by the context id.
    fn cpu_on(&self, context_id: u64) -> Answer {
        self.0.handle(2, [CPU_ON, IDS[TARGET], entry(context_id).address, context_id])
    }

    fn cpu_off(&self, cpu: usize) {
        assert_eq!(self.0.handle(cpu, CPU_OFF), Answer::Off);
    }

    fn affinity_info(&self, level: u64) -> Answer {
        self.0.handle(2, [AFFINITY_INFO, IDS[TARGET], level, 0])
    }

    /// How firmware holds a CPU that is off: it sleeps until an interrupt is pending, and asks.
    fn hold(&self, cpu: usize) -> Entry {
        loop {
            if let Some(entry) = self.0.enter(cpu) {
                return entry;
            }
            self.0.platform().interrupt[cpu].wait();
        }
    }
}

/// A model of three CPUs, which whole would take minutes: in it the CPUs are interrupted, in the middle of what they do, three times.
fn bounded_model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn entry(context_id: u64) -> Entry {
    Entry { address: 0x1000 * context_id, context_id }
}

/// Of the calls that succeeded each had the target enter, once and with what the call said, and no other.
fn check_entered(mut entered: Vec<Entry>, calls: &[(u64, Answer)]) {
    entered.sort_by_key(|entry| entry.context_id);
    let succeeded = calls.iter().filter(|(_, answer)| *answer == SUCCESS);
    assert_eq!(entered, succeeded.map(|(context_id, _)| entry(*context_id)).collect::<Vec<_>>(), "{calls:?}");
}

#[test]
fn row_15_exactly_one_of_two_callers_succeeds_and_the_target_wakes_up() {
    bounded_model(|| {
        let system = System::with(&[1, 2]);
        let target = system.spawn(|system| system.hold(TARGET));
        let other = system.spawn(|system| system.cpu_on(1));
        let own = system.cpu_on(2);
        let calls = [(1, other.join().unwrap()), (2, own)];
        assert_eq!(calls.iter().filter(|(_, answer)| *answer == SUCCESS).count(), 1);
        assert!(calls.iter().all(|(_, answer)| [SUCCESS, ALREADY_ON, ON_PENDING].contains(answer)));
        check_entered(vec![target.join().unwrap()], &calls);
        assert_eq!(system.0.enter(TARGET), None);
    });
}

#[test]
fn row_15_exactly_one_of_three_callers_succeeds() {
    bounded_model(|| {
        let system = System::with(&[1, 2]);
        let others = [1, 2].map(|context_id| system.spawn(move |system| system.cpu_on(context_id)));
        let own = system.cpu_on(3);
        let [first, second] = others.map(|other| other.join().unwrap());
        let calls = [(1, first), (2, second), (3, own)];
        assert!(calls.iter().all(|(_, answer)| [SUCCESS, ON_PENDING].contains(answer)));
        check_entered(vec![system.0.enter(TARGET).unwrap()], &calls);
    });
}

/// A CPU that an interrupt wakes up at any moment enters with what was written whole, or not yet.
#[test]
fn row_16_a_target_that_asks_too_early_gets_a_whole_entry_or_none() {
    loom::model(|| {
        let system = System::with(&[1, 2]);
        let target = system.spawn(|system| [(); 2].map(|()| system.0.enter(TARGET)));
        let calls = [(1, system.cpu_on(1))];
        let early = target.join().unwrap();
        let late = system.0.enter(TARGET);
        check_entered(early.into_iter().chain([late]).flatten().collect(), &calls);
    });
}

#[test]
fn row_26_what_a_dying_cpu_did_is_visible_to_who_sees_it_off_and_it_can_be_switched_on() {
    loom::model(|| {
        let system = System::with(&[TARGET, 2]);
        let target = system.spawn(|system| {
            system.cpu_off(TARGET);
            let entry = system.hold(TARGET);
            assert_eq!(system.0.platform().memory.get(), PREPARED);
            entry
        });
        while system.affinity_info(0) != OFF {
            thread::yield_now();
        }
        let memory = &system.0.platform().memory;
        assert_eq!(memory.get(), LEFT);
        memory.set(PREPARED);
        let calls = [(1, system.cpu_on(1))];
        assert_eq!(calls[0].1, SUCCESS);
        check_entered(vec![target.join().unwrap()], &calls);
    });
}

#[test]
fn row_27_on_racing_off_is_refused_or_wakes_the_target_once() {
    loom::model(|| {
        let system = System::with(&[TARGET, 2]);
        let target = system.spawn(|system| {
            system.cpu_off(TARGET);
            system.hold(TARGET)
        });
        let mut refused = 0;
        let own = loop {
            match system.cpu_on(1) {
                ALREADY_ON => refused += 1,
                answer => break answer,
            }
            assert!(refused < 100);
            thread::yield_now();
        };
        assert_eq!(own, SUCCESS);
        check_entered(vec![target.join().unwrap()], &[(1, own)]);
        assert_eq!((system.0.enter(TARGET), system.0.state(TARGET)), (None, Some(CpuState::On)));
    });
}

#[test]
fn row_27_of_two_callers_that_race_off_at_most_one_succeeds() {
    bounded_model(|| {
        let system = System::with(&[TARGET, 2]);
        let target = system.spawn(|system| {
            system.cpu_off(TARGET);
            system.0.enter(TARGET)
        });
        let other = system.spawn(|system| system.cpu_on(1));
        let calls = [(2, system.cpu_on(2)), (1, other.join().unwrap())];
        let early = target.join().unwrap();
        let late = system.0.enter(TARGET);
        assert!(calls.iter().filter(|(_, answer)| *answer == SUCCESS).count() <= 1);
        check_entered(early.into_iter().chain(late).collect(), &calls);
    });
}

#[test]
fn row_30_affinity_info_sees_a_cpu_come_in_order() {
    bounded_model(|| {
        let system = System::with(&[1, 2]);
        let target = system.spawn(|system| system.0.enter(TARGET).is_some());
        let caller = system.spawn(|system| system.cpu_on(1));
        let seen = [(); 2].map(|()| match system.affinity_info(0) {
            OFF => 0,
            ON => 2,
            _ => 1,
        });
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(caller.join().unwrap(), SUCCESS);
        let entered = target.join().unwrap();
        assert_eq!(system.affinity_info(0) == ON, entered);
    });
}

/// One of its CPUs is on or on its way at every moment.
#[test]
fn row_30_a_cluster_in_which_one_cpu_hands_over_to_another_is_never_off() {
    loom::model(|| {
        let system = System::with(&[1, 2]);
        let handing_over = system.spawn(|system| {
            assert_eq!(system.cpu_on(1), SUCCESS);
            system.cpu_off(1);
        });
        assert_ne!(system.affinity_info(1), OFF);
        handing_over.join().unwrap();
        assert_eq!(system.affinity_info(1), Answer::Return(2));
    });
}

#[test]
fn row_21_a_cpu_that_comes_where_the_hardware_failed_is_on_or_gets_no_entry() {
    loom::model(|| {
        let system = System::with(&[1, 2]);
        system.0.platform().fails.store(true, Ordering::Relaxed);
        let target = system.spawn(|system| system.0.enter(TARGET));
        let answer = system.cpu_on(1);
        let entered = target.join().unwrap();
        let expected = if entered.is_some() { (SUCCESS, CpuState::On) } else { (INTERNAL_FAILURE, CpuState::Off) };
        assert_eq!((answer, system.0.state(TARGET).unwrap()), expected);
        assert_eq!(system.0.enter(TARGET), None);
    });
}

/// The CPU comes all the same, goes off, and is switched on by another, before the first caller hears that it failed.
#[test]
fn row_21_a_failure_does_not_take_back_what_another_caller_did_since() {
    bounded_model(|| {
        let system = System::with(&[1, 2]);
        system.0.platform().fails.store(true, Ordering::Relaxed);
        let target = system.spawn(|system| {
            let entered = system.0.enter(TARGET);
            if entered.is_some() {
                system.cpu_off(TARGET);
            }
            entered
        });
        let other = system.spawn(|system| system.cpu_on(1));
        let calls = [(2, system.cpu_on(2)), (1, other.join().unwrap())];
        let early = target.join().unwrap();
        let late = system.0.enter(TARGET);
        let mut calls = calls.to_vec();
        calls.sort_by_key(|(context_id, _)| *context_id);
        check_entered(early.into_iter().chain(late).collect(), &calls);
    });
}

#[test]
fn row_13_a_cpu_that_sleeps_and_wakes_up_is_on_and_keeps_its_entry() {
    loom::model(|| {
        let system = System::with(&[TARGET, 2]);
        let target = system.spawn(|system| {
            let Entry { address, context_id } = entry(9);
            let answer = system.0.handle(TARGET, [CPU_SUSPEND, 1 << 16, address, context_id]);
            assert_eq!(answer, Answer::Suspended(PowerState::PowerDown(0)));
            system.0.resume(TARGET)
        });
        assert_eq!(system.cpu_on(1), ALREADY_ON);
        assert_eq!(system.affinity_info(0), ON);
        assert_eq!(target.join().unwrap(), Some(Resumed::Enter(entry(9))));
    });
}
