//! How wide a guest's access to a register is, and what of a register it reaches.

/// The size of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessSize {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Halfword,
    /// 32 bits.
    Word,
    /// 64 bits.
    Doubleword,
}

impl AccessSize {
    /// From the field SAS of a data abort's syndrome (ESR_EL2), of which the lowest two bits are looked at.
    #[must_use]
    pub const fn from_sas(sas: u64) -> Self {
        match sas & 0b11 {
            0 => Self::Byte,
            1 => Self::Halfword,
            2 => Self::Word,
            _ => Self::Doubleword,
        }
    }

    /// How many bytes it is.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::Halfword => 2,
            Self::Word => 4,
            Self::Doubleword => 8,
        }
    }

    pub(crate) const fn is_aligned(self, offset: u64) -> bool {
        offset.is_multiple_of(self.bytes())
    }

    /// What an access reads that reaches a 64-bit register, whole or one half; 0 for smaller ones.
    pub(crate) const fn read_from_wide(self, offset: u64, register: u64) -> u64 {
        match self {
            Self::Doubleword => register,
            Self::Word if offset & 4 == 0 => register & 0xffff_ffff,
            Self::Word => register >> 32,
            Self::Byte | Self::Halfword => 0,
        }
    }

    /// What a 64-bit register is after a write to it or to one half; as it was, for smaller ones.
    pub(crate) const fn write_to_wide(self, offset: u64, register: u64, value: u64) -> u64 {
        match self {
            Self::Doubleword => value,
            Self::Word if offset & 4 == 0 => register & !0xffff_ffff | value & 0xffff_ffff,
            Self::Word => register & 0xffff_ffff | value << 32,
            Self::Byte | Self::Halfword => register,
        }
    }
}
