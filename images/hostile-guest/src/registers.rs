//! System registers by name.

/// Reads a system register of EL1.
macro_rules! read_register {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading this register does nothing that this image relies on.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack, preserves_flags)) };
        value
    }};
}
pub(crate) use read_register;

/// Writes a system register of EL1.
macro_rules! write_register {
    ($register:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: what this image does with this register it can live with.
        unsafe { core::arch::asm!(concat!("msr ", $register, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags)) };
    }};
}
pub(crate) use write_register;
