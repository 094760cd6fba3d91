//! What the subsystems of this kernel do to every CPU on its way up and down: each registers its steps, and nobody calls them by
//! hand. In the order of the way up; the order of each within its section is what [`order`] says.

mod cpufeature;
mod idle;
mod irq;
mod sched;
mod smpboot;
mod timer;
mod watchdog;
mod workqueue;

use reveille::CpuIndex;
use reveille::hotplug::StepError;
use reveille_runtime::println;

/// The places of the steps within their sections. An architecture may have more between them.
mod order {
    /// PREPARE.
    pub const IDLE: u16 = 10;
    pub const SMPBOOT_PREPARE: u16 = 20;
    pub const WORKQUEUE_PREPARE: u16 = 30;
    pub const BOOT_RECORD: u16 = 40;
    /// STARTING.
    pub const CPU_FEATURE: u16 = 10;
    pub const IRQ: u16 = 20;
    pub const TIMER: u16 = 30;
    pub const SCHED_STARTING: u16 = 40;
    /// ONLINE.
    pub const WORKQUEUE_ONLINE: u16 = 10;
    pub const WATCHDOG: u16 = 20;
    pub const SCHED_ACTIVE: u16 = 90;
}

/// Linux's numbers of errors.
const EIO: StepError = StepError(-5);
const ENOMEM: StepError = StepError(-12);
const EBUSY: StepError = StepError(-16);
pub const EINVAL: StepError = StepError(-22);

/// Says why a step of `cpu` fails, and fails it with `error`.
pub fn fail(cpu: CpuIndex, error: StepError, reason: &str) -> StepError {
    println!("CPU {cpu}: {reason}");
    error
}
