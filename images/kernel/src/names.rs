//! The names in the kernel's traces: the functions of Linux 5.14 that it follows, and the library's two events.

use reveille::Stage;
use reveille::trace::Name;

reveille::names! {
    /// The text of every name.
    pub NAMES in name:
    // The boot CPU.
    start_kernel, smp_setup_processor_id, boot_cpu_init, setup_arch, setup_machine_fdt, paging_init, psci_dt_init,
    smp_init_cpus, setup_per_cpu_areas, smp_prepare_boot_cpu, sched_init, init_IRQ, time_init, rest_init, kernel_init,
    kernel_init_freeable, smp_prepare_cpus, do_pre_smp_initcalls, smp_init, idle_threads_init, bringup_nonboot_cpus, cpu_up,
    bringup_cpu, __cpu_up, boot_secondary, cpu_psci_cpu_boot, smp_cpus_done, sched_init_smp,
    // The others.
    secondary_entry, secondary_startup, __cpu_setup, __enable_mmu, __secondary_switched, secondary_start_kernel,
    cpuinfo_store_cpu, notify_cpu_starting, gic_starting_cpu, arch_timer_starting_cpu, set_cpu_online,
    cpu_startup_entry,
    // The library's.
    kick, online,
}

/// The text of `name`.
pub fn text(name: Name) -> &'static str {
    NAMES.get(usize::from(name.0)).copied().unwrap_or("?")
}

/// The stage at which a CPU is in `name`.
pub const fn stage(name: Name) -> Stage {
    Stage(name.0)
}

/// The name of `stage`; a CPU that has reported none has only just switched its MMU on.
pub fn stage_text(stage: Stage) -> &'static str {
    if stage == Stage::NONE { text(name::__secondary_switched) } else { text(Name(stage.0)) }
}
