//! Hotplug steps that fail, stop and hang: each step of the kernel, wrapped in one that looks for a fault first.

use alloc::boxed::Box;

use reveille::CpuIndex;
use reveille::hotplug::{Direction, Section, Step, StepError, StepTable, TableError};
use reveille_runtime::arch::interrupts;
use reveille_sim::fault::{FaultKind, StepName};

use super::spec::Kind;
use super::{sleep_for_ever, take};
use crate::arch;
use crate::hotplug::hotplug;

/// Linux's EIO.
const EIO: StepError = StepError(-5);

/// The table of these steps, wrapped. Steps with instances are known by their address, and stay as they are.
pub fn table(steps: &'static [Step<'static>]) -> Result<StepTable<'static>, TableError> {
    StepTable::collect(steps.iter().map(|step| if step.instances().is_none() { wrapped(step) } else { step }))
}

fn wrapped(step: &'static Step<'static>) -> &'static Step<'static> {
    let call = |direction| {
        let callback = move |cpu| {
            misbehave(step, cpu, direction)?;
            step.call(cpu, None, direction)
        };
        &*Box::leak(Box::new(callback))
    };
    let wrapped = Step::new(step.section(), step.order(), step.name());
    let wrapped = wrapped.startup(call(Direction::Up)).teardown(call(Direction::Down));
    Box::leak(Box::new(if step.can_stop() { wrapped } else { wrapped.cant_stop() }))
}

/// What happens in a step.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Fails,
    Stops,
    Panics,
    ArrivesAgain,
}

/// What `kind` has happen in a step, in which direction, and in which.
const fn mishap(kind: Kind) -> Option<(Mishap, Direction, StepName)> {
    Some(match kind {
        Kind::Shared(FaultKind::Fails(name)) => (Mishap::Fails, Direction::Up, name),
        Kind::Shared(FaultKind::FailsDown(name)) => (Mishap::Fails, Direction::Down, name),
        Kind::Shared(FaultKind::Stops(name)) => (Mishap::Stops, Direction::Up, name),
        Kind::Shared(FaultKind::StopsDown(name)) => (Mishap::Stops, Direction::Down, name),
        Kind::Shared(FaultKind::Panics(name)) => (Mishap::Panics, Direction::Up, name),
        Kind::PanicsDown(name) => (Mishap::Panics, Direction::Down, name),
        Kind::Again(direction, name) => (Mishap::ArrivesAgain, direction, name),
        _ => return None,
    })
}

fn misbehave(step: &Step<'_>, cpu: CpuIndex, direction: Direction) -> Result<(), StepError> {
    let mishap = take(cpu, |kind| {
        let (mishap, when, name) = mishap(*kind)?;
        (when == direction && name.names(step.name(), state_after(step))).then_some(mishap)
    });
    let Some(mishap) = mishap else { return Ok(()) };
    let possible = match mishap {
        Mishap::Fails => true,
        Mishap::Stops | Mishap::ArrivesAgain => step.section() != Section::Prepare,
        Mishap::Panics => step.section() == Section::Online,
    };
    assert!(possible, "{mishap:?} cannot be had: {} is a step of another section", step.name());
    match mishap {
        Mishap::Fails => Err(EIO),
        // With interrupts masked.
        Mishap::Stops if step.section() == Section::Starting => interrupts::sleep_for_ever(),
        Mishap::Stops => sleep_for_ever(),
        Mishap::Panics => panic!("as it was told to in {}", step.name()),
        Mishap::ArrivesAgain => {
            // The context is this CPU's, and no interrupt comes between.
            let _masked = interrupts::mask();
            arch::fault::arrive_again()
        }
    }
}

/// The number of the state that `step` leads to.
fn state_after(step: &Step<'_>) -> u16 {
    let mut states = hotplug().steps().states();
    states.find(|(.., name)| *name == step.name()).map_or(0, |(state, ..)| state.0)
}
