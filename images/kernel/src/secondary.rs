//! A new CPU, from the end of its entry code to its idle thread (Linux's `secondary_start_kernel`).

use reveille::hotplug::StepFailure;
use reveille::{Arrival, ContextId};
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{plan, thread, trace};

use crate::arch::spans;
use crate::cpuinfo::cpuinfo_store_cpu;
use crate::hotplug::{self, hotplug};
use crate::names::name;
use crate::smp;

/// Where a CPU goes on that has claimed the kick `context`: on its own stack, with caches and vectors, interrupts masked.
pub fn secondary_start_kernel(context: ContextId) -> ! {
    let arrival = SMP.claimed(context);
    trace::begin(spans::SECONDARY_START, 0);
    thread::adopt_idle();
    cpuinfo_store_cpu();
    if notify_cpu_starting(&arrival).is_err() {
        hotplug().fail(arrival);
        give_up();
    }
    set_cpu_online(arrival);
    trace::end(spans::SECONDARY_START);
    trace::begin(spans::IDLE, 0);
    thread::idle(hotplug::cpu_die)
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
        give_up();
    }
    trace::instant(name::online, 0);
    hotplug::wake_own_thread();
}

/// This CPU is waited for no longer: it switches itself off, so that it can be asked for again, or parks where it cannot.
fn give_up() -> ! {
    let cpu = &cpus::topology().cpus()[smp_processor_id().get()];
    if let Some(method) = plan::method(cpu) {
        method.cpu_die(cpu);
    }
    smp::park()
}
