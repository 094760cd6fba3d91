//! What goes into list registers, and what comes back from them.

use core::mem;

use super::{FIRST_SPI, LIST_REGISTERS, Place, Vcpu, Vgic};
use crate::block::{Block, Groups};
use crate::list_register::{HCR_EN, HCR_LRENPIE, HCR_NPIE, HCR_TDIR, ListRegister, Vmcr, eoi_count};
use crate::vcpu_set::{VcpuSet, bits};

/// An interrupt that may go into a list register, as a number: the smaller, the sooner.
///
/// Those of a group that the vCPU does not take come last. Then priority decides, then whether it is active, since the guest ends those
/// first, then the INTID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate(u32);

impl Candidate {
    const PENDING: u32 = 1 << 10;

    const fn new(intid: u32, active: bool, priority: u8, taken: bool) -> Self {
        let pending = if active { 0 } else { Self::PENDING };
        let last = if taken || active { 0 } else { 1 << 19 };
        Self(last | (priority as u32) << 11 | pending | intid)
    }

    const fn intid(self) -> u32 {
        self.0 & 0x3ff
    }

    const fn is_active(self) -> bool {
        self.0 & Self::PENDING == 0
    }
}

/// The candidates that go into list registers, and what was left out.
struct Choice {
    chosen: [Candidate; LIST_REGISTERS],
    count: usize,
    room: usize,
    /// The first of those that are left out and pending.
    pending_left: Option<Candidate>,
    active_left: bool,
}

impl Choice {
    const fn new(room: usize) -> Self {
        let chosen = [Candidate(u32::MAX); LIST_REGISTERS];
        Self { chosen, count: 0, room, pending_left: None, active_left: false }
    }

    fn consider(&mut self, candidate: Candidate) {
        let position = self.chosen[..self.count].partition_point(|chosen| *chosen < candidate);
        if self.count == self.room {
            let left = if position == self.room { candidate } else { self.chosen[self.room - 1] };
            self.leave_out(left);
        } else {
            self.count += 1;
        }
        if position < self.room {
            self.chosen[position..self.count].rotate_right(1);
            self.chosen[position] = candidate;
        }
    }

    fn leave_out(&mut self, candidate: Candidate) {
        if candidate.is_active() {
            self.active_left = true;
        } else {
            self.pending_left = Some(self.pending_left.map_or(candidate, |left| left.min(candidate)));
        }
    }

    /// A guest that holds many interrupts active gets others all the same: one list register is for one that is pending.
    fn admit_pending(&mut self) {
        let Some(last) = self.count.checked_sub(1) else {
            return;
        };
        if let Some(pending) = self.pending_left
            && self.chosen[..self.count].iter().all(|chosen| chosen.is_active())
        {
            self.chosen[last] = pending;
            self.active_left = true;
        }
    }
}

impl Vgic {
    /// Before a vCPU runs: fills the list registers of the CPU it runs on, and says what ICH_HCR_EL2 is to be.
    ///
    /// `vmcr` is the vCPU's ICH_VMCR_EL2. List registers that are not needed are 0. What an earlier call put into list registers and
    /// [`Vgic::sync`] did not take back was never there.
    #[must_use]
    pub fn fill(&mut self, vcpu: usize, vmcr: u64, list_registers: &mut [u64]) -> u64 {
        list_registers.fill(0);
        if vcpu >= self.vcpus.len() {
            return 0;
        }
        let _ = self.take_back_all(vcpu, None);
        if !self.may_have_candidates(vcpu) {
            self.vcpus[vcpu].active_left = false;
            return HCR_EN;
        }
        let vmcr = Vmcr(vmcr);
        let mut choice = Choice::new(list_registers.len().min(LIST_REGISTERS));
        self.for_each_candidate(vcpu, vmcr, |candidate| choice.consider(candidate));
        choice.admit_pending();
        for (index, candidate) in choice.chosen[..choice.count].iter().enumerate() {
            list_registers[index] = self.lend(vcpu, candidate.intid(), choice.pending_left.is_none()).0;
            self.vcpus[vcpu].held[index] = candidate.intid();
        }
        self.vcpus[vcpu].held_count = choice.count;
        self.vcpus[vcpu].active_left = choice.active_left;
        let mut hcr = HCR_EN;
        if choice.pending_left.is_some() {
            hcr |= HCR_NPIE | vmcr.group_changes();
        }
        if choice.active_left {
            hcr |= HCR_LRENPIE | HCR_TDIR;
        }
        hcr
    }

    /// After a vCPU has run: takes back what [`Vgic::fill`] put into these list registers. `hcr` is ICH_HCR_EL2 as it is now.
    ///
    /// The vCPUs that come back have interrupts to take: SPIs that were routed to them meanwhile.
    pub fn sync(&mut self, vcpu: usize, list_registers: &[u64], hcr: u64) -> VcpuSet {
        if vcpu >= self.vcpus.len() {
            return VcpuSet::EMPTY;
        }
        let mut concerned = VcpuSet::EMPTY;
        // Where none was left out, the guest ended what was not active.
        let ended = if mem::take(&mut self.vcpus[vcpu].active_left) { eoi_count(hcr) } else { 0 };
        for _ in 0..ended {
            concerned |= self.end_left_out(vcpu);
        }
        (concerned | self.take_back_all(vcpu, Some(list_registers))).without(vcpu)
    }

