//! The registers that distributor and redistributors have in the same shape: banks with one bit, two or eight for each interrupt.

use super::{Place, Vgic};
use crate::access::AccessSize;
use crate::block::SGIS;
use crate::vcpu_set::{VcpuSet, bits};

/// A register with one bit for each of 32 interrupts.
#[derive(Clone, Copy)]
enum Words {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

/// What an offset below 0x1000 reaches, and of which interrupts.
#[derive(Clone, Copy)]
enum Bank {
    /// One bit each: the number of the register is that of the block.
    Words(Words, usize),
    /// IPRIORITYR: the first interrupt reached.
    Priority(u32),
    /// ICFGR, two bits each: the number of the register.
    Config(u32),
}

impl Bank {
    fn at(offset: u64, size: AccessSize) -> Option<Self> {
        let bank = match offset {
            0x400..0x800 => Self::Priority((offset - 0x400) as u32),
            0xc00..0xd00 => Self::Config((offset - 0xc00) as u32 / 4),
            0x080..0x400 => {
                let words = match offset & !0x7f {
                    0x080 => Words::Group,
                    0x100 => Words::SetEnable,
                    0x180 => Words::ClearEnable,
                    0x200 => Words::SetPending,
                    0x280 => Words::ClearPending,
                    0x300 => Words::SetActive,
                    _ => Words::ClearActive,
                };
                Self::Words(words, (offset as usize & 0x7f) / 4)
            }
            _ => return None,
        };
        match (size, bank) {
            (AccessSize::Word, _) | (AccessSize::Byte, Self::Priority(_)) => Some(bank),
            _ => None,
        }
    }

    /// The block of 32 INTIDs that it reaches.
    const fn block(self) -> usize {
        match self {
            Self::Words(_, block) => block,
            Self::Priority(interrupt) => interrupt as usize / 32,
            Self::Config(register) => register as usize / 2,
        }
    }
}

impl Vgic {
    /// Reads a register below 0x1000. `place_of` says where the interrupts of a block are kept that are reached here.
    pub(super) fn read_bank(&self, offset: u64, size: AccessSize, place_of: impl Fn(usize) -> Option<Place>) -> u64 {
        let Some((bank, place)) = Bank::at(offset, size).and_then(|bank| Some((bank, place_of(bank.block())?))) else {
            return 0;
        };
        let existing = self.existing(place);
        if existing == 0 {
            return 0;
        }
        let block = self.block(place);
        let word = match bank {
            Bank::Words(Words::Group, _) => block.group_1 & existing,
            Bank::Words(Words::SetEnable | Words::ClearEnable, _) => block.enabled,
            Bank::Words(Words::SetPending | Words::ClearPending, _) => block.pending(),
            Bank::Words(Words::SetActive | Words::ClearActive, _) => block.active(),
            Bank::Priority(first) => (0..size.bytes() as u32)
                .fold(0, |word, byte| word | u32::from(block.priority(first + byte)) << (8 * byte)),
            Bank::Config(register) => {
                let half = (block.edge & existing) >> (16 * (register % 2));
                bits(half & 0xffff).fold(0, |word, interrupt| word | 0b10 << (2 * interrupt))
            }
        };
        word.into()
    }

    /// Writes such a register.
    pub(super) fn write_bank(
        &mut self,
        offset: u64,
        size: AccessSize,
        value: u64,
        place_of: impl Fn(usize) -> Option<Place>,
    ) -> VcpuSet {
        let Some((bank, place)) = Bank::at(offset, size).and_then(|bank| Some((bank, place_of(bank.block())?))) else {
            return VcpuSet::EMPTY;
        };
        let existing = self.existing(place);
        if existing == 0 {
            return VcpuSet::EMPTY;
        }
        let value = value as u32;
        match bank {
            Bank::Words(words, _) => self.write_words(words, place, value, existing),
            Bank::Priority(first) => self.change(place, |block| {
                let reached = (0..size.bytes() as u32).map(|byte| (first + byte, (value >> (8 * byte)) as u8));
                let mut changed = 0;
                for (interrupt, priority) in reached.filter(|(interrupt, _)| existing & 1 << (interrupt % 32) != 0) {
                    block.set_priority(interrupt, priority);
                    changed |= 1 << (interrupt % 32);
                }
                changed
            }),
            Bank::Config(register) => {
                let shift = 16 * (register % 2);
                let edge = (0..16).fold(0, |edge, interrupt| edge | (value >> (2 * interrupt + 1) & 1) << interrupt);
                let fixed = if matches!(place, Place::Private(_)) { SGIS } else { 0 };
                let writable = 0xffff << shift & existing & !fixed;
                self.change(place, |block| {
                    let before = block.edge;
                    block.edge = before & !writable | edge << shift & writable;
                    before ^ block.edge
                })
            }
        }
    }

    fn write_words(&mut self, words: Words, place: Place, value: u32, existing: u32) -> VcpuSet {
        let value = value & existing;
        let activates = matches!(words, Words::SetActive);
        if let (true, Place::Spis(number)) = (activates, place) {
            self.spis[number].settle(value, self.vcpus.len());
        }
        let told = self.change(place, |block| match words {
            Words::Group => {
                let before = block.group_1;
                block.group_1 = before & !existing | value;
                before ^ block.group_1
            }
            Words::SetEnable => {
                block.enabled |= value;
                value
            }
            Words::ClearEnable => {
                block.enabled &= !value;
                value
            }
            Words::SetPending => block.set_pending(value),
            Words::ClearPending => block.clear_pending(value),
            Words::SetActive => block.set_active(value),
            Words::ClearActive => block.clear_active(value),
        });
        // What is active is in a list register of its vCPU, or the vCPU's CPU counts when it ends.
        if activates { told | self.homes(place, value) } else { told }
    }
}
