//! Facts about boards that their devicetrees do not give, as data. Everything else comes from the devicetree.

#![no_std]
#![forbid(unsafe_code)]

/// What must be known of a board before its devicetree is found.
pub struct Board {
    /// For people.
    pub name: &'static str,
    /// The physical addresses at which a devicetree may lie where the entry state gives none, in the order to try: an ELF is
    /// entered without one in x0.
    pub devicetree_addresses: &'static [usize],
}

/// QEMU's `virt`: the devicetree of an ELF lies at the start of RAM.
pub const QEMU_VIRT: Board = Board { name: "qemu-virt", devicetree_addresses: &[0x4000_0000] };

/// Where a GICv3 is, for code that runs before the devicetree is read.
pub struct GicV3 {
    /// The physical address of the distributor.
    pub distributor: usize,
    /// That of the first redistributor.
    pub redistributors: usize,
}

/// That of QEMU's `virt`.
pub const QEMU_VIRT_GIC_V3: GicV3 = GicV3 { distributor: 0x0800_0000, redistributors: 0x080a_0000 };

/// The boards that the arm64 images know.
pub const ARM64: &[Board] = &[QEMU_VIRT];
