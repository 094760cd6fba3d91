//! A new CPU, from the end of its entry code to its idle thread (Linux's `secondary_start_kernel`).

use reveille::hotplug::StepFailure;
use reveille::{Arrival, ContextId};
use reveille_runtime::cpus::SMP;
use reveille_runtime::hotplug as shared;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{thread, trace};

use crate::arch::spans;
use crate::cpuinfo::cpuinfo_store_cpu;
use crate::hotplug::hotplug;
use crate::names::name;

/// Where a CPU goes on that has claimed the kick `context`: on its own stack, with caches and vectors, interrupts masked.
pub fn secondary_start_kernel(context: ContextId) -> ! {
    let arrival = SMP.claimed(context);
    trace::begin(spans::SECONDARY_START, 0);
    thread::adopt_idle();
    cpuinfo_store_cpu();
    if notify_cpu_starting(&arrival).is_err() {
        hotplug().fail(arrival);
        shared::give_up();
    }
    set_cpu_online(arrival);
    trace::end(spans::SECONDARY_START);
    trace::begin(spans::IDLE, 0);
    thread::idle(shared::cpu_die)
}

/// The STARTING steps.
fn notify_cpu_starting(arrival: &Arrival<'_>) -> Result<(), StepFailure> {
    let _span = trace::span(name::notify_cpu_starting);
    hotplug().starting(arrival)
}

/// From here on this CPU may be sent interrupts and work.
fn set_cpu_online(arrival: Arrival<'_>) {
    let _span = trace::span(name::set_cpu_online);
    if hotplug().come_online(arrival).is_err() {
        // Given up. Everything that this CPU owns stays its own; what others have sent it meanwhile goes to them.
        hotplug().take_cpu_down(smp_processor_id());
        shared::give_up();
    }
    trace::instant(name::online, 0);
    shared::wake_own_thread();
}
