//! The image's entry, before and just after it becomes Rust.

use core::arch::global_asm;

use super::memory_map::STACK_SLOT;

/// MAIR_EL1: attribute 0 is normal write-back memory, attribute 1 is Device-nGnRE.
pub(super) const MAIR: u64 = 0x04ff;
/// TCR_EL1 but for the physical address size: 48-bit addresses in TTBR0 with 4 KiB pages, walks cacheable and inner shareable;
/// nothing in TTBR1.
const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 23 | 2 << 30;
/// SCTLR_EL1: what reads as 1 in ARMv8.0, MMU, caches, stack alignment.
const SCTLR: u64 = 0x30d0_0800 | 1 | 1 << 2 | 1 << 3 | 1 << 12;

global_asm!(
    include_str!("head.S"),
    MAIR = const MAIR,
    TCR_LOW = const TCR & 0xffff,
    TCR_MIDDLE = const TCR >> 16,
    SCTLR_LOW = const SCTLR & 0xffff,
    SCTLR_HIGH = const SCTLR >> 16,
    STACK_SLOT = const STACK_SLOT,
);

/// What the boot CPU is given.
#[derive(Clone, Copy, Debug)]
pub struct BootArguments {
    /// The physical address of the devicetree, or 0.
    pub devicetree: usize,
    /// The exception level at entry.
    pub entry_level: u8,
    /// The counter at entry.
    pub entry_ticks: u64,
}

unsafe extern "Rust" {
    /// The image's own entry, which the image defines with `#[unsafe(no_mangle)]`.
    safe fn image_main(arguments: BootArguments) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn boot_cpu_main(devicetree: usize, entry_level: u64, entry_ticks: u64) -> ! {
    image_main(BootArguments { devicetree, entry_level: entry_level as u8, entry_ticks })
}
