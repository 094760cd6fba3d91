//! The arm64 Image (Linux, `Documentation/arch/arm64/booting.rst`).

/// What the base of an Image is a multiple of, in bytes; and what a devicetree may take at most.
pub const UNIT: usize = 2 << 20;

/// The header of an Image, as far as a boot loader goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How far behind its base the Image lies, in bytes.
    pub text_offset: usize,
    /// The memory that it takes from there on, in bytes.
    pub image_size: usize,
}

impl Header {
    /// How many bytes it has.
    pub const SIZE: usize = 64;
    const MAGIC: &[u8] = b"ARM\x64";

    /// The header at the beginning of `bytes`, if they are an Image.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |offset: usize| bytes.get(offset..)?.first_chunk().map(|&field| u64::from_le_bytes(field) as usize);
        let header = Self { text_offset: field(8)?, image_size: field(16)? };
        (bytes.get(56..60)? == Self::MAGIC && header.image_size != 0).then_some(header)
    }
}
