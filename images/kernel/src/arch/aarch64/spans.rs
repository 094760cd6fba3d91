//! What Linux arm64 calls the parts of the way up.

use reveille::CpuIndex;
use reveille::trace::Name;
use reveille_runtime::interrupt_controller;

use super::spin_table::comes_from_a_pen;
use crate::names::name;

/// The first thing that a new CPU does which every architecture does, and all that follows from it.
pub const SECONDARY_START: Name = name::secondary_start_kernel;
/// Notes what kind of processor it is.
pub const STORE_CPU_INFO: Name = name::cpuinfo_store_cpu;
/// Its timer.
pub const TIMER_STARTING: Name = name::arch_timer_starting_cpu;
/// The last name before the first step on a new CPU.
pub const BEFORE_STARTING: Name = name::__secondary_switched;
/// Finds out which CPUs there are.
pub const INIT_CPUS: Name = name::smp_init_cpus;
/// Its idle thread.
pub const IDLE: Name = name::cpu_startup_entry;

/// Its part of the interrupt controller.
pub fn interrupt_controller_starting() -> Name {
    if interrupt_controller::name() == "bcm2836" { name::bcm2836_cpu_starting } else { name::gic_starting_cpu }
}

/// The spans that lead to the call of the enable method of `cpu`, outermost first, with the method's own.
pub fn kick(cpu: CpuIndex) -> [Name; 5] {
    let boot = if comes_from_a_pen(cpu) { name::smp_spin_table_cpu_boot } else { name::cpu_psci_cpu_boot };
    [name::cpu_up, name::bringup_cpu, name::__cpu_up, name::boot_secondary, boot]
}
