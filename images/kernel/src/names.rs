//! The names in the kernel's traces: the functions of Linux 5.14 and, for spin-table, 4.12 that it follows, on MIPS of 2.6, and the library's three events.

use reveille::trace::Name;

reveille::names! {
    /// The text of every name.
    pub NAMES in name:
    // The boot CPU.
    start_kernel, smp_setup_processor_id, boot_cpu_init, setup_arch, setup_machine_fdt, paging_init, acpi_boot_table_init,
    psci_dt_init, psci_acpi_init, smp_init_cpus, of_parse_and_init_cpus, acpi_parse_and_init_cpus, acpi_parse_gic_cpu_interface,
    setup_per_cpu_areas, smp_prepare_boot_cpu, sched_init, init_IRQ, time_init, rest_init, kernel_init,
    kernel_init_freeable, smp_prepare_cpus, do_pre_smp_initcalls, smp_init, idle_threads_init, bringup_nonboot_cpus, cpu_up,
    bringup_cpu, __cpu_up, boot_secondary, cpu_psci_cpu_boot, smp_spin_table_cpu_init,
    smp_spin_table_cpu_prepare, smp_spin_table_cpu_boot, smp_cpus_done, sched_init_smp,
    // The others.
    secondary_entry, secondary_holding_pen, secondary_startup, __cpu_setup, __enable_mmu, __secondary_switched, secondary_start_kernel,
    cpuinfo_store_cpu, notify_cpu_starting, gic_starting_cpu, bcm2836_cpu_starting, arch_timer_starting_cpu, sched_cpu_starting, set_cpu_online,
    cpu_startup_entry, cpuhp_thread_fun, workqueue_online_cpu, lockup_detector_online_cpu, sched_cpu_activate,
    // MIPS: the boot CPU, and the others.
    cpu_probe, prom_init, prom_meminit, plat_smp_setup, cfe_cpu_stop, _cpu_up, prom_boot_secondary, cfe_cpu_start,
    smp_bootstrap, start_secondary, prom_init_secondary, calibrate_delay, prom_smp_finish, cpu_idle,
    // The library's.
    kick, online, active,
}

/// The text of `name`.
pub const fn text(name: Name) -> &'static str {
    let place = name.0 as usize;
    if place < NAMES.len() { NAMES[place] } else { "?" }
}
