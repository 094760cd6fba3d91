//! The interrupts of one guest: whose they are, and whom a change concerns.

mod banks;
mod delivery;
mod distributor;
mod redistributors;

use alloc::boxed::Box;
use alloc::vec;

use thiserror::Error;

use crate::affinity::{SgiGroup, SgiRequest, vcpu_of};
use crate::block::{Block, Groups, SGIS};
use crate::vcpu_set::{VcpuSet, bits};

/// The most vCPUs that a guest can have.
pub const MAX_VCPUS: usize = 512;

/// The most SPIs that a guest can have: INTIDs 32 to 1019.
pub const MAX_SPIS: usize = 988;

/// How much of the redistributors' region is one vCPU's: the frames RD and SGI, 64 KiB each.
pub const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// The first SPI.
const FIRST_SPI: u32 = 32;

/// The most list registers that a CPU has.
const LIST_REGISTERS: usize = 16;

/// The owner of an interrupt that is nobody's.
const NOBODY: u16 = u16::MAX;

/// Why there can be no such interrupt controller.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// So many vCPUs.
    #[error("{0} vCPUs, where a guest has 1 to {MAX_VCPUS}")]
    Vcpus(usize),
    /// So many SPIs.
    #[error("{0} SPIs, where a guest has at most {MAX_SPIS}")]
    Spis(usize),
}

/// What a vCPU has of its own.
#[derive(Clone)]
struct Vcpu {
    private: Block,
    /// What was put into its list registers, by their number.
    held: [u32; LIST_REGISTERS],
    held_count: usize,
    /// Whether some that are active found no room there: the CPU counts when such are ended.
    active_left: bool,
}

/// 32 SPIs.
#[derive(Clone)]
struct SpiBlock {
    block: Block,
    /// The affinity in IROUTER.
    route: [u32; 32],
    /// The vCPU that an active SPI is active on, and in whose list register a resident one is.
    owner: [u16; 32],
}

/// Where an interrupt is kept.
#[derive(Clone, Copy)]
enum Place {
    /// SGI or PPI of a vCPU.
    Private(usize),
    /// A block of SPIs.
    Spis(usize),
}

/// The interrupt controller of one guest.
#[derive(Clone)]
pub struct Vgic {
    groups: Groups,
    vcpus: Box<[Vcpu]>,
    spis: Box<[SpiBlock]>,
}

impl Vgic {
    /// As after reset, for so many vCPUs and at least so many SPIs: there are always a multiple of 32, or all 988.
    ///
    /// # Errors
    ///
    /// [`SizeError`]: more than a GICv3 has.
    pub fn new(vcpus: usize, spis: usize) -> Result<Self, SizeError> {
        if !(1..=MAX_VCPUS).contains(&vcpus) {
            return Err(SizeError::Vcpus(vcpus));
        }
        if spis > MAX_SPIS {
            return Err(SizeError::Spis(spis));
        }
        let vcpu = Vcpu { private: Block::new(SGIS), held: [0; LIST_REGISTERS], held_count: 0, active_left: false };
        let spi = SpiBlock { block: Block::new(0), route: [0; 32], owner: [NOBODY; 32] };
        Ok(Self {
            groups: Groups::default(),
            vcpus: vec![vcpu; vcpus].into(),
            spis: vec![spi; spis.div_ceil(32)].into(),
        })
    }

    /// How many vCPUs there are.
    #[must_use]
    pub fn vcpus(&self) -> usize {
        self.vcpus.len()
    }

    /// How many bytes the region of the redistributors has.
    #[must_use]
    pub fn redistributors_size(&self) -> u64 {
        self.vcpus.len() as u64 * REDISTRIBUTOR_SIZE
    }

    /// The input of a PPI (INTIDs 16 to 31) of a vCPU is high or low from now on. Nothing, where there is no such PPI.
    pub fn set_ppi(&mut self, vcpu: usize, intid: u32, high: bool) -> VcpuSet {
        if vcpu >= self.vcpus.len() || !(16..FIRST_SPI).contains(&intid) {
            return VcpuSet::EMPTY;
        }
        self.change(Place::Private(vcpu), |block| block.set_line(1 << intid, high))
    }

    /// The input of an SPI is high or low from now on. Nothing, where there is no such SPI.
    pub fn set_spi(&mut self, intid: u32, high: bool) -> VcpuSet {
        match self.place(0, intid) {
            Some((place @ Place::Spis(_), bit)) => self.change(place, |block| block.set_line(bit, high)),
            _ => VcpuSet::EMPTY,
        }
    }

