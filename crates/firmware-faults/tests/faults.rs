//! Every fault of the firmware, on a board whose CPUs come when they are woken.

use std::time::Duration;

use psci_server::{Answer, Failed, Platform, Server};
use reveille_firmware_faults::{Faults, Handled, Options, PowersUp};

const CPUS: usize = 4;
const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const ENTRY: u64 = 0x4020_0000;
const MS: u64 = 1_000_000;

/// A board whose clock stands at 0 while CPUs are powered on: what `power_on` is told is in the server's calls.
struct Board(&'static Machine);

/// The faults, and the time, which counts nanoseconds.
struct Machine {
    faults: Faults<CPUS>,
    now: std::sync::atomic::AtomicU64,
}

impl Platform for Board {
    fn cpu_ids(&self) -> &[u64] {
        &[0, 1, 2, 3]
    }

    fn can_enter(&self, _address: u64) -> bool {
        true
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        let _woken = self.0.faults.power_on(cpu, self.0.now());
        Ok(())
    }
}

impl Machine {
    fn now(&self) -> u64 {
        self.now.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct Firmware {
    machine: &'static Machine,
    server: Server<Board, CPUS>,
}

impl Firmware {
    fn with(options: &str) -> Self {
        let options = Options::parse(options, CPUS, |time: Duration| time.as_nanos() as u64).ok().unwrap();
        let machine: &Machine = Box::leak(Box::new(Machine { faults: options.faults, now: 0.into() }));
        let server = Server::new(Board(machine));
        assert!(server.boot(0));
        Self { machine, server }
    }

    fn call(&self, at: u64, caller: usize, x0: u64, x1: u64) -> Handled {
        self.machine.now.store(at, std::sync::atomic::Ordering::Relaxed);
        self.machine.faults.handle(&self.server, caller, [x0, x1, if x0 == CPU_ON { ENTRY } else { 0 }, 7], at)
    }

    /// The code of a call of CPU 0, and whether a fault had a part in it.
    fn code(&self, at: u64, x0: u64, x1: u64) -> (i64, bool) {
        match self.call(at, 0, x0, x1) {
            Handled { answer: Answer::Return(code), faulty, .. } => (code as i64, faulty),
            other => panic!("{other:?}"),
        }
    }

    fn powers_up(&self, cpu: usize, now: u64) -> PowersUp {
        self.machine.faults.powers_up(cpu, now)
    }

    /// Has a CPU come that is up, and go.
    fn come_and_go(&self, cpu: usize, at: u64) {
        assert_eq!(self.powers_up(cpu, at), PowersUp::Now);
        assert!(self.server.enter(cpu).is_some());
        assert_eq!(self.call(at, cpu, CPU_OFF, 0).answer, Answer::Off);
    }
}

#[test]
fn without_faults_every_call_is_the_servers() {
    let firmware = Firmware::with("");
    assert_eq!(firmware.powers_up(1, 0), PowersUp::Never, "nobody has asked");
    assert_eq!(firmware.code(0, CPU_ON, 1), (0, false));
    assert_eq!(firmware.code(0, CPU_ON, 1), (-5, false));
    assert_eq!(firmware.code(0, CPU_ON, 9), (-2, false));
    firmware.come_and_go(1, 0);
    assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (1, false));
    assert_eq!(firmware.powers_up(1, u64::MAX - 1), PowersUp::Never, "off again");
}

#[test]
fn a_dead_cpu_is_on_its_way_for_ever() {
    let firmware = Firmware::with("fault=cpu1:dead");
    assert_eq!(firmware.code(0, CPU_ON, 1), (0, true));
    assert_eq!(firmware.powers_up(1, u64::MAX - 1), PowersUp::Never);
    assert_eq!(firmware.code(MS, AFFINITY_INFO, 1), (2, false));
    assert_eq!(firmware.code(MS, CPU_ON, 1), (-5, false));
    assert_eq!(firmware.code(MS, CPU_ON, 2), (0, false), "another one comes");
}

#[test]
fn power_takes_its_time_for_all_cpus_at_once() {
    let firmware = Firmware::with("fault=all:power-up:20ms fault=cpu3:late:1s");
    for cpu in 1..4 {
        assert_eq!(firmware.code(cpu * MS, CPU_ON, cpu), (0, false));
    }
    assert_eq!(firmware.powers_up(1, 20 * MS), PowersUp::At(21 * MS));
    assert_eq!(firmware.powers_up(1, 21 * MS), PowersUp::Now);
    assert_eq!(firmware.powers_up(2, 21 * MS), PowersUp::At(22 * MS));
    assert_eq!(firmware.powers_up(3, 21 * MS), PowersUp::At(1003 * MS));
    assert_eq!(firmware.code(21 * MS, AFFINITY_INFO, 1), (2, false));
    firmware.come_and_go(1, 21 * MS);
    assert_eq!(firmware.code(30 * MS, CPU_ON, 1), (0, false));
    assert_eq!(firmware.powers_up(1, 30 * MS), PowersUp::At(50 * MS), "each time anew");
}

#[test]
fn a_refused_cpu_stays_off_and_one_that_starts_all_the_same_does_not() {
    let firmware = Firmware::with("fault=cpu1:refused:INTERNAL_FAILURE fault=cpu2:refused-yet-starts:-6");
    assert_eq!(firmware.code(0, CPU_ON, 1), (-6, true));
    assert_eq!(firmware.powers_up(1, MS), PowersUp::Never);
    assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (1, false));
    assert_eq!(firmware.code(0, CPU_ON, 2), (-6, true));
    firmware.come_and_go(2, 0);
    assert_eq!(firmware.code(0, CPU_ON, 9), (-2, false), "there is no such CPU");
}

#[test]
fn calls_that_come_too_fast_are_forgotten() {
    let firmware = Firmware::with("fault=all:dropped:5ms");
    assert_eq!(firmware.code(0, CPU_ON, 1), (0, false), "the first one does not follow another");
    assert_eq!(firmware.code(4 * MS, CPU_ON, 2), (0, true));
    assert_eq!(firmware.code(4 * MS, AFFINITY_INFO, 2), (1, false));
    assert_eq!(firmware.code(5 * MS, CPU_ON, 2), (0, false), "what was forgotten is not waited for");
    assert_eq!(firmware.code(5 * MS, AFFINITY_INFO, 2), (2, false));
}

#[test]
fn a_cpu_that_may_not_go_stays_on() {
    let firmware = Firmware::with("fault=cpu1:off-denied:-3");
    assert_eq!(firmware.code(0, CPU_ON, 1), (0, false));
    assert!(firmware.server.enter(1).is_some());
    let handled = firmware.call(0, 1, CPU_OFF, 0);
    assert_eq!((handled.answer, handled.faulty), (Answer::Return(-3_i64 as u64), true));
    assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (0, false));
}

