//! Which affinity a vCPU has, and which vCPUs an SGI goes to.

use crate::VcpuSet;

/// How many vCPUs share the affinity fields above level 0, since the target list of an SGI has 16 bits.
const CLUSTER: usize = 16;

/// The affinity fields of a vCPU's MPIDR_EL1: 16 vCPUs have the same Aff1.
#[must_use]
pub const fn affinity(vcpu: usize) -> u64 {
    ((vcpu % CLUSTER) | ((vcpu / CLUSTER) << 8)) as u64
}

/// Which vCPU has these affinity fields, as MPIDR_EL1 has them, if they are one's.
#[must_use]
pub const fn vcpu_of(affinity: u64) -> Option<usize> {
    let (level_0, level_1) = (affinity & 0xff, affinity >> 8 & 0xff);
    if affinity >> 16 == 0 && level_0 < CLUSTER as u64 {
        Some(level_1 as usize * CLUSTER + level_0 as usize)
    } else {
        None
    }
}

/// Which of the registers that generate SGIs was written, and so of which group the SGIs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiGroup {
    /// ICC_SGI0R_EL1.
    Group0,
    /// ICC_SGI1R_EL1.
    Group1,
}

/// What is in ICC_SGI1R_EL1, or ICC_SGI0R_EL1.
#[derive(Clone, Copy)]
pub(crate) struct SgiRequest(pub u64);

impl SgiRequest {
    pub const fn intid(self) -> u32 {
        (self.0 >> 24 & 0xf) as u32
    }

    /// All but the sender (IRM), or those of a list.
    pub fn targets(self, sender: usize, vcpus: usize) -> VcpuSet {
        if self.0 & 1 << 40 != 0 {
            return VcpuSet::first(vcpus).without(sender);
        }
        let field = |shift: u32| self.0 >> shift & 0xff;
        let range = (self.0 >> 44 & 0xf) * 16;
        let cluster = field(48) << 32 | field(32) << 16 | field(16) << 8;
        (0..16)
            .filter(|bit| self.0 & 1 << bit != 0)
            .filter_map(|bit| vcpu_of(cluster | (range + bit)))
            .filter(|vcpu| *vcpu < vcpus)
            .fold(VcpuSet::EMPTY, |set, vcpu| set | VcpuSet::one(vcpu))
    }
}
