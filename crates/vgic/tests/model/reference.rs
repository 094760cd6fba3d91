//! What a GICv3 is to do, said plainly: one interrupt at a time, without list registers.

/// One interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt {
    pub enabled: bool,
    pub group_1: bool,
    pub edge: bool,
    pub line: bool,
    pub latch: bool,
    pub active: bool,
    /// Where it is active.
    pub owner: Option<usize>,
    pub priority: u8,
    /// Where it goes, if anywhere.
    pub target: Option<usize>,
}

impl Interrupt {
    pub const fn new(target: usize, edge: bool) -> Self {
        Self {
            enabled: false,
            group_1: true,
            edge,
            line: false,
            latch: false,
            active: false,
            owner: None,
            priority: 0,
            target: Some(target),
        }
    }

    pub const fn pending(&self) -> bool {
        self.latch || self.line && !self.edge
    }

    /// Whether a vCPU may take it, as far as the distributor goes, whose GICD_CTLR has these bits.
    pub fn is_for(&self, vcpu: usize, control: u64) -> bool {
        let group_enabled = control >> u32::from(self.group_1) & 1 != 0;
        self.pending() && self.enabled && group_enabled && !self.active && self.target == Some(vcpu)
    }

    /// Whether that was an edge.
    pub const fn set_line(&mut self, high: bool) -> bool {
        let edge = high && !self.line && self.edge;
        self.latch |= edge;
        self.line = high;
        edge
    }

    pub const fn acknowledge(&mut self, vcpu: usize) {
        self.latch = false;
        self.activate(Some(vcpu));
    }

    pub const fn activate(&mut self, owner: Option<usize>) {
        if !self.active {
            self.active = true;
            self.owner = owner;
        }
    }
}
