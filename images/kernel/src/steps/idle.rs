//! The idle thread of a CPU, on whose stack it starts (Linux's `idle_threads_init`), and the record it boots from.

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{Section, Step, StepError};
use reveille_runtime::{thread, trace};

use super::{EIO, ENOMEM, fail, order};
use crate::arch;
use crate::hotplug::STEPS;

// What is made once stays: a CPU that comes again finds it.
#[distributed_slice(STEPS)]
static IDLE: Step<'static> = Step::new(Section::Prepare, order::IDLE, "idle:prepare").startup(&fork_idle).cant_stop();

#[distributed_slice(STEPS)]
static BOOT_RECORD: Step<'static> =
    Step::new(Section::Prepare, order::BOOT_RECORD, "boot_record:prepare").startup(&write_boot_record);

/// The boot CPU has had its own since before there was memory.
fn fork_idle(cpu: CpuIndex) -> Result<(), StepError> {
    if cpu.is_boot() {
        return Ok(());
    }
    trace::prepare(cpu);
    thread::fork_idle(cpu).map(|_| ()).map_err(|reason| fail(cpu, ENOMEM, reason))
}

fn write_boot_record(cpu: CpuIndex) -> Result<(), StepError> {
    if cpu.is_boot() {
        return Ok(());
    }
    arch::write_boot_record(cpu).map_err(|reason| fail(cpu, EIO, reason))
}
