//! One CPU has one fault, at every place there is; the outcome has a name, the others are unaffected, and the CPU comes up
//! later where the hardware allows.

use std::time::Duration;

use fastrand::Rng;
use reveille::hotplug::{Direction, HotplugError, HotplugState, Section};
use reveille::{FirmwareState, Outcome, Policy, Smp};
use reveille_sim::{Boot, Control, Fault, FaultKind, Machine, Parking};

use crate::table::{Table, step_name};
use crate::{TIMEOUT, timeout};

/// What firmware refuses with: the codes of PSCI, and one that it has not.
const CODES: [i64; 10] = [-1, -2, -3, -4, -5, -6, -7, -8, -9, -77];

/// A machine on which one CPU has one fault.
struct Case {
    table: Table,
    cpus: usize,
    cpu: usize,
    kind: FaultKind,
    parking: Parking,
    affinity_info: bool,
    policy: Policy,
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[rng.usize(..of.len())])
}

fn around_the_deadline(rng: &mut Rng, cpus: usize) -> Duration {
    let deadline = timeout(cpus).as_micros() as u64;
    Duration::from_micros(match rng.u8(..4) {
        0 => rng.u64(0..deadline / 2),
        1 => rng.u64(2 * deadline..4 * deadline),
        _ => rng.u64(deadline - 2_000..deadline + 3_000),
    })
}

fn random(rng: &mut Rng, kind: impl FnOnce(&mut Rng, &Table, usize) -> FaultKind) -> Case {
    let table = Table::random(rng);
    let cpus = rng.usize(2..6);
    let policy = pick(rng, &[Policy::PARALLEL, Policy::PARALLEL, Policy::SERIAL, Policy::at_most(2)]).unwrap();
    Case {
        cpus,
        cpu: rng.usize(1..cpus),
        kind: kind(rng, &table, cpus),
        parking: if rng.u8(..4) == 0 { Parking::Asleep } else { Parking::Off },
        affinity_info: rng.u8(..4) != 0,
        policy,
        table,
    }
}

fn fault_going_up(rng: &mut Rng, table: &Table, cpus: usize) -> FaultKind {
    let step = pick(rng, &table.steps).unwrap();
    let name = step_name(step.name);
    match rng.u8(..16) {
        0 => FaultKind::Dead,
        1 => FaultKind::Refused(pick(rng, &CODES).unwrap()),
        2 => FaultKind::RefusedYetStarts(pick(rng, &CODES).unwrap()),
        3 | 4 => FaultKind::Late(around_the_deadline(rng, cpus)),
        5 | 6 => FaultKind::Slow(around_the_deadline(rng, cpus)),
        7 => FaultKind::Twice,
        8 => FaultKind::WrongId,
        9 => FaultKind::Features,
        10 => FaultKind::Deaf,
        11..14 => FaultKind::Fails(name),
        _ if step.section == Section::Prepare => FaultKind::Fails(name),
        14 => FaultKind::Stops(name),
        _ => FaultKind::Panics(name),
    }
}

/// Whether a step with instances has none, and is not called.
fn is_called(case: &Case, name: &str) -> bool {
    case.table.steps.iter().any(|step| step.name == name && (!step.multi || step.instances > 0))
}

fn section(case: &Case, name: &str) -> Section {
    case.table.steps.iter().find(|step| step.name == name).unwrap().section
}

impl Case {
    fn run(&self, seed: u64, scenario: impl FnOnce(&Control<'_, '_>)) {
        let smp = Smp::new();
        self.table.with(&smp, |steps| {
            let machine = Machine::builder(self.cpus)
                .seed(seed)
                .smp(&smp)
                .steps(steps)
                .timeout(TIMEOUT)
                .policy(self.policy)
                .parking(self.parking)
                .affinity_info(self.affinity_info);
            machine.build().run(|control| {
                self.table.add_instances(control);
                scenario(control);
            });
        });
    }

    fn fault(&self) -> Fault {
        Fault { cpu: self.cpu, kind: self.kind }
    }

    /// The longest that `waits` waits take, each until its deadline.
    fn longest(&self, control: &Control<'_, '_>, waits: u32) -> u64 {
        ((timeout(self.cpus) + control.slack()) * waits + Duration::from_millis(1)).as_nanos() as u64
    }
}

pub fn going_up(seed: u64, rng: &mut Rng) {
    let case = random(rng, fault_going_up);
    let later = Duration::from_micros(rng.u64(0..40_000));
    case.run(seed, |control| {
        control.inject(case.fault());
        let start = control.now();
        let boot = control.boot();
        let waits = if case.policy == Policy::PARALLEL { 3 } else { 2 + case.cpus as u32 };
        let took = control.now().nanos_since(start);
        assert!(took <= case.longest(control, waits), "the boot took {took} ns");
        check_outcome(&case, control, &boot);
        for (cpu, outcome) in boot.outcomes.iter().enumerate().skip(1).filter(|&(cpu, _)| cpu != case.cpu) {
            assert_eq!((*outcome, control.state(cpu)), (Outcome::Online, case.table.online()), "CPU {cpu}");
        }
        check_undone(&case, control, boot.outcomes[case.cpu]);
        comes_up_later(&case, control, boot.outcomes[case.cpu], later);
        others_work(&case, control);
    });
}

