//! The threads that every CPU has (Linux's `kernel/smpboot.c`).

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};

use super::{ENOMEM, fail, order};
use crate::hotplug::{self, STEPS};

#[distributed_slice(STEPS)]
static PREPARE: Step<'static> =
    Step::new(Section::Prepare, order::SMPBOOT_PREPARE, "smpboot/threads:prepare").startup(&smpboot_create_threads);

reveille_runtime::per_cpu! {
    static CREATED: spin::Once<()> = spin::Once::new();
}

fn smpboot_create_threads(cpu: CpuIndex) -> Result<(), StepError> {
    let created = CREATED.of(cpu).try_call_once(|| hotplug::create_thread(cpu));
    created.map(|_| ()).map_err(|reason| fail(cpu, ENOMEM, reason))
}