#[test]
fn a_cpu_that_has_gone_seems_on_for_a_while_and_then_comes_again() {
    let firmware = Firmware::with("fault=cpu1:stays-on:50ms");
    assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (1, false), "it has never been on");
    assert_eq!(firmware.code(0, CPU_ON, 1), (0, false));
    firmware.come_and_go(1, MS);
    assert_eq!(firmware.code(50 * MS, AFFINITY_INFO, 1), (0, true));
    assert_eq!(firmware.code(50 * MS, CPU_ON, 1), (-4, true));
    assert_eq!(firmware.code(51 * MS, AFFINITY_INFO, 1), (1, false));
    assert_eq!(firmware.code(51 * MS, CPU_ON, 1), (0, false));
    assert_eq!(firmware.code(51 * MS, AFFINITY_INFO, 1), (2, false));
}

#[test]
fn affinity_info_lies_and_the_cpu_does_not() {
    for (says, code) in [("ON", 0), ("OFF", 1), ("ON_PENDING", 2)] {
        let firmware = Firmware::with(&format!("fault=cpu1:lies:{says}"));
        assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (code, true));
        assert_eq!(firmware.code(0, CPU_ON, 1), (0, false));
        firmware.come_and_go(1, 0);
        assert_eq!(firmware.code(0, AFFINITY_INFO, 1), (code, true));
        assert_eq!(firmware.code(0, AFFINITY_INFO, 2), (1, false));
    }
}
