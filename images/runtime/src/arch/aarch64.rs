//! arm64, at EL1, or at EL2 with VHE, where the names of EL1's registers mean EL2's (but for TPIDR_EL1, which nothing else uses).

mod bcm2836;
pub mod context;
pub mod cpu_start;
mod exceptions;
mod gic_v2;
pub mod gic_v3;
pub mod head;
pub mod interrupt_controllers;
pub mod interrupts;
pub mod memory_map;
pub mod power;
pub mod processor;
pub mod timer;

/// Reads a system register as a `u64`.
macro_rules! read_register {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading this register has no side effect.
        unsafe {
            core::arch::asm!(
                concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)
            );
        }
        value
    }};
}
pub(crate) use read_register;