/// The outcome is that of the fault.
fn check_outcome(case: &Case, control: &Control<'_, '_>, boot: &Boot) {
    let outcome = boot.outcomes[case.cpu];
    let (slack, deadline) = (control.slack(), timeout(case.cpus));
    let (soon, longer) = (Duration::from_millis(8), deadline + 2 * slack);
    let online = outcome == Outcome::Online;
    let right = match case.kind {
        FaultKind::Dead => matches!(outcome, Outcome::TimedOut(FirmwareState::OnPending | FirmwareState::Unknown)),
        FaultKind::Refused(code) => matches!(outcome, Outcome::Failed(error) if error.code == code),
        FaultKind::RefusedYetStarts(code) => online || matches!(outcome, Outcome::Failed(error) if error.code == code),
        FaultKind::Late(time) if time < soon => online,
        FaultKind::Late(time) if time > longer => matches!(outcome, Outcome::TimedOut(_)),
        FaultKind::Late(_) => online || matches!(outcome, Outcome::TimedOut(_) | Outcome::Stuck { .. }),
        FaultKind::Slow(time) if time < soon => online,
        FaultKind::Slow(time) if time > longer => matches!(outcome, Outcome::Stuck { .. }),
        FaultKind::Slow(_) => online || matches!(outcome, Outcome::Stuck { .. }),
        FaultKind::Twice => online,
        FaultKind::WrongId => matches!(outcome, Outcome::TimedOut(_)),
        FaultKind::Features => matches!(outcome, Outcome::Stuck { .. }),
        FaultKind::Deaf => outcome == Outcome::Hung("ap:online"),
        FaultKind::Fails(name) | FaultKind::Stops(name) | FaultKind::Panics(name)
            if !is_called(case, name.as_str()) =>
        {
            online
        }
        FaultKind::Fails(name) => match section(case, name.as_str()) {
            Section::Prepare => matches!(outcome, Outcome::Failed(error) if error.call == name.as_str()),
            _ => {
                let Outcome::Step(failure) = outcome else { panic!("{outcome}") };
                failure.step == name.as_str() && failure.direction == Direction::Up && failure.undo.is_none()
            }
        },
        FaultKind::Stops(name) | FaultKind::Panics(name) => match section(case, name.as_str()) {
            Section::Online => matches!(outcome, Outcome::Hung(step) if step == name.as_str()),
            _ => matches!(outcome, Outcome::Stuck { .. }),
        },
        _ => false,
    };
    assert!(right, "{} came to: {outcome}", case.fault());
    let others = case.cpus - 1 + usize::from(matches!(outcome, Outcome::Online));
    assert_eq!(boot.online(), others);
}

/// Everything was undone, unless the CPU may be using it: then nothing was.
fn check_undone(case: &Case, control: &Control<'_, '_>, outcome: Outcome) {
    let state = control.state(case.cpu);
    let starting = matches!(case.kind, FaultKind::Fails(name) if section(case, name.as_str()) == Section::Starting);
    let right = match outcome {
        Outcome::Online => state == case.table.online(),
        Outcome::Failed(_) | Outcome::TimedOut(_) => state == HotplugState::OFFLINE,
        Outcome::Step(_) if starting => state >= case.table.prepared(),
        Outcome::Step(_) => state == HotplugState::OFFLINE,
        Outcome::Stuck { .. } => state >= case.table.prepared() && state < case.table.online(),
        Outcome::Hung(_) => state > case.table.prepared() && state < case.table.online(),
        _ => false,
    };
    assert!(right, "{} is in state {state} after: {outcome}", case.fault());
}

/// The CPU, with nothing wrong any more, comes up on request where the hardware allows.
fn comes_up_later(case: &Case, control: &Control<'_, '_>, outcome: Outcome, later: Duration) {
    control.sleep(later);
    control.mend(case.cpu);
    let start = control.now();
    let again = control.cpu_up(case.cpu);
    assert!(control.now().nanos_since(start) <= case.longest(control, 4));
    // After this long everything has arrived, parked and gone off.
    control.sleep(timeout(case.cpus) * 6);
    let last = control.cpu_up(case.cpu);
    let up = matches!(last, Ok(()) | Err(HotplugError::AlreadyThere(_)));
    let stopped = matches!(case.kind, FaultKind::Stops(_) | FaultKind::Panics(_));
    let right = match outcome {
        Outcome::Online => matches!(again, Err(HotplugError::AlreadyThere(_))) && up,
        Outcome::Failed(_) if !matches!(case.kind, FaultKind::RefusedYetStarts(_)) => again.is_ok(),
        Outcome::Hung(_) if !stopped => again.is_ok(),
        Outcome::Hung(_) => matches!(last, Err(HotplugError::StillRunning(_))),
        Outcome::Stuck { .. } if stopped => matches!(last, Err(HotplugError::NotOff(_))),
        _ if case.kind == FaultKind::Dead => again.is_ok(),
        // Asleep, or not to be asked about: there is nothing that could be done with it.
        _ if case.parking == Parking::Asleep || !case.affinity_info => true,
        _ => up,
    };
    assert!(right, "{} came to: {outcome}; then {again:?} and {last:?}", case.fault());
}

