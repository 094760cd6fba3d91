//! The way from the reset vector to Rust (`reset.S`), and the place of CPUs that are off.

use core::arch::global_asm;

use crate::cpus::{AFFINITY, BOOT_STACK, BOOT_STACK_SIZE, CPU_COUNT, CPU_IDS};
use crate::memory_map::{LEVEL_1, MAIR, SCTLR, STACK_SIZE, STACKS, TCR};

/// SCR_EL3 while there is no next stage: secure, nothing is routed here, the bits that read as 1.
const SCR_SECURE: u64 = 0x30;

global_asm!(
    include_str!("reset.S"),
    SCR_SECURE = const SCR_SECURE,
    MAIR = const MAIR,
    TCR = const TCR,
    SCTLR = const SCTLR,
    TABLE = sym LEVEL_1,
    AFFINITY = const AFFINITY,
    CPU_IDS = sym CPU_IDS,
    CPU_COUNT = sym CPU_COUNT,
    STACKS = const STACKS.start,
    STACK_SIZE = const STACK_SIZE,
    BOOT_STACK = sym BOOT_STACK,
    BOOT_STACK_SIZE = const BOOT_STACK_SIZE,
);

unsafe extern "C" {
    /// Switches this CPU off: it sleeps until another one sends it the wake-up, and then begins in [`crate::psci`].
    pub safe fn hold() -> !;
}
