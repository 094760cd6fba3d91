//! Whether a CPU can run with the others (Linux's `arch/arm64/kernel/cpufeature.c`).

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};

use super::{EINVAL, order};
use crate::cpuinfo;
use crate::hotplug::STEPS;

#[distributed_slice(STEPS)]
static STARTING: Step<'static> =
    Step::new(Section::Starting, order::CPU_FEATURE, "cpufeature:starting").startup(&check_local_cpu_capabilities);

/// The report names the register.
fn check_local_cpu_capabilities(cpu: CpuIndex) -> Result<(), StepError> {
    cpuinfo::feature_conflict(cpu).map_or(Ok(()), |_| Err(EINVAL))
}
