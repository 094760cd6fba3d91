//! Random machines: every bring-up ends by its deadline, and says of each CPU what it did.

use proptest::collection::vec;
use proptest::prelude::*;
use reveille::rendezvous::State;
use reveille::{CpuIndex, Event, FirmwareState, Outcome, Policy, Smp, SmpOptions, Stage, Summary};

use super::machine::{BASE, Behaviour, DEAD, HEALTHY, KICK, Machine, PER_CPU, error};
use super::policies::most_in_flight;

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let delay = || prop_oneof![4 => 0u64..100, 1 => 0u64..3 * BASE, 1 => BASE..BASE + 100];
    let answer = |weight| prop_oneof![weight => Just(Ok(())), 1 => (-9i64..0).prop_map(Err)];
    let arriving = (delay(), prop::option::weighted(0.8, delay()), any::<u16>());
    let come = arriving.prop_map(|(arrives, online, stage)| Behaviour {
        arrives: Some(arrives),
        online: online.map(|online| arrives + online),
        stage,
        ..HEALTHY
    });
    let base = prop_oneof![6 => come, 1 => Just(DEAD)];
    (base, answer(9), answer(20), answer(20), answer(20)).prop_map(|(base, boot, room, init, prepare)| Behaviour {
        boot,
        room,
        init,
        prepare,
        ..base
    })
}

fn policy() -> impl Strategy<Value = (Policy, usize)> {
    prop_oneof![
        Just((Policy::PARALLEL, usize::MAX)),
        Just((Policy::SERIAL, 1)),
        (1usize..6).prop_map(|limit| (Policy::at_most(limit), limit)),
    ]
}

/// The outcome that `behaviour` deserves, if it was kicked and done with at these times.
fn deserved(behaviour: &Behaviour, kicked: u64, done: u64) -> Outcome {
    let by = |delay: Option<u64>, moment| delay.is_some_and(|delay| kicked + delay <= moment);
    match behaviour.boot {
        Err(code) if !by(behaviour.arrives, kicked + KICK) => Outcome::Failed(error("boot", code)),
        _ if by(behaviour.online, done) => Outcome::Online,
        _ if by(behaviour.arrives, done) => {
            Outcome::Stuck { stage: Stage(behaviour.stage), firmware: FirmwareState::On }
        }
        _ => Outcome::TimedOut(behaviour.firmware),
    }
}

fn time_of(events: &[(u64, usize, Event)], cpu: usize, wanted: impl Fn(Event) -> bool) -> Option<u64> {
    events.iter().find(|&&(_, other, event)| other == cpu && wanted(event)).map(|&(time, ..)| time)
}

/// Checks the outcome of one CPU; whether it was asked for.
fn check_cpu(
    behaviour: &Behaviour,
    cpu: usize,
    outcome: Outcome,
    events: &[(u64, usize, Event)],
) -> Result<bool, TestCaseError> {
    let done = time_of(events, cpu, |event| matches!(event, Event::Done(_)));
    let prepared = time_of(events, cpu, |event| event == Event::Prepare);
    if let Err(code) = behaviour.init {
        prop_assert_eq!((outcome, prepared), (Outcome::Failed(error("init", code)), None));
    } else if let Err(code) = behaviour.prepare {
        prop_assert_eq!((outcome, prepared), (Outcome::Failed(error("prepare", code)), None));
    } else if prepared.is_none() {
        prop_assert_eq!((outcome, done), (Outcome::NotAsked, None));
    } else if let Err(code) = behaviour.room {
        prop_assert_eq!(outcome, Outcome::Failed(error("stack", code)));
    } else {
        let kicked = time_of(events, cpu, |event| event == Event::Kick).unwrap();
        let done = done.unwrap();
        prop_assert_eq!(outcome, deserved(behaviour, kicked, done));
        if matches!(outcome, Outcome::TimedOut(_) | Outcome::Stuck { .. }) {
            prop_assert!(done >= kicked + KICK + BASE + PER_CPU, "given up before its deadline");
        }
    }
    Ok(prepared.is_some())
}

fn check_masks(machine: &Machine<'_>, outcomes: &[Outcome]) -> Result<(), TestCaseError> {
    for (index, outcome) in outcomes.iter().enumerate() {
        let cpu = CpuIndex::new(index).unwrap();
        let masks = &machine.smp.masks;
        let [possible, present, online, active] =
            [&masks.possible, &masks.present, &masks.online, &masks.active].map(|mask| mask.contains(cpu));
        prop_assert!(active <= online && online <= present && present <= possible);
        prop_assert_eq!(online, index == 0 || *outcome == Outcome::Online);
    }
    Ok(())
}

proptest! {
    #[test]
    fn row_54_every_bring_up_ends_by_its_deadline_and_says_what_happened(
        behaviours in vec(behaviour(), 0..12),
        (policy, limit) in policy(),
        max_cpus in prop_oneof![2 => Just(usize::MAX), 1 => 1usize..12],
    ) {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &behaviours);
        let start = machine.clock();
        let (summary, outcomes) = machine.boot_with(policy, SmpOptions { max_cpus, ..SmpOptions::ALL });
        let (end, events) = (machine.clock(), machine.events());

        let mut asked = 1;
        for (position, behaviour) in behaviours.iter().enumerate() {
            let cpu = position + 1;
            asked += usize::from(check_cpu(behaviour, cpu, outcomes[cpu], &events)?);
        }
        let online = 1 + outcomes.iter().filter(|&&outcome| outcome == Outcome::Online).count();
        prop_assert_eq!(summary, Summary { asked, online });
        let present = smp.masks.present.snapshot().count();
        prop_assert_eq!(asked, present.min(max_cpus));
        prop_assert!(most_in_flight(&events) <= limit);

        let kicks: Vec<_> = events.iter().filter(|event| event.2 == Event::Kick).map(|&(time, ..)| time).collect();
        let places = kicks.len().min(limit) as u64;
        let last = kicks.last().map_or(start, |time| time + KICK);
        prop_assert!(end <= last + BASE + PER_CPU * places);
        let in_sum = kicks.len() as u64 * (KICK + BASE + PER_CPU * places);
        prop_assert!(end <= start + in_sum);

        check_masks(&machine, &outcomes)?;
        machine.settle();
        check_masks(&machine, &outcomes)?;
    }

    #[test]
    fn row_55_a_second_bring_up_takes_what_the_first_gave_up_and_leaves_what_is_stuck(
        behaviours in vec(behaviour(), 1..8),
        (first, _) in policy(),
        (second, _) in policy(),
        pause in 0..2 * BASE,
    ) {
        let behaviours: Vec<_> = behaviours
            .into_iter()
            .map(|behaviour| Behaviour { init: Ok(()), prepare: Ok(()), ..behaviour })
            .collect();
        let smp = Smp::new();
        let machine = Machine::new(&smp, &behaviours);
        let (_, before) = machine.boot(first);
        machine.advance(pause);
        for cpu in 1..=behaviours.len() {
            machine.mend(cpu, HEALTHY);
        }
        let (summary, after) = machine.boot(second);
        for (before, after) in before[1..].iter().zip(&after[1..]) {
            let expected = match before {
                Outcome::Online => Outcome::NotAsked,
                Outcome::Stuck { .. } => Outcome::Busy(State::Stuck),
                _ => Outcome::Online,
            };
            prop_assert_eq!(*after, expected);
        }
        machine.settle();
        prop_assert_eq!(smp.masks.online.snapshot().count(), summary.online);
    }
}
