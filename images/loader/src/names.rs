//! The names in the loader's traces: LK's functions of June 2021, the loader's own, and the library's three events.

use reveille::trace::Name;

reveille::names! {
    /// The text of every name.
    pub NAMES in name:
    // The boot CPU.
    lk_main, thread_init_early, arch_early_init, platform_early_init, target_early_init, heap_init, kernel_init, mp_init,
    thread_init, timer_init, thread_become_idle, bootstrap2, arch_init, arch_mp_init_percpu, lk_init_secondary_cpus, psci_call,
    platform_init, target_init, apps_init,
    // The others.
    _start, mmu_enable_secondary, secondary_boot, arm64_secondary_entry, arm64_cpu_early_init, lk_init_level,
    lk_secondary_cpu_entry, thread_secondary_cpu_init_early, thread_resume, thread_secondary_cpu_entry,
    secondary_cpu_bootstrap2,
    // This loader's own.
    release_word, load_payload, check_payload, check_chunks, load_segments, hand_over, leave,
    // The library's.
    kick, online, active,
}

/// The text of `name`.
pub const fn text(name: Name) -> &'static str {
    let place = name.0 as usize;
    if place < NAMES.len() { NAMES[place] } else { "?" }
}
