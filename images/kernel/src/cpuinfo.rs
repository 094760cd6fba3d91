//! What kind of processor each CPU is (Linux's `arch/arm64/kernel/cpuinfo.c`).

use reveille::CpuIndex;
use reveille_runtime::arch::processor::Features;
use reveille_runtime::trace;
use spin::Once;

use crate::arch::spans;

reveille_runtime::per_cpu! {
    static FEATURES: Once<Features> = Once::new();
}

/// Notes the features of the boot CPU, which those of the others are compared with.
pub fn cpuinfo_store_boot_cpu() {
    FEATURES.call_once(Features::of_this_cpu);
}

/// Notes this CPU's features.
pub fn cpuinfo_store_cpu() {
    let _span = trace::span(spans::STORE_CPU_INFO);
    FEATURES.call_once(|| {
        let features = Features::of_this_cpu();
        #[cfg(feature = "faults")]
        let features = crate::fault::features(features);
        features
    });
}

/// The register, as (name, its value there, the boot CPU's), for which `cpu`, which has come up once, cannot run with the others
/// (Linux's `check_local_cpu_capabilities`).
pub fn feature_conflict(cpu: CpuIndex) -> Option<(&'static str, u64, u64)> {
    FEATURES.of(cpu).get()?.conflict(FEATURES.of(CpuIndex::BOOT).get()?)
}

/// The first register in which `cpu`, which was online once, differs from the boot CPU.
pub fn feature_difference(cpu: CpuIndex) -> Option<(&'static str, u64, u64)> {
    FEATURES.of(cpu).get()?.first_difference(FEATURES.of(CpuIndex::BOOT).get()?)
}
