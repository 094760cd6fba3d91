//! The image's entry, before and just after it becomes Rust.

use core::arch::global_asm;

use reveille_mips::counter;
use reveille_mips::cp0::STATUS_BEV;

use super::memory_map::STACK_SLOT;

global_asm!(
    include_str!("head.S"),
    STACK_SLOT = const STACK_SLOT,
    STATUS_BEV = const STATUS_BEV,
);

/// What the boot CPU is given: CFE's entry state (Linux's `prom_init`).
#[derive(Clone, Copy, Debug)]
pub struct BootArguments {
    /// The handle that every call of CFE is given.
    pub handle: u32,
    /// The address of CFE's entry.
    pub entry: u32,
    /// What tells that it is CFE.
    pub seal: u32,
    /// The counter at entry.
    pub entry_ticks: u64,
}

unsafe extern "Rust" {
    /// The image's own entry, which the image defines with `#[unsafe(no_mangle)]`.
    safe fn image_main(arguments: BootArguments) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn boot_cpu_main(handle: u32, entry: u32, seal: u32, count: u32) -> ! {
    counter::start(count);
    image_main(BootArguments { handle, entry, seal, entry_ticks: counter::ticks_at(count) })
}
