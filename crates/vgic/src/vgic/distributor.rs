//! The distributor's registers, GICD.

use super::{FIRST_SPI, Place, SpiBlock, Vgic};
use crate::access::AccessSize;
use crate::block::Groups;
use crate::vcpu_set::VcpuSet;

const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0004;
const IROUTER: u64 = 0x6000;
const IROUTER_END: u64 = 0x8000;
/// GICD_PIDR2, and GICR_PIDR2: ArchRev is 3, for GICv3.
pub(super) const PIDR2: u64 = 0xffe8;
pub(super) const GICV3: u64 = 3 << 4;

const CTLR_ENABLE_GROUP_0: u64 = 1 << 0;
const CTLR_ENABLE_GROUP_1: u64 = 1 << 1;
const CTLR_AFFINITY_ROUTING: u64 = 1 << 4;
const CTLR_ONE_SECURITY_STATE: u64 = 1 << 6;
const CTLR_WRITE_PENDING: u64 = 1 << 31;

/// Ten bits of INTID: 1024 of them.
const TYPER_ID_BITS: u64 = 9 << 19;
const TYPER_NO_1_OF_N: u64 = 1 << 25;

/// Aff2, Aff1 and Aff0 in IROUTER. TYPER.A3V says that there is no Aff3.
const ROUTE: u64 = 0xff_ffff;

impl Vgic {
    /// A guest reads from the distributor.
    #[must_use]
    pub fn read_distributor(&self, offset: u64, size: AccessSize) -> u64 {
        if !size.is_aligned(offset) {
            return 0;
        }
        match (offset, size) {
            (CTLR, AccessSize::Word) => self.distributor_control(),
            (TYPER, AccessSize::Word) => TYPER_NO_1_OF_N | TYPER_ID_BITS | self.spis.len() as u64,
            (PIDR2, AccessSize::Word) => GICV3,
            (IROUTER..IROUTER_END, _) => match self.router(offset) {
                Some((number, spi)) => size.read_from_wide(offset, self.spis[number].route[spi].into()),
                None => 0,
            },
            _ => self.read_bank(offset, size, spis_of),
        }
    }

    /// A guest writes to the distributor. The vCPUs that come back have interrupts to take or to give back.
    pub fn write_distributor(&mut self, offset: u64, size: AccessSize, value: u64) -> VcpuSet {
        if !size.is_aligned(offset) {
            return VcpuSet::EMPTY;
        }
        match (offset, size) {
            (CTLR, AccessSize::Word) => {
                let before = self.groups;
                self.groups =
                    Groups { group_0: value & CTLR_ENABLE_GROUP_0 != 0, group_1: value & CTLR_ENABLE_GROUP_1 != 0 };
                if self.groups == before { VcpuSet::EMPTY } else { VcpuSet::first(self.vcpus.len()) }
            }
            (IROUTER..IROUTER_END, _) => self.write_router(offset, size, value),
            _ => self.write_bank(offset, size, value, spis_of),
        }
    }

    fn distributor_control(&self) -> u64 {
        let groups = self.groups;
        let withdrawing = self.spis.iter().any(|spis| spis.block.being_withdrawn(groups) != 0)
            || self.vcpus.iter().any(|vcpu| vcpu.private.being_withdrawn_by_group(groups) != 0);
        CTLR_ONE_SECURITY_STATE
            | CTLR_AFFINITY_ROUTING
            | if groups.group_0 { CTLR_ENABLE_GROUP_0 } else { 0 }
            | if groups.group_1 { CTLR_ENABLE_GROUP_1 } else { 0 }
            | if withdrawing { CTLR_WRITE_PENDING } else { 0 }
    }

    /// The SPI whose IROUTER is at an offset, by block and number in it.
    fn router(&self, offset: u64) -> Option<(usize, usize)> {
        let intid = ((offset - IROUTER) / 8) as u32;
        match self.place(0, intid)? {
            (Place::Spis(number), _) => Some((number, (intid - FIRST_SPI) as usize % 32)),
            (Place::Private(_), _) => None,
        }
    }

    fn write_router(&mut self, offset: u64, size: AccessSize, value: u64) -> VcpuSet {
        let Some((number, spi)) = self.router(offset) else {
            return VcpuSet::EMPTY;
        };
        let SpiBlock { route, .. } = &mut self.spis[number];
        let before = route[spi];
        route[spi] = (size.write_to_wide(offset, before.into(), value) & ROUTE) as u32;
        if route[spi] == before {
            return VcpuSet::EMPTY;
        }
        self.change(Place::Spis(number), |_| 1 << spi)
    }
}

/// The distributor reaches SPIs alone: with affinity routing, SGIs and PPIs are the redistributors'.
fn spis_of(block: usize) -> Option<Place> {
    block.checked_sub(1).map(Place::Spis)
}
