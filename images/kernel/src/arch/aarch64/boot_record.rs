//! What a CPU boots from, and the way from its entry code to [`secondary_start_kernel`].

use reveille::trace::{Kind, Name};
use reveille::{ContextId, CpuIndex};
use reveille_aarch64::boot_table::EntryTimes;
use reveille_runtime::arch::cpu_start;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::trace;

use super::spin_table;
use crate::names::name;
use crate::secondary::secondary_start_kernel;

/// Writes what `cpu`, which has an idle thread and a per-CPU area, boots from. Once: what it boots from never changes.
///
/// # Errors
/// There is no boot table.
pub fn write_boot_record(cpu: CpuIndex) -> Result<(), &'static str> {
    cpu_start::write_boot_record(cpu, secondary_switched)
}

/// Where a CPU goes on that has claimed its kick: on its own stack, with MMU, caches and vectors, interrupts masked.
extern "C" fn secondary_switched(context: u64, _argument: u64, times: &EntryTimes) -> ! {
    let Some(context) = ContextId::from_raw(context as u32) else {
        panic!("a CPU arrived with the context {context:#x}, which names no CPU");
    };
    trace_entry(times);
    secondary_start_kernel(context)
}

/// Notes what the entry code kept in registers until there was memory to write to.
fn trace_entry(times: &EntryTimes) {
    let begin = |time, name: Name| trace::record_at(time, Kind::Begin, name, 0);
    let end = |time, name: Name| trace::record_at(time, Kind::End, name, 0);
    let from_pen = spin_table::comes_from_a_pen(smp_processor_id());
    begin(times.entry, if from_pen { name::secondary_holding_pen } else { name::secondary_entry });
    begin(times.startup, name::secondary_startup);
    begin(times.cpu_setup, name::__cpu_setup);
    end(times.enable_mmu, name::__cpu_setup);
    begin(times.enable_mmu, name::__enable_mmu);
    end(times.switched, name::__enable_mmu);
    begin(times.switched, name::__secondary_switched);
}
