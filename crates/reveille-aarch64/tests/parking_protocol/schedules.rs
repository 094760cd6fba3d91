//! The library's method: one thing that is wrong with a CPU and what becomes of it by name, then any faults and any requests.

use std::time::Duration;

use fastrand::Rng;
use reveille::hotplug::HotplugError;
use reveille::{FirmwareState, Outcome, Policy};
use reveille_sim::{Boot, Builder, Control, Fault, FaultKind, Machine, ParkedFault, StepName, each_seed};

use crate::{STEPS, TIMEOUT, library};

/// What is done with a machine, the number of its CPUs, and one of those that do not boot.
pub type Scenario = fn(Builder<'static>, usize, usize);

fn machine(seed: u64, cpus: usize, rng: &mut Rng) -> Builder<'static> {
    let policy = [Policy::PARALLEL, Policy::SERIAL, Policy::at_most(2)][rng.usize(..3)];
    Machine::builder(cpus).seed(seed).steps(&STEPS).policy(policy).timeout(TIMEOUT)
}

/// A machine of 2 to 6 CPUs, to which `method` gives its method, and what is done with it.
pub fn on_machine(seed: u64, method: impl FnOnce(Builder<'static>) -> Builder<'static>, scenario: Scenario) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let cpus = rng.usize(2..=6);
    let cpu = rng.usize(1..cpus);
    scenario(method(machine(seed, cpus, &mut rng)), cpus, cpu);
}

fn on_machines(seeds: u64, scenario: Scenario) {
    each_seed(0..seeds, |seed| on_machine(seed, |machine| machine.parked(library), scenario));
}

/// All CPUs but `cpu` are online; what became of that one.
fn outcome_of(boot: &Boot, cpu: usize) -> Outcome {
    for (other, outcome) in boot.outcomes.iter().enumerate().skip(1) {
        assert!(other == cpu || *outcome == Outcome::Online, "CPU {other}: {outcome}");
    }
    boot.outcomes[cpu]
}

/// The CPUs besides the boot CPU go and come back.
fn go_and_come_back(control: &Control<'_, '_>, cpus: usize) {
    for _ in 0..2 {
        for cpu in 1..cpus {
            assert_eq!(control.cpu_down(cpu), Ok(None), "CPU {cpu}");
        }
        for cpu in 1..cpus {
            assert_eq!(control.cpu_up(cpu), Ok(()), "CPU {cpu}");
        }
    }
}

#[test]
fn cpus_come_up_from_their_mailboxes_and_later_from_the_pen() {
    on_machines(2_000, |machine, cpus, _| {
        machine.build().run(|control| {
            assert_eq!(control.boot().online(), cpus);
            go_and_come_back(control, cpus);
            let frozen = control.freeze().unwrap();
            control.thaw(&frozen, &mut |cpu, result| assert_eq!(result, Ok(()), "CPU {cpu}")).unwrap();
        });
    });
}

pub fn woken_without_a_reason(mut machine: Builder<'static>, cpus: usize, _: usize) {
    for cpu in 1..cpus {
        machine = machine.parked_fault(cpu, ParkedFault::Spurious);
    }
    machine.build().run(|control| {
        assert_eq!(control.boot().online(), cpus);
        go_and_come_back(control, cpus);
    });
}

#[test]
fn cpus_that_are_woken_without_a_reason_come_up_all_the_same() {
    on_machines(2_000, woken_without_a_reason);
}

pub fn never_acknowledges(machine: Builder<'static>, cpus: usize, cpu: usize) {
    machine.parked_fault(cpu, ParkedFault::StaysParked).build().run(|control| {
        let outcome = outcome_of(&control.boot(), cpu);
        assert_eq!(outcome, Outcome::TimedOut(FirmwareState::Off), "firmware still has it");
        assert_eq!(control.cpu_up(cpu), Err(HotplugError::NotUp(outcome)));
        control.mend(cpu);
        assert_eq!(control.cpu_up(cpu), Ok(()));
        go_and_come_back(control, cpus);
    });
}

#[test]
fn row_54_a_cpu_that_never_acknowledges_is_named_and_comes_when_it_is_mended() {
    on_machines(1_000, never_acknowledges);
}

/// The mailbox must not be written to then: firmware would seem to have the CPU for ever, and one that firmware has may be given
/// new memory.
pub fn acknowledges_when_asked_again(machine: Builder<'static>, cpus: usize, cpu: usize) {
    machine.parked_fault(cpu, ParkedFault::StaysParked).build().run(|control| {
        outcome_of(&control.boot(), cpu);
        control.mend(cpu);
        control.inject_parked(cpu, ParkedFault::Spurious);
        assert_eq!(control.cpu_up(cpu), Ok(()));
        go_and_come_back(control, cpus);
        assert_eq!(control.cpu_down(cpu), Ok(None));
        control.inject(Fault { cpu, kind: FaultKind::Stops(StepName::new("irq").unwrap()) });
        let stuck = control.cpu_up(cpu);
        assert!(matches!(stuck, Err(HotplugError::NotUp(Outcome::Stuck { .. }))), "{stuck:?}");
        assert_eq!(control.cpu_up(cpu), Err(HotplugError::NotOff(FirmwareState::Unknown)));
    });
}

#[test]
fn a_cpu_that_acknowledges_just_when_it_is_asked_for_again_is_known_to_be_ours() {
    on_machines(1_000, acknowledges_when_asked_again);
}

