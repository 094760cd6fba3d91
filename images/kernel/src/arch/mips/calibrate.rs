//! Whether a CPU's clock is that of the others. Linux calibrates here how often a loop goes round in a tick (`calibrate_delay`); this
//! kernel measures delays by Count, so what a new CPU must know is whether its Count runs with the boot CPU's.

use core::time::Duration;

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::arch::timer;
use reveille_runtime::lock::SharedU64;
use reveille_runtime::{clock, trace};

use crate::hotplug::STEPS;
use crate::names::name;
use crate::steps::{EINVAL, fail};

/// The places of the steps: last of all, and before the timer.
const PREPARE_ORDER: u16 = 50;
const STARTING_ORDER: u16 = 25;
/// How far a CPU's clock may be ahead of when it was prepared: longer than anything that may lie between.
const LONGEST_WAY: Duration = Duration::from_secs(600);

reveille_runtime::per_cpu! {
    /// When it was last prepared to come up, by the clock of the CPU that did so.
    static PREPARED_AT: SharedU64 = SharedU64::new(0);
}

#[distributed_slice(STEPS)]
static PREPARE: Step<'static> =
    Step::new(Section::Prepare, PREPARE_ORDER, "calibrate_delay:prepare").startup(&note_time).cant_stop();

#[distributed_slice(STEPS)]
static STARTING: Step<'static> =
    Step::new(Section::Starting, STARTING_ORDER, "calibrate_delay:starting").startup(&calibrate_delay);

fn note_time(cpu: CpuIndex) -> Result<(), StepError> {
    PREPARED_AT.of(cpu).set(timer::ticks());
    Ok(())
}

fn calibrate_delay(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::calibrate_delay);
    let prepared = PREPARED_AT.of(cpu).get();
    let now = timer::ticks();
    let latest = prepared + (clock::ticks_after(LONGEST_WAY) - now);
    if (prepared..latest).contains(&now) {
        return Ok(());
    }
    Err(fail(cpu, EINVAL, "its Count does not run with the boot CPU's"))
}
