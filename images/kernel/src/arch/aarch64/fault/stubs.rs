//! What CPUs execute instead of the entry code, or on their way to it.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use reveille::{CpuIndex, MAX_CPUS};
use reveille_aarch64::cache::clean_to_point_of_coherency;
use reveille_runtime::arch::timer;
use reveille_runtime::per_cpu::smp_processor_id;

use crate::fault::guard;

/// For how many ticks of the counter each CPU is delayed. Read by CPUs whose MMU is off.
static DELAYS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

global_asm!(include_str!("stubs.S"), delays = sym DELAYS);

unsafe extern "C" {
    safe fn reveille_fault_dead();
    safe fn reveille_fault_delayed();
    safe fn reveille_fault_again(context: u64) -> !;
}

/// The physical address at which a CPU never gets anywhere. (The image is mapped to itself.)
pub fn dead_entry() -> u64 {
    reveille_fault_dead as *const () as u64
}

/// The physical address at which `cpu` is delayed for `delay`, and then enters.
pub fn delayed_entry(cpu: CpuIndex, delay: Duration) -> u64 {
    let ticks = delay.as_nanos() * u128::from(timer::frequency()) / 1_000_000_000;
    DELAYS[cpu.get()].store(ticks as u64, Ordering::Relaxed);
    clean_to_point_of_coherency(&DELAYS[cpu.get()]);
    reveille_fault_delayed as *const () as u64
}

/// Has this CPU enter again, as if it were reset and started with `context`.
pub fn arrive_again(context: u64) -> ! {
    guard::mark(smp_processor_id());
    reveille_fault_again(context)
}
