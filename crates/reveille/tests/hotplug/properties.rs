//! Whatever step fails, on the way up or down: the state afterwards is the state before. That the steps have seen as much, in
//! order, is what the machine itself checks.

use proptest::prelude::*;
use proptest::sample::Index;
use reveille::hotplug::{Direction, HotplugError, HotplugState, Section, Step};
use reveille_sim::{Control, Fault, FaultKind, Machine, StepName};

use super::{TOLD_TO_FAIL, failure};

const NAMES: [&str; 12] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"];

/// How many steps a table has of each section, at least one of all.
fn counts() -> impl Strategy<Value = [usize; 3]> {
    [0..5usize, 0..4usize, 0..4usize].prop_filter("no step", |counts| counts.iter().sum::<usize>() > 0)
}

fn table([prepare, starting, online]: [usize; 3]) -> Vec<Step<'static>> {
    let sections = [(Section::Prepare, prepare), (Section::Starting, starting), (Section::Online, online)];
    let sections = sections.into_iter().flat_map(|(section, count)| std::iter::repeat_n(section, count));
    sections.zip(NAMES).enumerate().map(|(order, (section, name))| Step::new(section, order as u16, name)).collect()
}

/// Runs `scenario` on a machine with these steps.
fn machine(counts: [usize; 3], seed: u64, scenario: impl FnOnce(&Control<'_, '_>)) {
    let steps = table(counts);
    Machine::builder(3).seed(seed).steps(&steps).build().run(|control| {
        assert_eq!(control.boot().online(), 3);
        scenario(control);
    });
}

fn name(step: &Step<'_>) -> StepName {
    StepName::new(step.name()).unwrap()
}

/// Every state in which a CPU can be held.
fn states(control: &Control<'_, '_>) -> Vec<HotplugState> {
    let steps = control.hotplug().steps();
    (0..=steps.online().0).map(HotplugState).filter(|&state| steps.can_hold(state)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn for_every_failing_position_the_state_afterwards_is_the_state_before(
        counts in counts(),
        failing in any::<Index>(),
        (from, to) in any::<(Index, Index)>(),
        up in any::<bool>(),
        seed in any::<u64>(),
    ) {
        machine(counts, seed, |control| {
            let steps = table(counts);
            let failing = failing.get(&steps);
            let states = states(control);
            let (from, to) = (*from.get(&states), *to.get(&states));
            let _ = control.set_state(1, from);
            let kind = if up { FaultKind::Fails(name(failing)) } else { FaultKind::FailsDown(name(failing)) };
            control.inject(Fault { cpu: 1, kind });
            let result = control.set_state(1, to);
            let position = control.hotplug().steps().states().find(|step| step.2 == failing.name()).unwrap().0.0 - 1;
            let is_passed = if up { from.0 <= position && position < to.0 } else { to.0 <= position && position < from.0 };
            let starting = failing.section() == Section::Starting;
            match result {
                _ if from == to => assert!(matches!(result, Err(HotplugError::AlreadyThere(_)))),
                _ if !is_passed => assert_eq!((result, control.state(1)), (Ok(None), to)),
                // Its startup keeps the CPU from coming, and its teardown is passed over.
                Err(HotplugError::NotUp(reveille::Outcome::Step(told))) if starting && up => {
                    assert_eq!(told, failure(failing.name(), Direction::Up));
                }
                Ok(Some(told)) if starting && !up => {
                    assert_eq!((told, control.state(1)), (failure(failing.name(), Direction::Down), to));
                }
                Err(HotplugError::Step(told)) => {
                    let direction = if up { Direction::Up } else { Direction::Down };
                    assert_eq!((told, control.state(1)), (failure(failing.name(), direction), from));
                }
                result => panic!("{result:?}"),
            }
            // With nothing wrong any more it goes where it was asked to go.
            control.mend(1);
            control.sleep(std::time::Duration::from_secs(3));
            let again = control.set_state(1, to);
            assert!(matches!(again, Ok(_) | Err(HotplugError::AlreadyThere(_))), "{again:?}");
            assert_eq!(control.state(1), to);
            assert_eq!(control.state(2), control.hotplug().steps().online());
        });
    }

    #[test]
    fn a_failure_while_undoing_stops_there_and_names_both_steps(
        counts in counts().prop_filter("two ONLINE steps", |counts| counts[2] >= 2),
        failing in any::<Index>(),
        stopping in any::<Index>(),
        seed in any::<u64>(),
    ) {
        machine(counts, seed, |control| {
            let steps = table(counts);
            let online = &steps[counts[0] + counts[1]..];
            let failing = 1 + failing.index(online.len() - 1);
            let stopping = stopping.index(failing);
            let ap_online = control.hotplug().steps().ap_online();
            control.set_state(1, ap_online).unwrap();
            control.inject(Fault { cpu: 1, kind: FaultKind::Fails(name(&online[failing])) });
            control.inject(Fault { cpu: 1, kind: FaultKind::FailsDown(name(&online[stopping])) });
            let Err(HotplugError::Step(told)) = control.cpu_up(1) else { panic!("it does not fail") };
            assert_eq!((told.step, told.undo), (online[failing].name(), Some((online[stopping].name(), TOLD_TO_FAIL))));
            assert_eq!(control.state(1).0, ap_online.0 + stopping as u16 + 1);
            control.mend(1);
            assert_eq!(control.cpu_up(1), Ok(()));
        });
    }
}
