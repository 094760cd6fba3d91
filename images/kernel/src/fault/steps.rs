//! Hotplug steps that fail, stop and hang: each step of the kernel, wrapped in one that looks for a fault first.

use alloc::boxed::Box;

use reveille::CpuIndex;
use reveille::hotplug::{Direction, Section, Step, StepError, StepTable, TableError};
use reveille_runtime::arch::interrupts;
use reveille_runtime::thread;

use super::spec::{Kind, StepFault};
use super::{firmware, stubs, take};
use crate::hotplug::hotplug;
use crate::smp;

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

fn misbehave(step: &Step<'_>, cpu: CpuIndex, direction: Direction) -> Result<(), StepError> {
    let fault = take(cpu, |kind| match *kind {
        Kind::Step(fault, when, name) if when == direction && is_called(step, name) => Some(fault),
        _ => None,
    });
    let Some(fault) = fault else { return Ok(()) };
    let possible = match fault {
        StepFault::Fails => true,
        StepFault::Stops => step.section() == Section::Starting,
        StepFault::Hangs | StepFault::Panics => step.section() == Section::Online,
        StepFault::Again => step.section() != Section::Prepare,
    };
    assert!(possible, "{fault:?} cannot be had: {} is a step of another section", step.name());
    match fault {
        StepFault::Fails => Err(EIO),
        StepFault::Stops => smp::park(),
        StepFault::Hangs => loop {
            thread::sleep_until(u64::MAX);
        },
        StepFault::Panics => panic!("as it was told to in {}", step.name()),
        StepFault::Again => {
            // The context is this CPU's, and no interrupt comes between.
            let _masked = interrupts::mask();
            stubs::arrive_again(firmware::context_of_this_cpu())
        }
    }
}

/// Whether a fault that says `name` means `step`: by its name, or by the number of the state that it leads to.
fn is_called(step: &Step<'_>, name: &str) -> bool {
    let leads_to = || hotplug().steps().states().find(|(.., name)| *name == step.name());
    step.name() == name || name.parse().is_ok_and(|number: u16| leads_to().is_some_and(|(state, ..)| state.0 == number))
}