/// Every other CPU goes down and comes up.
fn others_work(case: &Case, control: &Control<'_, '_>) {
    for cpu in (1..case.cpus).filter(|&cpu| cpu != case.cpu) {
        assert_eq!(control.cpu_down(cpu), Ok(None));
        if !case.affinity_info {
            // Nobody can say when it is off.
            control.sleep(Duration::from_millis(1));
        }
        assert_eq!(control.cpu_up(cpu), Ok(()));
    }
}

fn fault_going_down(rng: &mut Rng, table: &Table, cpus: usize) -> FaultKind {
    let step = pick(rng, &table.steps).unwrap();
    let name = step_name(step.name);
    match rng.u8(..10) {
        0 => FaultKind::OffDenied(pick(rng, &CODES).unwrap()),
        1 | 2 => FaultKind::StaysOn(around_the_deadline(rng, cpus)),
        3 => FaultKind::NoOff,
        4 => FaultKind::Deaf,
        5 if step.section != Section::Prepare => FaultKind::StopsDown(name),
        _ => FaultKind::FailsDown(name),
    }
}

pub fn going_down(seed: u64, rng: &mut Rng) {
    let case = random(rng, fault_going_down);
    case.run(seed, |control| {
        assert_eq!(control.boot().online(), case.cpus);
        control.inject(case.fault());
        let start = control.now();
        let result = control.cpu_down(case.cpu);
        let took = control.now().nanos_since(start);
        assert!(took <= case.longest(control, 4), "it took {took} ns");
        let state = control.state(case.cpu);
        check_down(&case, result, state);
        control.sleep(timeout(case.cpus) * 4);
        control.mend(case.cpu);
        let stopped = matches!(result, Err(HotplugError::Hung(_)));
        let again = control.cpu_down(case.cpu);
        if stopped {
            assert!(matches!(again, Err(HotplugError::StillRunning(_))), "{again:?}");
        } else {
            let down = matches!(again, Ok(None) | Err(HotplugError::AlreadyThere("offline")));
            assert!(down, "{}: {result:?}, then {again:?}", case.fault());
            control.sleep(Duration::from_millis(1));
            // One that is refused to go off, and that nobody can ask about, is taken for off and sleeps.
            let asleep = matches!(case.kind, FaultKind::OffDenied(_)) && !case.affinity_info;
            let up = control.cpu_up(case.cpu);
            assert!(up.is_ok() || asleep && matches!(up, Err(HotplugError::NotUp(_))), "{up:?}");
        }
        others_work(&case, control);
    });
}

/// What a request to go down came to is that of the fault, and the CPU is where the result says.
fn check_down(case: &Case, result: Result<Option<reveille::hotplug::StepFailure>, HotplugError>, state: HotplugState) {
    let online = state == case.table.online();
    let gone = result == Ok(None) && state == HotplugState::OFFLINE;
    let right = match (case.kind, result) {
        (FaultKind::OffDenied(code), Err(HotplugError::DieRefused(error))) => error.code == code && online,
        // Nobody can be asked, so what the CPU says itself must do; what it learns of being refused comes too late.
        (FaultKind::OffDenied(_) | FaultKind::StaysOn(_), _) if !case.affinity_info => true,
        (FaultKind::StaysOn(_), Err(HotplugError::NotOff(FirmwareState::On))) => {
            state >= case.table.prepared() && !online
        }
        (FaultKind::StaysOn(time), _) => gone && time < timeout(case.cpus) * 2,
        // It was to be started again at once, and nobody can say when it is off.
        (FaultKind::FailsDown(_), Err(HotplugError::NotUndone { .. })) => !case.affinity_info,
        (FaultKind::NoOff, Err(HotplugError::CannotDie(_))) => online,
        (FaultKind::Deaf, Err(HotplugError::NoAnswer)) => online,
        (FaultKind::StopsDown(name) | FaultKind::FailsDown(name), _) if !is_called(case, name.as_str()) => gone,
        (FaultKind::StopsDown(name), Err(HotplugError::Hung(step))) => name.as_str() == step,
        (FaultKind::FailsDown(name), Err(HotplugError::Step(failure))) => {
            online
                && failure.step == name.as_str()
                && failure.undo.is_none()
                && section(case, name.as_str()) != Section::Starting
        }
        (FaultKind::FailsDown(name), Ok(Some(failure))) => {
            failure.step == name.as_str()
                && section(case, name.as_str()) == Section::Starting
                && state == HotplugState::OFFLINE
        }
        _ => false,
    };
    assert!(right, "{} came to {result:?}, in state {state}", case.fault());
}
