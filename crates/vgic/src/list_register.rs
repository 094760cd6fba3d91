//! The fields of ICH_LRn_EL2, ICH_HCR_EL2 and ICH_VMCR_EL2.

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const GROUP_1: u64 = 1 << 60;
const EOI: u64 = 1 << 41;
const PRIORITY_SHIFT: u32 = 48;

/// ICH_HCR_EL2.En: the virtual CPU interface operates.
pub(crate) const HCR_EN: u64 = 1 << 0;
/// ICH_HCR_EL2.LRENPIE: a maintenance interrupt if an interrupt was ended that is in no list register.
pub(crate) const HCR_LRENPIE: u64 = 1 << 2;
/// ICH_HCR_EL2.NPIE: a maintenance interrupt if no list register is pending.
pub(crate) const HCR_NPIE: u64 = 1 << 3;
/// ICH_HCR_EL2.VGrp0EIE: a maintenance interrupt if the guest takes Group 0. The next bit, VGrp0DIE: if it does not. The two above
/// them are the same for Group 1.
pub(crate) const HCR_VGRP0EIE: u64 = 1 << 4;
/// ICH_HCR_EL2.TDIR: writes to ICC_DIR_EL1 trap.
pub(crate) const HCR_TDIR: u64 = 1 << 14;

/// ICH_HCR_EL2.EOIcount: how many interrupts were ended that are in no list register.
pub(crate) const fn eoi_count(hcr: u64) -> u32 {
    (hcr >> 27 & 0x1f) as u32
}

/// An interrupt in a list register.
#[derive(Clone, Copy)]
pub(crate) struct ListRegister(pub u64);

impl ListRegister {
    /// An interrupt without a state.
    pub fn new(intid: u32, priority: u8, group_1: bool, maintenance_at_end: bool) -> Self {
        Self(
            u64::from(intid)
                | u64::from(priority) << PRIORITY_SHIFT
                | if group_1 { GROUP_1 } else { 0 }
                | if maintenance_at_end { EOI } else { 0 },
        )
    }

    pub const fn with_state(self, pending: bool, active: bool) -> Self {
        Self(self.0 | if pending { PENDING } else { 0 } | if active { ACTIVE } else { 0 })
    }

    pub const fn is_pending(self) -> bool {
        self.0 & PENDING != 0
    }

    pub const fn is_active(self) -> bool {
        self.0 & ACTIVE != 0
    }
}

/// What a vCPU takes, as ICH_VMCR_EL2 says.
#[derive(Clone, Copy)]
pub(crate) struct Vmcr(pub u64);

impl Vmcr {
    pub const fn takes_group_0(self) -> bool {
        self.0 & 1 << 0 != 0
    }

    pub const fn takes_group_1(self) -> bool {
        self.0 & 1 << 1 != 0
    }

    /// The bits of ICH_HCR_EL2 that ask for a maintenance interrupt when the guest begins to take a group, or ceases to.
    pub const fn group_changes(self) -> u64 {
        HCR_VGRP0EIE << self.takes_group_0() as u64 | HCR_VGRP0EIE << (2 + self.takes_group_1() as u64)
    }

    /// VPMR: only priorities with a lower number are taken.
    pub const fn priority_mask(self) -> u8 {
        (self.0 >> 24) as u8
    }
}
