//! Which vCPUs have to look at their interrupts anew.

use core::ops::{BitOr, BitOrAssign};

use crate::vgic::MAX_VCPUS;

const WORDS: usize = MAX_VCPUS / 64;

/// A set of vCPUs, by index: to be woken if they sleep, to be made to leave the guest if they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "these vCPUs have interrupts to take, or to give back"]
pub struct VcpuSet([u64; WORDS]);

impl VcpuSet {
    /// No vCPU.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// One vCPU; none if there can be no such vCPU.
    pub const fn one(vcpu: usize) -> Self {
        let mut set = Self::EMPTY;
        if vcpu < MAX_VCPUS {
            set.0[vcpu / 64] |= 1 << (vcpu % 64);
        }
        set
    }

    /// The first so many vCPUs.
    pub(crate) fn first(vcpus: usize) -> Self {
        (0..vcpus).fold(Self::EMPTY, |set, vcpu| set | Self::one(vcpu))
    }

    /// The same without one of them.
    pub const fn without(mut self, vcpu: usize) -> Self {
        if vcpu < MAX_VCPUS {
            self.0[vcpu / 64] &= !(1 << (vcpu % 64));
        }
        self
    }

    /// Whether a vCPU is in it.
    #[must_use]
    pub const fn contains(&self, vcpu: usize) -> bool {
        vcpu < MAX_VCPUS && self.0[vcpu / 64] & 1 << (vcpu % 64) != 0
    }

    /// Whether no vCPU is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The vCPUs in it, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.0;
        (0..WORDS).flat_map(move |word| bits64(words[word]).map(move |bit| 64 * word + bit))
    }
}

impl BitOr for VcpuSet {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self |= other;
        self
    }
}

impl BitOrAssign for VcpuSet {
    fn bitor_assign(&mut self, other: Self) {
        for (word, others) in self.0.iter_mut().zip(other.0) {
            *word |= others;
        }
    }
}

/// The positions of the bits that are set.
fn bits64(mut word: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

/// The positions of the bits that are set.
pub(crate) fn bits(word: u32) -> impl Iterator<Item = u32> {
    bits64(word.into()).map(|bit| bit as u32)
}