    /// A vCPU wrote this to ICC_SGI1R_EL1 or ICC_SGI0R_EL1. The SGI becomes pending on those of its targets where it is in that group.
    ///
    /// ICC_ASGI1R_EL1 is for another security state, which there is none of: writes to it are to be ignored.
    pub fn send_sgi(&mut self, sender: usize, group: SgiGroup, value: u64) -> VcpuSet {
        let request = SgiRequest(value);
        let bit = 1 << request.intid();
        let mut concerned = VcpuSet::EMPTY;
        for target in request.targets(sender, self.vcpus.len()).iter() {
            concerned |= self.change(Place::Private(target), |block| {
                let in_group = (block.group_1 & bit != 0) == (group == SgiGroup::Group1);
                if in_group { block.set_pending(bit) } else { 0 }
            });
        }
        concerned
    }

    /// Where an interrupt is kept that a vCPU calls by this INTID, and its bit there.
    fn place(&self, vcpu: usize, intid: u32) -> Option<(Place, u32)> {
        let bit = 1 << (intid % 32);
        let place = match intid.checked_sub(FIRST_SPI) {
            None => Place::Private(vcpu),
            Some(spi) => Place::Spis(spi as usize / 32),
        };
        (self.existing(place) & bit != 0).then_some((place, bit))
    }

    /// The interrupts of a block that exist: INTIDs from 1020 on do not.
    fn existing(&self, place: Place) -> u32 {
        let (count, first) = match place {
            Place::Private(vcpu) => (usize::from(vcpu < self.vcpus.len()), 0),
            Place::Spis(number) => (usize::from(number < self.spis.len()), 32 * number),
        };
        match (count, first + 32 > MAX_SPIS) {
            (0, _) => 0,
            (_, false) => u32::MAX,
            (_, true) => u32::MAX >> (first + 32 - MAX_SPIS),
        }
    }

    /// The block at a place that exists.
    fn block(&self, place: Place) -> &Block {
        match place {
            Place::Private(vcpu) => &self.vcpus[vcpu].private,
            Place::Spis(number) => &self.spis[number].block,
        }
    }

    fn block_mut(&mut self, place: Place) -> &mut Block {
        match place {
            Place::Private(vcpu) => &mut self.vcpus[vcpu].private,
            Place::Spis(number) => &mut self.spis[number].block,
        }
    }

    /// Changes interrupts at a place that exists. `change` says which it concerns; this, which vCPUs have to look at them anew.
    fn change(&mut self, place: Place, change: impl FnOnce(&mut Block) -> u32) -> VcpuSet {
        let changed = change(self.block_mut(place));
        let block = self.block(place);
        let concerned = changed & (block.deliverable(self.groups) | block.resident());
        self.homes(place, concerned)
    }

    /// The vCPUs whose these interrupts are.
    fn homes(&self, place: Place, interrupts: u32) -> VcpuSet {
        match place {
            Place::Private(_) if interrupts == 0 => VcpuSet::EMPTY,
            Place::Private(vcpu) => VcpuSet::one(vcpu),
            Place::Spis(number) => bits(interrupts)
                .filter_map(|interrupt| self.spis[number].home(interrupt, self.vcpus.len()))
                .fold(VcpuSet::EMPTY, |set, vcpu| set | VcpuSet::one(vcpu)),
        }
    }
}

impl SpiBlock {
    /// The vCPU whose an SPI is: where it is active or in a list register, else where it is routed to, if there is such a vCPU.
    fn home(&self, interrupt: u32, vcpus: usize) -> Option<usize> {
        let bit = 1 << interrupt;
        if (self.block.active() | self.block.resident()) & bit != 0 {
            return Some(usize::from(self.owner[interrupt as usize])).filter(|vcpu| *vcpu < vcpus);
        }
        vcpu_of(self.route[interrupt as usize].into()).filter(|vcpu| *vcpu < vcpus)
    }

    /// An SPI goes into a list register of a vCPU. Whether it is still routed there, or active from before.
    fn lend(&mut self, intid: u32, vcpu: usize) -> bool {
        let interrupt = intid as usize % 32;
        self.owner[interrupt] = vcpu as u16;
        vcpu_of(self.route[interrupt].into()) == Some(vcpu)
    }

    /// Interrupts that are about to be active are so where they are: those that are nobody's yet, where they are routed to.
    fn settle(&mut self, activated: u32, vcpus: usize) {
        for interrupt in bits(activated) {
            let target = self.home(interrupt, vcpus).map_or(NOBODY, |vcpu| vcpu as u16);
            self.owner[interrupt as usize] = target;
        }
    }
}
