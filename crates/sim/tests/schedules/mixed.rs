//! Any faults, any requests, from one CPU or from several at once: whatever happens ends in time, and what is said of it is true.

use std::time::Duration;

use fastrand::Rng;
use reveille::hotplug::{HotplugError, HotplugState};
use reveille::{Policy, Smp, SmpOptions};
use reveille_sim::{Control, Fault, FaultKind, Machine, Parking, Request};

use crate::table::{Table, instance, step_name};
use crate::{TIMEOUT, timeout};

/// A request, as it is made and told.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Up(usize),
    Down(usize),
    State(usize, HotplugState),
    Add(&'static str, u8),
    Remove(&'static str, u8),
    DisableAndEnable,
    FreezeAndThaw,
    BringUp,
    Mend(usize),
    Sleep(u64),
}

/// No request has more waits than this: for its turn, up, settled, back down, and back up with its own way back.
const WAITS: u32 = 9;

fn random_fault(rng: &mut Rng, table: &Table, cpus: usize) -> Fault {
    let name = step_name(table.steps[rng.usize(..table.steps.len())].name);
    let time = Duration::from_micros(rng.u64(0..30_000));
    let kind = match rng.u8(..17) {
        0 => FaultKind::Dead,
        1 => FaultKind::Refused(-i64::from(rng.u8(1..10))),
        2 => FaultKind::RefusedYetStarts(-6),
        3 => FaultKind::Late(time),
        4 => FaultKind::Slow(time),
        5 => FaultKind::Twice,
        6 => FaultKind::WrongId,
        7 => FaultKind::Features,
        8 | 9 => FaultKind::Fails(name),
        10 | 11 => FaultKind::FailsDown(name),
        12 => FaultKind::Stops(name),
        13 => FaultKind::StopsDown(name),
        14 => FaultKind::Deaf,
        15 => FaultKind::OffDenied(-3),
        _ => FaultKind::StaysOn(time),
    };
    Fault { cpu: rng.usize(1..cpus), kind }
}

fn random_wish(rng: &mut Rng, table: &Table, cpus: usize) -> Wish {
    let cpu = rng.usize(..cpus);
    let multi: Vec<_> = table.multi().map(|step| step.name).collect();
    match rng.u8(..14) {
        0..3 => Wish::Up(cpu),
        3..6 => Wish::Down(cpu),
        6 | 7 => Wish::State(cpu, HotplugState(rng.u16(0..=table.online().0 + 1))),
        8 if !multi.is_empty() => Wish::Add(multi[rng.usize(..multi.len())], rng.u8(..3)),
        9 if !multi.is_empty() => Wish::Remove(multi[rng.usize(..multi.len())], rng.u8(..3)),
        10 => Wish::DisableAndEnable,
        11 => Wish::FreezeAndThaw,
        12 => Wish::BringUp,
        13 => Wish::Mend(cpu),
        _ => Wish::Sleep(rng.u64(0..30_000)),
    }
}

pub fn requests(seed: u64, rng: &mut Rng) {
    let table = Table::random(rng);
    let cpus = rng.usize(2..6);
    let faults: Vec<_> = (0..rng.usize(0..4)).map(|_| random_fault(rng, &table, cpus)).collect();
    let later: Vec<_> = (0..rng.usize(0..3)).map(|_| random_fault(rng, &table, cpus)).collect();
    let alone: Vec<_> = (0..rng.usize(0..6)).map(|_| random_wish(rng, &table, cpus)).collect();
    let together: Vec<_> = (0..rng.usize(0..4)).map(|_| random_wish(rng, &table, cpus)).collect();
    let max_cpus = if rng.u8(..8) == 0 { rng.usize(0..=cpus) } else { SmpOptions::ALL.max_cpus };
    let smp = Smp::new();
    table.with(&smp, |steps| {
        let machine = Machine::builder(cpus)
            .seed(seed)
            .smp(&smp)
            .steps(steps)
            .faults(faults)
            .timeout(TIMEOUT)
            .policy(if rng.bool() { Policy::PARALLEL } else { Policy::at_most(rng.usize(1..4)) })
            .options(SmpOptions { max_cpus, ..SmpOptions::ALL })
            .parking(if rng.u8(..4) == 0 { Parking::Asleep } else { Parking::Off })
            .affinity_info(rng.u8(..4) != 0);
        machine.build().run(|control| {
            table.add_instances(control);
            control.boot();
            for fault in later {
                control.inject(fault);
            }
            for wish in alone {
                let before = state(control, wish);
                let result = make(control, wish, 1);
                check_alone(control, wish, before, result);
            }
            let count = together.len() as u32;
            let requests = together.into_iter().map(|wish| -> Request<'_, _> {
                Box::new(move |control: &Control<'_, '_>| make(control, wish, count))
            });
            control.together(requests.collect());
        });
    });
}

