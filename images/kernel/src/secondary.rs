//! A new CPU, from the end of its entry code to its idle thread (Linux's `secondary_start_kernel`).

use reveille::hotplug::StepFailure;
use reveille::trace::{Kind, Name};
use reveille::{Arrival, ContextId};
use reveille_aarch64::boot_table::EntryTimes;
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{thread, trace};

use crate::cpuinfo::cpuinfo_store_cpu;
use crate::hotplug::{self, hotplug};
use crate::names::name;
use crate::smp;

/// Where a CPU goes on that has claimed its kick: on its own stack, with MMU, caches and vectors, interrupts masked.
pub extern "C" fn secondary_start_kernel(context: u64, _argument: u64, times: &EntryTimes) -> ! {
    let Some(context) = ContextId::from_raw(context as u32) else {
        panic!("a CPU arrived with the context {context:#x}, which names no CPU");
    };
    let arrival = SMP.claimed(context);
    trace_entry(times);
    trace::begin(name::secondary_start_kernel, 0);
    thread::adopt_idle();
    cpuinfo_store_cpu();
    if notify_cpu_starting(&arrival).is_err() {
        hotplug().fail(arrival);
        give_up();
    }
    set_cpu_online(arrival);
    trace::end(name::secondary_start_kernel);
    trace::begin(name::cpu_startup_entry, 0);
    thread::idle(hotplug::cpu_die)
}

/// Notes what the entry code kept in registers until there was memory to write to.
fn trace_entry(times: &EntryTimes) {
    let begin = |time, name: Name| trace::record_at(time, Kind::Begin, name, 0);
    let end = |time, name: Name| trace::record_at(time, Kind::End, name, 0);
    let from_pen = smp::comes_from_a_pen(smp_processor_id());
    begin(times.entry, if from_pen { name::secondary_holding_pen } else { name::secondary_entry });
    begin(times.startup, name::secondary_startup);
    begin(times.cpu_setup, name::__cpu_setup);
    end(times.enable_mmu, name::__cpu_setup);
    begin(times.enable_mmu, name::__enable_mmu);
    end(times.switched, name::__enable_mmu);
    begin(times.switched, name::__secondary_switched);
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
    if let Some(method) = smp::method(cpu) {
        method.cpu_die(cpu);
    }
    smp::park()
}
