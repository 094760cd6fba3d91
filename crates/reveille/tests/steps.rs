//! Walks through hotplug steps that fail at any place, on one CPU: everything is undone in reverse, or it is said where not.
#![cfg(not(loom))]

use std::sync::{Mutex, MutexGuard};

use proptest::prelude::*;
use reveille::CpuIndex;
use reveille::Smp;
use reveille::hotplug::{Direction, Hotplug, HotplugState, Section, Step, StepError, StepTable};

const ERROR: StepError = StepError(-5);
const ERROR_OF_UNDO: StepError = StepError(-7);

/// What the steps did: (step, direction), in order, and at which calls they fail.
#[derive(Default)]
struct Record {
    calls: Vec<(u16, Direction)>,
    failing: Option<(u16, Direction)>,
    failing_to_undo: Option<u16>,
}

#[derive(Default)]
struct Recorder(Mutex<Record>);

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }

    fn call(&self, step: u16, direction: Direction) -> Result<(), StepError> {
        let mut record = self.record();
        if record.failing == Some((step, direction)) {
            return Err(ERROR);
        }
        let undoes = record.failing.is_some_and(|(_, failing)| failing != direction);
        if undoes && record.failing_to_undo == Some(step) {
            return Err(ERROR_OF_UNDO);
        }
        record.calls.push((step, direction));
        Ok(())
    }
}

type Callback<'a> = Box<dyn Fn(CpuIndex) -> Result<(), StepError> + Sync + 'a>;

/// Runs `test` with a table of `counts` steps in each section, that all record what they do.
fn with_table<T>(recorder: &Recorder, counts: [u16; 3], test: impl FnOnce(&StepTable<'_>) -> T) -> T {
    let sections = [Section::Prepare, Section::Starting, Section::Online];
    let places: Vec<Section> =
        sections.into_iter().zip(counts).flat_map(|(section, count)| vec![section; usize::from(count)]).collect();
    let callback = |step: u16, direction| -> Callback<'_> { Box::new(move |_| recorder.call(step, direction)) };
    let callbacks: Vec<_> =
        (0..places.len() as u16).map(|step| [Direction::Up, Direction::Down].map(|way| callback(step, way))).collect();
    let steps: Vec<Step<'_>> = (0..)
        .zip(places.iter().zip(&callbacks))
        .map(|(order, (&section, [up, down]))| Step::new(section, order, "step").startup(&**up).teardown(&**down))
        .collect();
    test(&StepTable::collect(&steps).unwrap())
}

/// The steps that were started and not torn down, by what they did themselves.
fn standing(record: &Record) -> Vec<u16> {
    let mut standing = Vec::new();
    for &(step, direction) in &record.calls {
        match direction {
            Direction::Up => standing.push(step),
            Direction::Down => assert_eq!(standing.pop(), Some(step), "in reverse: {:?}", record.calls),
        }
    }
    standing
}

/// How many steps of the table lie below `state`: the library's own two are not among them.
fn steps_below(counts: [u16; 3], state: HotplugState) -> u16 {
    let bringup = u16::from(state.0 > counts[0]);
    let ap_online = u16::from(state.0 > counts[0] + 1 + counts[1]);
    state.0 - bringup - ap_online
}

fn counts() -> impl Strategy<Value = [u16; 3]> {
    [0..5_u16, 0..5_u16, 0..5_u16]
}

proptest! {
    #[test]
    fn whatever_fails_the_state_afterwards_is_the_state_before(
        counts in counts(), from in 0..20_u16, to in 0..20_u16, failing in 0..15_u16,
    ) {
        let recorder = Recorder::default();
        with_table(&recorder, counts, |table| {
            let smp = Smp::new();
            let hotplug = Hotplug::new(&smp, table);
            let limit = |state: u16| HotplugState(state.min(table.online().0));
            let (from, to) = (limit(from), limit(to));
            hotplug.advance_boot_cpu(from).unwrap();
            let before = standing(&recorder.record());
            let direction = if to > from { Direction::Up } else { Direction::Down };
            recorder.record().failing = Some((failing, direction));

            let result = hotplug.advance_boot_cpu(to);

            let (low, high) = (steps_below(counts, from.min(to)), steps_below(counts, from.max(to)));
            let is_passed = (low..high).contains(&failing);
            assert_eq!(result.is_err(), is_passed);
            let state = hotplug.state(CpuIndex::BOOT);
            match result {
                Ok(()) => assert_eq!(state, to),
                Err(failure) => {
                    assert_eq!((failure.direction, failure.error, failure.undo), (direction, ERROR, None));
                    assert_eq!(state, from);
                    assert_eq!(standing(&recorder.record()), before);
                }
            }
            assert_eq!(standing(&recorder.record()).len(), usize::from(steps_below(counts, state)));
        });
    }

    #[test]
    fn a_failure_while_undoing_stops_there_and_is_said(
        counts in counts(), failing in 0..15_u16, failing_to_undo in 0..15_u16,
    ) {
        let recorder = Recorder::default();
        with_table(&recorder, counts, |table| {
            let smp = Smp::new();
            let hotplug = Hotplug::new(&smp, table);
            let steps: u16 = counts.iter().sum();
            *recorder.record() =
                Record { failing: Some((failing, Direction::Up)), failing_to_undo: Some(failing_to_undo), ..Record::default() };
            let result = hotplug.advance_boot_cpu(table.online());
            let state = hotplug.state(CpuIndex::BOOT);
            assert_eq!(standing(&recorder.record()).len(), usize::from(steps_below(counts, state)));
            match result {
                Ok(()) => assert!(failing >= steps && state == table.online()),
                Err(failure) if failing_to_undo < failing => {
                    assert_eq!(failure.undo.map(|(_, error)| error), Some(ERROR_OF_UNDO));
                    assert_eq!(steps_below(counts, state), failing_to_undo + 1, "it stays above the step");
                }
                Err(failure) => assert_eq!((failure.undo, state), (None, HotplugState::OFFLINE)),
            }
        });
    }
}

#[test]
fn a_state_is_what_the_steps_have_seen() {
    let recorder = Recorder::default();
    with_table(&recorder, [2, 1, 2], |table| {
        let smp = Smp::new();
        let hotplug = Hotplug::new(&smp, table);
        let states = [table.prepared(), table.ap_online(), table.online(), HotplugState::OFFLINE];
        let seen = states.map(|state| {
            hotplug.advance_boot_cpu(state).unwrap();
            standing(&recorder.record()).len()
        });
        assert_eq!(seen, [2, 3, 5, 0]);
    });
}
