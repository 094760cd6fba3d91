//! What a CPU boots from, and the way from its entry code to [`secondary_start_kernel`].

use reveille::trace::{Kind, Name};
use reveille::{ContextId, CpuIndex};
use reveille_mips::boot_record::{EntryTimes, Start};
use reveille_mips::counter;
use reveille_mips::entry::RECORDS;
use reveille_runtime::arch::{count, memory_map};
use reveille_runtime::cpus::{self, SMP};
use reveille_runtime::{per_cpu, thread, trace};

use crate::names::name;
use crate::secondary::secondary_start_kernel;

/// Writes what `cpu`, which has an idle thread and a per-CPU area, boots from. Once: what it boots from never changes.
///
/// # Errors
/// There is no stack for it.
pub fn write_boot_record(cpu: CpuIndex) -> Result<(), &'static str> {
    if RECORDS.is_set(cpu) {
        return Ok(());
    }
    let start = Start {
        hw_id: cpus::hw_id(cpu),
        claim: SMP.claim_word(cpu),
        entry: start_secondary,
        stack_top: thread::fork_idle(cpu)?,
        thread_pointer: per_cpu::offset(cpu),
        argument: 0,
        vectors: memory_map::vectors(),
    };
    // SAFETY: stack and per-CPU area were made for this CPU and are never given to another; the vectors are the image's, and the
    // claim word is in a static.
    unsafe { RECORDS.set(cpu, &start) }.map_err(|_| "the boot record is written already")
}

/// Where a CPU goes on that has claimed its kick: on its own stack, with vectors, interrupts masked.
extern "C" fn start_secondary(context: u32, _argument: usize, times: &EntryTimes) -> ! {
    let Some(context) = ContextId::from_raw(context) else {
        panic!("a CPU arrived with the context {context:#x}, which names no CPU");
    };
    let behind = count::synchronise();
    let record = |count: u32, kind, name: Name| {
        trace::record_at(counter::ticks_at(count.wrapping_add(behind)), kind, name, 0);
    };
    record(times.entry, Kind::Begin, name::smp_bootstrap);
    record(times.claimed, Kind::End, name::smp_bootstrap);
    secondary_start_kernel(context)
}
