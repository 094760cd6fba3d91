//! What Linux 2.6 on MIPS calls the parts of the way up.

use reveille::CpuIndex;
use reveille::trace::Name;

use crate::names::name;

/// The first thing that a new CPU does which every architecture does, and all that follows from it.
pub const SECONDARY_START: Name = name::start_secondary;
/// Notes what kind of processor it is.
pub const STORE_CPU_INFO: Name = name::cpu_probe;
/// Its timer.
pub const TIMER_STARTING: Name = name::prom_smp_finish;
/// The last name before the first step on a new CPU.
pub const BEFORE_STARTING: Name = name::smp_bootstrap;
/// Finds out which CPUs there are.
pub const INIT_CPUS: Name = name::plat_smp_setup;
/// Its idle thread.
pub const IDLE: Name = name::cpu_idle;

/// Its part of the interrupt controller.
pub const fn interrupt_controller_starting() -> Name {
    name::prom_init_secondary
}

/// The spans that lead to the call of the enable method, outermost first, with the method's own.
pub const fn kick(_: CpuIndex) -> [Name; 5] {
    [name::cpu_up, name::_cpu_up, name::__cpu_up, name::prom_boot_secondary, name::cfe_cpu_start]
}
