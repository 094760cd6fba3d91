//! What hotplug steps do alike in all images that have them, on the CPU itself, with interrupts masked where nothing else is said. The
//! image names them, puts them in order and traces them.

use reveille::CpuIndex;

use crate::arch::timer;
use crate::cpus::{self, SMP};
use crate::{interrupt_controller, ipi, thread};

/// The CPU takes threads and calls from here on.
pub fn sched_starting() {
    ipi::open_calls();
    thread::open_queue();
}

/// Threads that may run elsewhere go, and calls that were accepted are made. From here on others are refused.
pub fn sched_dying() {
    thread::migrate_away();
    ipi::close_calls();
}

/// The CPU takes the interrupt of its timer.
///
/// # Errors
/// Why it cannot.
pub fn timer_starting(cpu: CpuIndex) -> Result<(), &'static str> {
    interrupt_controller::enable_timer(cpus::hw_id(cpu))
}

/// The reverse.
pub fn timer_dying(cpu: CpuIndex) {
    timer::stop();
    interrupt_controller::disable_timer(cpus::hw_id(cpu));
}

/// The CPU takes interrupts.
///
/// # Errors
/// Why it cannot.
pub fn irqchip_starting(cpu: CpuIndex) -> Result<(), &'static str> {
    interrupt_controller::init_this_cpu(cpus::hw_id(cpu))
}

/// The reverse. Interrupts of devices that come to this CPU go to another.
pub fn irqchip_dying(cpu: CpuIndex) {
    interrupt_controller::migrate_shared();
    interrupt_controller::disable_this_cpu(cpus::hw_id(cpu));
}

/// In a thread of the CPU: others may give it threads.
pub fn activate(cpu: CpuIndex) {
    SMP.masks.active.insert(cpu);
}

/// The last active CPU stays: there would be no place for threads to go. Whether the CPU is no longer active.
#[must_use]
pub fn deactivate(cpu: CpuIndex) -> bool {
    let may_go = SMP.masks.active.snapshot().count() > 1;
    if may_go {
        SMP.masks.active.remove(cpu);
    }
    may_go
}
