//! The worker of a CPU, which does what others give it to do (Linux's `kernel/workqueue.c`).

use core::time::Duration;

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::plan::plan;
use reveille_runtime::{clock, trace, work};

use super::{EBUSY, ENOMEM, fail, order};
use crate::hotplug::STEPS;
use crate::names::name;

#[distributed_slice(STEPS)]
static PREPARE: Step<'static> =
    Step::new(Section::Prepare, order::WORKQUEUE_PREPARE, "workqueue:prepare").startup(&workqueue_prepare_cpu);

#[distributed_slice(STEPS)]
static ONLINE: Step<'static> = Step::new(Section::Online, order::WORKQUEUE_ONLINE, "workqueue:online")
    .startup(&workqueue_online_cpu)
    .teardown(&workqueue_offline_cpu);

fn workqueue_prepare_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    work::prepare(cpu).map_err(|reason| fail(cpu, ENOMEM, reason))
}

fn workqueue_online_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let _span = trace::span(name::workqueue_online_cpu);
    work::start(cpu);
    Ok(())
}

/// What was not begun is done by another CPU. The item that is being done may take half of what the request may.
fn workqueue_offline_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    let now = clock::now();
    let allowed = plan().timeout.deadline(now, 0).at().nanos_since(now);
    let stopped = work::stop(cpu, clock::ticks_after(Duration::from_nanos(allowed / 2)));
    stopped.map(|_| ()).map_err(|_| fail(cpu, EBUSY, "its worker does not come to an end"))
}
