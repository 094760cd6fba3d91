//! A CPU other than the boot CPU: from its entry code to the thread that was made for it (LK's `arm64_secondary_entry`), and its end.

use reveille::trace::{Kind, Name};
use reveille::{Arrival, ContextId};
use reveille_aarch64::boot_table::EntryTimes;
use reveille_runtime::arch::{interrupts, timer};
use reveille_runtime::cpus::{SMP, hw_id};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{interrupt_controller, ipi, thread, trace};

use crate::names::name;
use crate::{cpus, hand_over};

/// Where a CPU goes on that has claimed its kick: on its own stack, with MMU, caches and vectors, interrupts masked.
pub extern "C" fn secondary_boot(context: u64, _argument: u64, times: &EntryTimes) -> ! {
    let Some(context) = ContextId::from_raw(context as u32) else {
        panic!("a CPU arrived with the context {context:#x}, which names no CPU");
    };
    trace_entry(times);
    arm64_secondary_entry(SMP.claimed(context))
}

/// Notes what the entry code kept in registers until there was memory to write to.
fn trace_entry(times: &EntryTimes) {
    let begin = |time, name: Name| trace::record_at(time, Kind::Begin, name, 0);
    begin(times.entry, name::_start);
    begin(times.cpu_setup, name::mmu_enable_secondary);
    trace::record_at(times.switched, Kind::End, name::mmu_enable_secondary, 0);
    begin(times.switched, name::secondary_boot);
}

fn arm64_secondary_entry(arrival: Arrival<'static>) -> ! {
    trace::begin(name::arm64_secondary_entry, 0);
    {
        // The exception vectors were set with the MMU.
        let _span = trace::span(name::arm64_cpu_early_init);
    }
    thread::adopt_idle();
    if lk_init_level_early().is_err() {
        arrival.fail();
        interrupts::sleep_for_ever();
    }
    arch_mp_init_percpu();
    lk_secondary_cpu_entry(arrival)
}

/// What comes before threads: this CPU's part of the interrupt controller, and its timer.
fn lk_init_level_early() -> Result<(), &'static str> {
    let _span = trace::span(name::lk_init_level);
    let own = hw_id(smp_processor_id());
    interrupt_controller::init_this_cpu(own)?;
    interrupt_controller::enable_timer(own)
}

/// From here on this CPU takes interrupts from others.
pub fn arch_mp_init_percpu() {
    let _span = trace::span(name::arch_mp_init_percpu);
    ipi::open_calls();
}

fn lk_secondary_cpu_entry(arrival: Arrival<'static>) -> ! {
    trace::begin(name::lk_secondary_cpu_entry, 0);
    {
        let _span = trace::span(name::thread_secondary_cpu_init_early);
        thread::open_queue();
    }
    cpus::thread_resume();
    if arrival.online().is_err() {
        // Given up. Everything that this CPU owns stays its own.
        interrupts::sleep_for_ever();
    }
    SMP.masks.active.insert(smp_processor_id());
    trace::instant(name::online, 0);
    trace::begin(name::thread_secondary_cpu_entry, 0);
    thread::idle(depart)
}

/// This CPU's own thread, the first that runs there: what is left to set up.
pub fn secondary_cpu_bootstrap2() {
    trace::end(name::thread_secondary_cpu_entry);
    trace::begin(name::secondary_cpu_bootstrap2, 0);
    {
        let _span = trace::span(name::lk_init_level);
    }
    trace::end(name::secondary_cpu_bootstrap2);
    trace::instant(name::active, 0);
}

/// In a thread bound to this CPU: nothing comes to it any more, and its idle thread has it leave.
pub fn quiesce() {
    let cpu = smp_processor_id();
    let _masked = interrupts::mask();
    SMP.masks.active.remove(cpu);
    thread::migrate_away();
    ipi::close_calls();
    silence();
    thread::request_idle_death();
    loop {
        thread::sleep_until(u64::MAX);
    }
}

/// This CPU, which masks interrupts, has none pending afterwards, and none enabled.
pub fn silence() {
    let own = hw_id(smp_processor_id());
    timer::stop();
    interrupt_controller::disable_timer(own);
    interrupt_controller::disable_this_cpu(own);
}

/// The idle thread of a CPU that leaves, interrupts masked, as the last thing. It does not come back.
pub fn depart() {
    hand_over::leave(smp_processor_id())
}
