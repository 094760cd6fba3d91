//! A new CPU, from the end of its entry code to its idle thread (Linux's `secondary_start_kernel`).

use reveille::trace::{Kind, Name};
use reveille::{Arrival, ContextId};
use reveille_aarch64::boot_table::EntryTimes;
use reveille_runtime::arch::{interrupts, processor};
use reveille_runtime::cpus::SMP;
use reveille_runtime::{interrupt_controller, ipi, thread, trace};

use crate::names::{name, stage};
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

    cpuinfo_store_cpu(&arrival);
    if notify_cpu_starting(&arrival).is_err() {
        // The control CPU reports the stage at which this one stopped.
        park();
    }
    set_cpu_online(arrival);
    interrupts::enable();
    trace::end(name::secondary_start_kernel);
    trace::begin(name::cpu_startup_entry, 0);
    thread::idle(die)
}

/// Notes what the entry code kept in registers until there was memory to write to.
fn trace_entry(times: &EntryTimes) {
    let begin = |time, name: Name| trace::record_at(time, Kind::Begin, name, 0);
    let end = |time, name: Name| trace::record_at(time, Kind::End, name, 0);
    begin(times.entry, name::secondary_entry);
    begin(times.startup, name::secondary_startup);
    begin(times.cpu_setup, name::__cpu_setup);
    end(times.enable_mmu, name::__cpu_setup);
    begin(times.enable_mmu, name::__enable_mmu);
    end(times.switched, name::__enable_mmu);
    begin(times.switched, name::__secondary_switched);
}

/// Notes what kind of processor this is; the boot CPU compares them when all are up.
fn cpuinfo_store_cpu(arrival: &Arrival<'_>) {
    let _span = enter(arrival, name::cpuinfo_store_cpu);
    smp::store_features();
}

/// The steps of Linux's `CPUHP_AP_*_STARTING` that this kernel has.
fn notify_cpu_starting(arrival: &Arrival<'_>) -> Result<(), &'static str> {
    let _span = enter(arrival, name::notify_cpu_starting);
    let hw_id = processor::hw_id();
    {
        let _span = enter(arrival, name::gic_starting_cpu);
        interrupt_controller::init_this_cpu(hw_id)?;
    }
    let _span = enter(arrival, name::arch_timer_starting_cpu);
    interrupt_controller::enable_timer(hw_id)
}

/// From here on this CPU may be sent interrupts and work.
fn set_cpu_online(arrival: Arrival<'_>) {
    let _span = enter(&arrival, name::set_cpu_online);
    ipi::open_calls();
    thread::open_queue();
    if arrival.online().is_err() {
        thread::migrate_away();
        ipi::close_calls();
        // Given up. Everything that this CPU owns stays its own; it just stops.
        park();
    }
    trace::instant(name::online, 0);
}

fn enter(arrival: &Arrival<'_>, name: Name) -> trace::Span {
    arrival.stage(stage(name));
    trace::span(name)
}

/// There is no way down yet.
fn die() {
    park()
}

fn park() -> ! {
    let _masked = interrupts::mask();
    loop {
        interrupts::wait();
    }
}
