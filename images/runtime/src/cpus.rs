//! The CPUs of the system, as all parts of it share them.

use reveille::{CpuIndex, HwId, Smp, Topology};

/// The state of all CPUs: masks and claim words.
pub static SMP: Smp = Smp::new();

static TOPOLOGY: spin::Once<&'static Topology> = spin::Once::new();

/// Makes `topology` known. The first one stays.
pub fn set_topology(topology: &'static Topology) {
    TOPOLOGY.call_once(|| topology);
}

/// The CPUs of the machine.
///
/// # Panics
/// Before [`set_topology`].
#[must_use]
pub fn topology() -> &'static Topology {
    TOPOLOGY.get().expect("the topology is read before it is asked for")
}

/// What the hardware calls `cpu`, which is of the topology.
#[must_use]
pub fn hw_id(cpu: CpuIndex) -> HwId {
    topology().cpus()[cpu.get()].hw_id
}