fn state(control: &Control<'_, '_>, wish: Wish) -> HotplugState {
    match wish {
        Wish::Up(cpu) | Wish::Down(cpu) | Wish::State(cpu, _) => control.state(cpu),
        _ => HotplugState::OFFLINE,
    }
}

/// Makes a request beside `others`, and checks that it ends in time.
fn make(control: &Control<'_, '_>, wish: Wish, others: u32) -> Result<(), HotplugError> {
    let start = control.now();
    let mut waits = WAITS;
    let result = match wish {
        Wish::Up(cpu) => control.cpu_up(cpu),
        Wish::Down(cpu) => control.cpu_down(cpu).map(|_| ()),
        Wish::State(cpu, state) => control.set_state(cpu, state).map(|_| ()),
        Wish::Add(step, number) => {
            waits = all(control);
            control.add_instance(step, instance(number))
        }
        Wish::Remove(step, number) => {
            waits = all(control);
            control.remove_instance(step, instance(number))
        }
        Wish::DisableAndEnable => control.disable().map(|()| {
            // What is disabled is enabled in the end, however long others are at it.
            while control.enable() == Err(HotplugError::Busy) {}
        }),
        Wish::FreezeAndThaw => {
            waits = 2 * WAITS * all(control);
            freeze_and_thaw(control)
        }
        Wish::BringUp => {
            waits = WAITS * all(control);
            let mut outcomes = vec![reveille::Outcome::NotAsked; control.plan().topology.cpus().len()];
            control.bring_up(&mut outcomes).map(|_| ())
        }
        Wish::Mend(cpu) => {
            control.mend(cpu);
            return Ok(());
        }
        Wish::Sleep(micros) => {
            control.sleep(Duration::from_micros(micros));
            return Ok(());
        }
    };
    if matches!(wish, Wish::DisableAndEnable) && others > 1 {
        return result;
    }
    let took = control.now().nanos_since(start);
    let longest = (timeout(all(control) as usize) + control.slack()) * waits;
    assert!(u128::from(took) <= longest.as_nanos(), "{wish:?} took {took} ns: {result:?}");
    result
}

fn all(control: &Control<'_, '_>) -> u32 {
    control.plan().topology.cpus().len() as u32
}

fn freeze_and_thaw(control: &Control<'_, '_>) -> Result<(), HotplugError> {
    let frozen = control.freeze().map_err(|failed| failed.error)?;
    assert!(control.hotplug().tasks_frozen());
    loop {
        match control.thaw(&frozen, &mut |_, _| ()) {
            Err(HotplugError::Busy) => {}
            result => return result,
        }
    }
}

/// What a request that nobody else disturbed came to is true of the state of its CPU.
fn check_alone(control: &Control<'_, '_>, wish: Wish, before: HotplugState, result: Result<(), HotplugError>) {
    let (cpu, target) = match wish {
        Wish::Up(cpu) => (cpu, control.hotplug().steps().online()),
        Wish::Down(cpu) => (cpu, HotplugState::OFFLINE),
        Wish::State(cpu, state) => (cpu, state),
        _ => return,
    };
    let state = control.state(cpu);
    let prepared = control.hotplug().steps().prepared();
    // One that was stuck, and that firmware says is off by now, is recovered first.
    let between = before > prepared && before <= control.hotplug().steps().ap_online();
    let is_before = state == before || between && state == prepared;
    let right = match result {
        Ok(()) => state == target,
        Err(HotplugError::Step(failure)) if failure.undo.is_none() => is_before,
        // One that was started is on, and cannot be told to go down again.
        Err(HotplugError::NoAnswer) if before <= prepared => state == control.hotplug().steps().ap_online(),
        Err(HotplugError::DieRefused(_) | HotplugError::NoAnswer | HotplugError::CannotDie(_)) => is_before,
        // A CPU that is off by now was recovered before.
        Err(HotplugError::AlreadyThere(_)) => state == target,
        Err(HotplugError::NotUp(outcome)) => {
            let stuck = matches!(outcome, reveille::Outcome::Stuck { .. } | reveille::Outcome::Step(_));
            is_before || state == prepared || stuck
        }
        Err(
            HotplugError::Busy
            | HotplugError::StillRunning(_)
            | HotplugError::Disabled
            | HotplugError::NotPresent
            | HotplugError::CannotHold(_)
            | HotplugError::LastCpu,
        ) => state == before,
        _ => true,
    };
    assert!(right, "{wish:?} in state {before} came to {result:?} in state {state}");
}
