//! Calls of what answers PSCI: by HVC or by SMC, with whatever is in X0 to X3.

use core::arch::asm;

/// How the call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Conduit {
    Hvc,
    Smc,
}

/// What the call returns in X0, its lower half with its sign.
pub fn call(conduit: Conduit, [x0, x1, x2, x3]: [u64; 4]) -> i64 {
    let mut result = x0;
    // SAFETY: what the hypervisor does for it concerns this guest, whose memory nobody else relies on.
    unsafe {
        match conduit {
            Conduit::Hvc => asm!("hvc #0", inout("x0") result, inout("x1") x1 => _, inout("x2") x2 => _,
                inout("x3") x3 => _, clobber_abi("C"), options(nostack)),
            Conduit::Smc => asm!("smc #0", inout("x0") result, inout("x1") x1 => _, inout("x2") x2 => _,
                inout("x3") x3 => _, clobber_abi("C"), options(nostack)),
        }
    }
    i64::from(result as u32 as i32)
}

/// The same by HVC.
pub fn hvc(x0: u64, [x1, x2, x3]: [u64; 3]) -> i64 {
    call(Conduit::Hvc, [x0, x1, x2, x3])
}
