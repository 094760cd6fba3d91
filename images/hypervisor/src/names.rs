//! The names in the hypervisor's traces: the functions of Xen 4.15 that it follows, and the library's events.

use reveille::trace::Name;

reveille::names! {
    /// The text of every name.
    pub NAMES in name:
    // The boot CPU.
    start_xen, smp_clear_cpu_maps, boot_fdt_info, cmdline_parse, setup_mm, processor_id, smp_init_cpus, psci_init,
    dt_smp_init_cpus, percpu_init_areas, gic_init, init_timer_interrupt, init_idle_domain, smp_prepare_cpus,
    do_presmp_initcalls, cpu_up, __cpu_up, arch_cpu_up, call_psci_cpu_on, smp_spin_table_cpu_up, setup_virt_paging,
    setup_virt_paging_one, iommu_setup, create_dom0, create_domUs, idle_loop,
    // The others.
    init_secondary, cpu_init, enable_mmu, secondary_switched, start_secondary, identify_cpu, gic_init_secondary_cpu,
    notify_cpu_starting,
    // The library's.
    kick, online,
}

/// The text of `name`.
pub const fn text(name: Name) -> &'static str {
    let place = name.0 as usize;
    if place < NAMES.len() { NAMES[place] } else { "?" }
}
