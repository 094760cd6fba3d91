//! CPUs that come and go on simulated machines, whose steps and firmware fail as they are told.
//!
//! `properties`: whatever fails, and where; `ends`: what a request can come to besides success; `instances`; `held`: CPUs
//! half-way; `outside`: CPUs that others switch off; `refusals`: what is not even tried. What steps do on one CPU, and which tables there are, is tested beside them.
#![cfg(not(loom))]

mod ends;
mod held;
mod instances;
mod outside;
mod properties;
mod refusals;

use reveille::hotplug::{Direction, Section, Step, StepError, StepFailure};
use reveille_sim::{Control, Fault, Machine};

/// The error of a step that the machine has fail.
const TOLD_TO_FAIL: StepError = StepError(-5);

/// Two steps of each section that do nothing but be seen. States: memory 1, threads 2, cpu:bringup 3, irq 4, timer 5,
/// ap:online 6, worker 7, active 8.
static STEPS: [Step<'static>; 6] = [
    Step::new(Section::Prepare, 0, "memory"),
    Step::new(Section::Prepare, 1, "threads"),
    Step::new(Section::Starting, 0, "irq"),
    Step::new(Section::Starting, 1, "timer"),
    Step::new(Section::Online, 0, "worker"),
    Step::new(Section::Online, 1, "active"),
];

/// Runs `scenario` on machines of three CPUs with [`STEPS`] that have booted, in a few interleavings.
fn on_machines(scenario: impl Fn(&Control<'_, '_>)) {
    for seed in 0..20 {
        Machine::builder(3).seed(seed).steps(&STEPS).build().run(|control| {
            assert_eq!(control.boot().online(), 3);
            scenario(control);
        });
    }
}

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

fn failure(step: &'static str, direction: Direction) -> StepFailure {
    StepFailure { step, direction, error: TOLD_TO_FAIL, undo: None }
}
