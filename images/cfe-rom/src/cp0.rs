//! Coprocessor 0 as the ROM needs it once it runs Rust: counting, the CPU's number and the caches.

use core::arch::asm;

/// Count's rate on QEMU's malta. Half of the CPU's clock of 320 MHz would be a step in 6.25 ns, of which QEMU keeps the whole
/// nanoseconds (measured against the counter of the interrupt controller).
pub const COUNT_FREQUENCY: u32 = 1_000_000_000 / 6;

/// Makes everything that was accessed before complete before what is accessed after.
pub fn sync() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("sync", options(nostack, preserves_flags)) }
}

/// Reads a register of coprocessor 0. The compiler may choose $at for its value, which the assembler must be told to bear.
macro_rules! read {
    ($register:literal) => {{
        let value: u32;
        // SAFETY: reads a register.
        unsafe {
            asm!(
                ".set push",
                ".set noat",
                concat!("mfc0 {}, ", $register),
                ".set pop",
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            );
        }
        value
    }};
}

/// Count: ticks at [`COUNT_FREQUENCY`], from any start.
pub fn count() -> u32 {
    read!("$9")
}

/// The number of the CPU that runs this: EBase's CPUNum.
pub fn cpu_number() -> u32 {
    read!("$15, 1") & 0x3ff
}

/// Config1: among others, the sizes of the first level's caches.
pub fn config1() -> u32 {
    read!("$16, 1")
}

/// The processor's name, by PRId's company and processor.
pub fn processor_name() -> &'static str {
    match read!("$15") >> 8 {
        0x1a8 => "P5600",
        _ => "MIPS32",
    }
}

/// Waits until `condition` holds, for at most `milliseconds` (20 seconds at most, as Count wraps). Returns whether it holds.
pub fn wait_until(milliseconds: u32, mut condition: impl FnMut() -> bool) -> bool {
    let start = count();
    let ticks = milliseconds * (COUNT_FREQUENCY / 1000);
    loop {
        if condition() {
            return true;
        }
        if count().wrapping_sub(start) > ticks {
            return condition();
        }
    }
}

/// Sleeps, for ever: interrupts are off.
pub fn sleep() -> ! {
    loop {
        // SAFETY: waits, and changes nothing.
        unsafe { asm!("wait", options(nomem, nostack, preserves_flags)) }
    }
}
