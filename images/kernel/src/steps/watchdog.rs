//! A CPU that watches another, and is watched (Linux's `kernel/watchdog.c`).

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{trace, watchdog};

use super::order;
use crate::hotplug::STEPS;
use crate::names::name;

#[distributed_slice(STEPS)]
static ONLINE: Step<'static> = Step::new(Section::Online, order::WATCHDOG, "lockup_detector:online")
    .startup(&lockup_detector_online_cpu)
    .teardown(&lockup_detector_offline_cpu);

fn lockup_detector_online_cpu(_: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::lockup_detector_online_cpu);
    watchdog::start();
    Ok(())
}

fn lockup_detector_offline_cpu(_: CpuIndex) -> Result<(), StepError> {
    watchdog::stop();
    Ok(())
}
