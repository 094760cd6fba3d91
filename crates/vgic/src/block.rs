//! 32 interrupts, a bit for each: as the registers have them.

/// Bits of a priority that are kept: 32 priorities, as many as virtual CPU interfaces have at least.
const PRIORITY_BITS: u8 = 0xf8;

/// The SGIs in the first block of a vCPU.
pub(crate) const SGIS: u32 = 0xffff;

/// 32 interrupts: those of one vCPU (SGIs and PPIs), or 32 SPIs.
///
/// An interrupt is *resident* while it is in a list register. What it is there, active or pending, is then known only to the CPU; the
/// words say what it was when it went there, and what is to become of it when it returns.
#[derive(Clone)]
pub(crate) struct Block {
    pub enabled: u32,
    pub group_1: u32,
    /// Edge-triggered; others are level-sensitive.
    pub edge: u32,
    /// The inputs that are high.
    line: u32,
    /// Made pending by an edge, by ISPENDR or as an SGI, and not in a list register.
    latch: u32,
    active: u32,
    resident: u32,
    /// Resident, and put there as pending.
    offered: u32,
    /// Resident, and the latch went there too: it returns with an interrupt that was not taken.
    lent: u32,
    /// Resident, and made active meanwhile (ISACTIVER).
    activated: u32,
    /// Resident, and made inactive meanwhile (ICACTIVER, ICC_DIR_EL1).
    deactivated: u32,
    priority: [u8; 32],
}

/// Which groups GICD_CTLR enables.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub group_0: bool,
    pub group_1: bool,
}

impl Block {
    /// As after reset: in Group 1, all else 0. Interrupts of `edge` are edge-triggered.
    pub const fn new(edge: u32) -> Self {
        Self {
            enabled: 0,
            group_1: u32::MAX,
            edge,
            line: 0,
            latch: 0,
            active: 0,
            resident: 0,
            offered: 0,
            lent: 0,
            activated: 0,
            deactivated: 0,
            priority: [0; 32],
        }
    }

    /// What ISPENDR reads.
    pub const fn pending(&self) -> u32 {
        self.latch | self.lent | self.line & !self.edge
    }

    /// What ISACTIVER reads.
    pub const fn active(&self) -> u32 {
        (self.active | self.activated) & !self.deactivated
    }

    pub const fn resident(&self) -> u32 {
        self.resident
    }

    /// Active, and in no list register.
    pub const fn idle_active(&self) -> u32 {
        self.active & !self.resident
    }

    /// Pending, enabled, and in no list register.
    fn wanted(&self, groups: Groups) -> u32 {
        (self.latch | self.line & !self.edge) & self.enabled & self.in_groups(groups) & !self.resident
    }

    /// What a vCPU is to take.
    pub fn deliverable(&self, groups: Groups) -> u32 {
        self.wanted(groups) & !self.active
    }

    pub fn in_groups(&self, groups: Groups) -> u32 {
        (if groups.group_1 { self.group_1 } else { 0 }) | (if groups.group_0 { !self.group_1 } else { 0 })
    }

    /// Disabled, and perhaps taken all the same, since it is in a list register as pending.
    pub fn being_withdrawn(&self, groups: Groups) -> u32 {
        self.offered & !(self.enabled & self.in_groups(groups))
    }

    /// The same, where it is the group that was disabled.
    pub fn being_withdrawn_by_group(&self, groups: Groups) -> u32 {
        self.offered & !self.in_groups(groups)
    }

    pub fn priority(&self, interrupt: u32) -> u8 {
        self.priority[interrupt as usize % 32]
    }

    pub fn set_priority(&mut self, interrupt: u32, priority: u8) {
        self.priority[interrupt as usize % 32] = priority & PRIORITY_BITS;
    }

    /// An input is high or low now. Says which interrupts that concerns; a level in a list register asks for maintenance when it
    /// ends, and is looked at then.
    pub fn set_line(&mut self, bit: u32, high: bool) -> u32 {
        let rises = high && self.line & bit == 0;
        self.line = if high { self.line | bit } else { self.line & !bit };
        if !rises {
            return 0;
        }
        self.latch |= bit & self.edge;
        bit & (self.edge | !self.resident)
    }

    pub const fn set_pending(&mut self, bits: u32) -> u32 {
        self.latch |= bits;
        bits
    }

    pub const fn clear_pending(&mut self, bits: u32) -> u32 {
        self.latch &= !bits;
        self.lent &= !bits;
        bits & self.offered
    }

    pub const fn set_active(&mut self, bits: u32) -> u32 {
        self.active |= bits & !self.resident;
        self.activated |= bits & self.resident;
        self.deactivated &= !bits;
        bits
    }

    pub const fn clear_active(&mut self, bits: u32) -> u32 {
        self.active &= !(bits & !self.resident);
        self.deactivated |= bits & self.resident;
        self.activated &= !bits;
        bits
    }

    /// Puts an interrupt into a list register. Says whether it is pending and whether it is active there.
    ///
    /// A level is never both: its input is looked at again when it ends. Nor is an interrupt that does not stay
    /// when it ends.
    pub fn lend(&mut self, bit: u32, groups: Groups, stays: bool) -> (bool, bool) {
        let active = self.active & bit != 0;
        let offerable = if !active {
            bit
        } else if stays {
            bit & self.edge
        } else {
            0
        };
        let offered = self.wanted(groups) & offerable;
        self.resident |= bit;
        self.offered |= offered;
        self.lent |= self.latch & offered;
        self.latch &= !offered;
        (offered != 0, active)
    }

    /// Takes an interrupt back from a list register, where it is `pending` and `active` now; `None` if it was never there.
    pub const fn take_back(&mut self, bit: u32, state: Option<(bool, bool)>) {
        let (pending, active) = match state {
            Some(state) => state,
            None => (true, self.active & bit != 0),
        };
        if pending {
            self.latch |= self.lent & bit;
        }
        self.active = if active { self.active | bit } else { self.active & !bit };
        self.active = (self.active | self.activated & bit) & !(self.deactivated & bit);
        self.resident &= !bit;
        self.offered &= !bit;
        self.lent &= !bit;
        self.activated &= !bit;
        self.deactivated &= !bit;
    }
}
