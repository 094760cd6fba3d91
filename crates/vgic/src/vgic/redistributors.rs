//! The redistributors' registers, GICR: for each vCPU a frame RD and a frame SGI.

use super::distributor::{GICV3, PIDR2};
use super::{Place, REDISTRIBUTOR_SIZE, Vgic};
use crate::access::AccessSize;
use crate::affinity::affinity;
use crate::vcpu_set::VcpuSet;

const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0008;
const TYPER_END: u64 = 0x0010;
const SGI_FRAME: u64 = 0x1_0000;

const CTLR_WRITE_PENDING: u64 = 1 << 3;
const TYPER_LAST: u64 = 1 << 4;

impl Vgic {
    /// A guest reads from the redistributors: vCPU N's begins at N times [`REDISTRIBUTOR_SIZE`].
    #[must_use]
    pub fn read_redistributors(&self, offset: u64, size: AccessSize) -> u64 {
        let Some((vcpu, offset)) = self.redistributor(offset, size) else {
            return 0;
        };
        match (offset, size) {
            (CTLR, AccessSize::Word) => {
                let withdrawing = self.vcpus[vcpu].private.being_withdrawn(self.groups) != 0;
                if withdrawing { CTLR_WRITE_PENDING } else { 0 }
            }
            (TYPER..TYPER_END, _) => {
                let last = if vcpu + 1 == self.vcpus.len() { TYPER_LAST } else { 0 };
                size.read_from_wide(offset, affinity(vcpu) << 32 | (vcpu as u64) << 8 | last)
            }
            (PIDR2, AccessSize::Word) => GICV3,
            (SGI_FRAME.., _) => self.read_bank(offset - SGI_FRAME, size, private_of(vcpu)),
            _ => 0,
        }
    }

    /// A guest writes to the redistributors. The vCPUs that come back have interrupts to take or to give back.
    pub fn write_redistributors(&mut self, offset: u64, size: AccessSize, value: u64) -> VcpuSet {
        match self.redistributor(offset, size) {
            Some((vcpu, offset @ SGI_FRAME..)) => self.write_bank(offset - SGI_FRAME, size, value, private_of(vcpu)),
            _ => VcpuSet::EMPTY,
        }
    }

    /// Whose redistributor is reached, and where.
    fn redistributor(&self, offset: u64, size: AccessSize) -> Option<(usize, u64)> {
        let vcpu = usize::try_from(offset / REDISTRIBUTOR_SIZE).ok()?;
        (size.is_aligned(offset) && vcpu < self.vcpus.len()).then_some((vcpu, offset % REDISTRIBUTOR_SIZE))
    }
}

/// A redistributor has the first 32 INTIDs.
fn private_of(vcpu: usize) -> impl Fn(usize) -> Option<Place> {
    move |block| (block == 0).then_some(Place::Private(vcpu))
}
