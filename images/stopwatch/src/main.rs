//! Measures a boot of Linux by the generic counter as Linux sees it, on whatever Linux runs: `before_linux.S` notes the counter in the
//! command line before Linux's first instruction, and this, as Linux's init, says how it stood at its own.
//!
//! Linux prints its command line, and this prints the rest: `bench --hypervisor` reads both off the console.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

global_asm!(include_str!("before_linux.S"));

/// Where Linux opens its log for writing: the lines stay whole, and are on the console when the call returns.
const LOG: &[u8] = b"/dev/kmsg\0";
/// What is said, with as many digits.
const LINE: [u8; 32] = *b"stopwatch: init 0000000000000000";

/// Linux's numbers of calls, and what they are called with.
mod call {
    pub const OPENAT: u64 = 56;
    pub const WRITE: u64 = 64;
    pub const REBOOT: u64 = 142;
    pub const AT_FDCWD: u64 = -100i64 as u64;
    pub const WRITE_ONLY: u64 = 1;
    pub const REBOOT_MAGIC: [u64; 2] = [0xfee1_dead, 672_274_793];
    pub const POWER_OFF: u64 = 0x4321_fedc;
}

/// The first instruction of user space.
#[unsafe(no_mangle)]
extern "C" fn init() -> ! {
    let counter: u64;
    // SAFETY: reads a register that Linux lets programs read.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) counter, options(nomem, nostack, preserves_flags)) };
    let mut line = LINE;
    for (place, digit) in line.iter_mut().rev().take(16).enumerate() {
        let value = (counter >> (4 * place) & 0xf) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    let log = system_call(call::OPENAT, [call::AT_FDCWD, LOG.as_ptr().addr() as u64, call::WRITE_ONLY, 0]);
    system_call(call::WRITE, [log, line.as_ptr().addr() as u64, line.len() as u64, 0]);
    let [first, second] = call::REBOOT_MAGIC;
    loop {
        system_call(call::REBOOT, [first, second, call::POWER_OFF, 0]);
    }
}

/// Calls Linux.
fn system_call(number: u64, arguments: [u64; 4]) -> u64 {
    let [mut result, second, third, fourth] = arguments;
    // SAFETY: what is passed is a number, or the address of something that Linux reads only.
    unsafe {
        asm!("svc #0", in("x8") number, inout("x0") result, in("x1") second, in("x2") third, in("x3") fourth, options(nostack));
    }
    result
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
