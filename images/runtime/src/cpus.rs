//! The CPUs of the system, as all parts of it share them.

use core::fmt;

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

/// The CPU is down, or on its way up or down: it takes nothing from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offline(pub CpuIndex);

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {} is offline", self.0)
    }
}

/// The first active CPU behind `after`, or else the first of all, but not `leaving`. Who asks again with the answer goes round.
#[must_use]
pub fn next_active(after: CpuIndex, leaving: CpuIndex) -> Option<CpuIndex> {
    let mut active = SMP.masks.active.snapshot();
    active.remove(leaving);
    active.iter().find(|cpu| cpu.get() > after.get()).or_else(|| active.iter().next())
}