#[test]
fn row_54_a_cpu_that_acknowledges_and_does_not_arrive_is_named() {
    on_machines(1_000, |machine, _, cpu| {
        machine.fault(Fault { cpu, kind: FaultKind::Dead }).build().run(|control| {
            let outcome = outcome_of(&control.boot(), cpu);
            assert_eq!(outcome, Outcome::TimedOut(FirmwareState::Unknown), "firmware has let it go");
            assert_eq!(control.cpu_up(cpu), Err(HotplugError::NotUp(outcome)));
        });
    });
}

#[test]
fn a_mailbox_of_another_cpu_fails_and_is_left_alone() {
    on_machines(1_000, |machine, _, cpu| {
        machine.parked_fault(cpu, ParkedFault::OtherId).build().run(|control| {
            let Outcome::Failed(error) = outcome_of(&control.boot(), cpu) else { panic!("it has not failed") };
            assert_eq!(error.meaning, "the mailbox is another CPU's");
            assert_eq!(control.cpu_up(cpu), Err(HotplugError::NotUp(Outcome::Failed(error))));
        });
    });
}

#[test]
fn a_cpu_without_a_version_of_the_protocol_is_left_out_and_the_others_find_their_mailboxes() {
    on_machines(1_000, |machine, cpus, cpu| {
        machine.without_parking_version(cpu).build().run(|control| {
            assert_eq!(control.boot().online(), cpus - 1);
            let ids: Vec<u64> = control.plan().topology.cpus().iter().map(|cpu| cpu.hw_id.0).collect();
            assert!(ids.len() == cpus - 1 && !ids.contains(&(cpu as u64)), "{ids:?}");
            go_and_come_back(control, cpus - 1);
        });
    });
}

#[test]
fn row_55_a_cpu_that_comes_late_goes_into_the_pen_and_comes_up_from_there() {
    on_machines(2_000, |machine, cpus, cpu| {
        let late = Fault { cpu, kind: FaultKind::Late(Duration::from_millis(40)) };
        machine.fault(late).build().run(|control| {
            let outcome = outcome_of(&control.boot(), cpu);
            assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome}");
            control.sleep(Duration::from_secs(1));
            assert_eq!(control.cpu_up(cpu), Ok(()));
            go_and_come_back(control, cpus);
        });
    });
}

#[test]
fn a_cpu_that_is_asked_for_again_while_it_is_on_its_way_comes_and_goes_like_the_others() {
    on_machines(4_000, |machine, cpus, cpu| {
        // Between the first wait's end and about that of the second.
        let delay = Duration::from_micros(Rng::with_seed(cpu as u64 + cpus as u64 * 7).u64(11_000..20_000));
        machine.fault(Fault { cpu, kind: FaultKind::Late(delay) }).build().run(|control| {
            control.boot();
            for _ in 0..3 {
                let mut outcomes = vec![Outcome::NotAsked; cpus];
                control.bring_up(&mut outcomes).unwrap();
            }
            assert_eq!(control.smp().masks.online.snapshot().count(), cpus);
            go_and_come_back(control, cpus);
        });
    });
}

/// Any faults and any requests. The machine itself checks what must hold.
#[test]
fn whatever_is_wrong_and_whatever_is_asked_for_all_whole_cpus_come_up_in_the_end() {
    each_seed(0..4_000, |seed| {
        let mut rng = Rng::with_seed(seed ^ 0xface);
        let cpus = rng.usize(2..=5);
        let mut machine = machine(seed, cpus, &mut rng).parked(library);
        for _ in 0..rng.usize(..4) {
            machine = add_fault(machine, cpus, &mut rng);
        }
        machine.build().run(|control| {
            control.boot();
            for _ in 0..rng.usize(..8) {
                ask(control, cpus, &mut rng);
            }
            control.sleep(Duration::from_secs(1));
            for cpu in 1..cpus {
                control.mend(cpu);
                let result = control.cpu_up(cpu);
                let whole = matches!(result, Ok(()) | Err(HotplugError::AlreadyThere(_)));
                // One that stopped for ever, or was given up after it came, is not whole.
                let lost = matches!(result, Err(HotplugError::NotOff(_) | HotplugError::StillRunning(_)));
                let dead = result == Err(HotplugError::NotUp(Outcome::TimedOut(FirmwareState::Unknown)));
                assert!(whole || lost || dead, "CPU {cpu}: {result:?}");
            }
        });
    });
}

fn add_fault(machine: Builder<'static>, cpus: usize, rng: &mut Rng) -> Builder<'static> {
    let cpu = rng.usize(1..cpus);
    let late = Duration::from_micros(rng.u64(0..30_000));
    let worker = StepName::new("worker").unwrap();
    let kind = match rng.u8(..9) {
        0 => return machine.parked_fault(cpu, ParkedFault::StaysParked),
        1 | 2 => return machine.parked_fault(cpu, ParkedFault::Spurious),
        3 => FaultKind::Dead,
        4 => FaultKind::Features,
        5 => FaultKind::Fails(worker),
        6 => FaultKind::Slow(late),
        _ => FaultKind::Late(late),
    };
    machine.fault(Fault { cpu, kind })
}

fn ask(control: &Control<'_, '_>, cpus: usize, rng: &mut Rng) {
    let cpu = rng.usize(1..cpus);
    match rng.u8(..8) {
        0..3 => drop(control.cpu_up(cpu)),
        3..6 => drop(control.cpu_down(cpu)),
        6 => drop(control.bring_up(&mut vec![Outcome::NotAsked; cpus])),
        _ => control.sleep(Duration::from_micros(rng.u64(0..30_000))),
    }
}