    /// A vCPU wrote an INTID to ICC_DIR_EL1, which trapped: the interrupt is no longer active.
    pub fn deactivate(&mut self, vcpu: usize, intid: u32) -> VcpuSet {
        match self.place(vcpu, intid) {
            Some((place, bit)) if self.owns(vcpu, place, intid) => self.change(place, |block| block.clear_active(bit)),
            _ => VcpuSet::EMPTY,
        }
    }

    /// Whether a vCPU that is not running has an interrupt to take, with this ICH_VMCR_EL2: it must not sleep in WFI then.
    #[must_use]
    pub fn has_deliverable(&self, vcpu: usize, vmcr: u64) -> bool {
        if vcpu >= self.vcpus.len() {
            return false;
        }
        let vmcr = Vmcr(vmcr);
        let taken = Groups { group_0: vmcr.takes_group_0(), group_1: vmcr.takes_group_1() };
        let is_taken = |block: &Block, interrupt| block.priority(interrupt) < vmcr.priority_mask();
        let private = &self.vcpus[vcpu].private;
        bits(private.deliverable(self.groups) & private.in_groups(taken)).any(|interrupt| is_taken(private, interrupt))
            || self.spis.iter().any(|spis| {
                bits(spis.block.deliverable(self.groups) & spis.block.in_groups(taken)).any(|interrupt| {
                    is_taken(&spis.block, interrupt) && spis.home(interrupt, self.vcpus.len()) == Some(vcpu)
                })
            })
    }

    /// Whether a vCPU may have candidates: it has none most times that it comes out of the guest.
    fn may_have_candidates(&self, vcpu: usize) -> bool {
        let wanted = |block: &Block| (block.deliverable(self.groups) | block.idle_active()) != 0;
        wanted(&self.vcpus[vcpu].private) || self.spis.iter().any(|spis| wanted(&spis.block))
    }

    fn for_each_candidate(&self, vcpu: usize, vmcr: Vmcr, mut consider: impl FnMut(Candidate)) {
        let taken = Groups { group_0: vmcr.takes_group_0(), group_1: vmcr.takes_group_1() };
        let mut consider_bit = |block: &Block, first: u32, interrupt: u32| {
            let bit = 1 << interrupt;
            let active = block.idle_active() & bit != 0;
            let taken = block.in_groups(taken) & bit != 0;
            consider(Candidate::new(first + interrupt, active, block.priority(interrupt), taken));
        };
        let wanted = |block: &Block| block.deliverable(self.groups) | block.idle_active();
        let private = &self.vcpus[vcpu].private;
        bits(wanted(private)).for_each(|interrupt| consider_bit(private, 0, interrupt));
        for (number, spis) in self.spis.iter().enumerate() {
            bits(wanted(&spis.block))
                .filter(|interrupt| spis.home(*interrupt, self.vcpus.len()) == Some(vcpu))
                .for_each(|interrupt| consider_bit(&spis.block, FIRST_SPI + 32 * number as u32, interrupt));
        }
    }

    /// Puts an interrupt of a vCPU into a list register. It may `remain` there when it ends and is pending again, unless others wait
    /// for the list register: those would wait for ever if the vCPU did not take it.
    fn lend(&mut self, vcpu: usize, intid: u32, remain: bool) -> ListRegister {
        let groups = self.groups;
        let Some((place, bit)) = self.place(vcpu, intid) else {
            return ListRegister(0);
        };
        let stays = match place {
            Place::Private(_) => remain,
            Place::Spis(number) => self.spis[number].lend(intid, vcpu) && remain,
        };
        let block = self.block_mut(place);
        let (pending, active) = block.lend(bit, groups, stays);
        let maintenance_at_end = block.edge & bit == 0 || !stays;
        ListRegister::new(intid, block.priority(intid), block.group_1 & bit != 0, maintenance_at_end)
            .with_state(pending, active)
    }

    /// Takes back what is in a vCPU's list registers; without them, as what it was when it went there.
    fn take_back_all(&mut self, vcpu: usize, list_registers: Option<&[u64]>) -> VcpuSet {
        let Vcpu { held, held_count, .. } = &mut self.vcpus[vcpu];
        let mut concerned = VcpuSet::EMPTY;
        if *held_count == 0 {
            return concerned;
        }
        let (held, count) = (*held, mem::take(held_count));
        for (index, intid) in held[..count].iter().enumerate() {
            let state = list_registers
                .and_then(|registers| registers.get(index))
                .map(|register| ListRegister(*register))
                .map(|register| (register.is_pending(), register.is_active()));
            if let Some((place, bit)) = self.place(vcpu, *intid) {
                concerned |= self.change(place, |block| {
                    block.take_back(bit, state);
                    bit
                });
            }
        }
        concerned
    }

    /// A vCPU ended an interrupt that was left out: the active one of the highest priority, since they are ended in that order.
    fn end_left_out(&mut self, vcpu: usize) -> VcpuSet {
        let mut first: Option<Candidate> = None;
        self.for_each_candidate(vcpu, Vmcr(0), |candidate| {
            if candidate.is_active() && first.is_none_or(|first| candidate < first) {
                first = Some(candidate);
            }
        });
        first.map_or(VcpuSet::EMPTY, |ended| self.deactivate(vcpu, ended.intid()))
    }

    /// Whether an interrupt is active or resident, if at all, on this vCPU.
    fn owns(&self, vcpu: usize, place: Place, intid: u32) -> bool {
        match place {
            Place::Private(_) => true,
            Place::Spis(number) => usize::from(self.spis[number].owner[intid as usize % 32]) == vcpu,
        }
    }
}
