//! Exceptions: interrupts are handled, everything else is a report that ends the run.

use core::arch::global_asm;
use core::fmt;
use core::mem::offset_of;

use reveille_mips::cp0::{STATUS_IE, read_c0};

use super::memory_map::{GUARD_BITS, image_offset};
use crate::interrupt_controller;
use crate::overflow_stack::{self, OVERFLOW_STACK};
use crate::thread;

/// What the O32 convention has a caller leave for the registers of its callee.
const ARGUMENT_AREA: usize = 16;
/// Status: what an exception must not leave set while its handler runs: EXL, ERL, the mode, IE.
const STATUS_LEVELS: u32 = 0x1e | STATUS_IE;

global_asm!(
    include_str!("vectors.S"),
    FRAME_SIZE = const size_of::<Frame>() + ARGUMENT_AREA,
    FRAME_REGISTERS = const ARGUMENT_AREA + offset_of!(Frame, registers),
    FRAME_HI = const ARGUMENT_AREA + offset_of!(Frame, hi),
    FRAME_LO = const ARGUMENT_AREA + offset_of!(Frame, lo),
    FRAME_EPC = const ARGUMENT_AREA + offset_of!(Frame, epc),
    FRAME_STATUS = const ARGUMENT_AREA + offset_of!(Frame, status),
    ARGUMENT_AREA = const ARGUMENT_AREA,
    GUARD_BITS = const GUARD_BITS,
    STATUS_LEVELS = const STATUS_LEVELS,
    overflow_stack = sym OVERFLOW_STACK,
    OVERFLOW_STACK_TOP = const overflow_stack::SIZE - ARGUMENT_AREA,
);

/// The registers of what was interrupted, as the vectors save them.
#[repr(C, align(8))]
struct Frame {
    /// By their numbers; that of k0 and k1 are what the vectors left there.
    registers: [u32; 32],
    hi: u32,
    lo: u32,
    epc: u32,
    status: u32,
}

const _: () = assert!(size_of::<Frame>().is_multiple_of(8));

#[unsafe(no_mangle)]
extern "C" fn handle_interrupt(_frame: &mut Frame) {
    interrupt_controller::handle();
    thread::preempt();
}

#[unsafe(no_mangle)]
extern "C" fn handle_exception(frame: &Frame) -> ! {
    let cause = read_c0!("13", "0");
    panic!(
        "{} at {:#x} (image + {:#x}), Cause {cause:#x}, BadVAddr {:#x}\n{frame}",
        cause_name(cause),
        frame.epc,
        image_offset(frame.epc as usize),
        read_c0!("8", "0"),
    );
}

#[unsafe(no_mangle)]
extern "C" fn handle_cache_error() -> ! {
    panic!("cache error at {:#x}, CacheErr {:#x}", read_c0!("30", "0"), read_c0!("27", "0"));
}

#[unsafe(no_mangle)]
extern "C" fn handle_stack_overflow(stack_pointer: u32, epc: u32) -> ! {
    panic!("stack overflow at {epc:#x} (image + {:#x}), SP {stack_pointer:#x}", image_offset(epc as usize));
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, value) in self.registers.iter().enumerate() {
            write!(f, "  ${number:<2} {value:08x}{}", if number % 4 == 3 { "\n" } else { "" })?;
        }
        write!(f, "  hi {:x}  lo {:x}  status {:x}", self.hi, self.lo, self.status)
    }
}

/// What the exception code of Cause means (MIPS32 Privileged Resource Architecture, table 9.55).
const fn cause_name(cause: u32) -> &'static str {
    match cause >> 2 & 0x1f {
        0 => "interrupt",
        1 => "TLB modification",
        2 => "TLB miss (load or fetch)",
        3 => "TLB miss (store)",
        4 => "address error (load or fetch)",
        5 => "address error (store)",
        6 => "bus error (fetch)",
        7 => "bus error (load or store)",
        8 => "system call",
        9 => "breakpoint",
        10 => "reserved instruction",
        11 => "coprocessor unusable",
        12 => "integer overflow",
        13 => "trap",
        15 => "floating point exception",
        23 => "watch",
        24 => "machine check",
        _ => "exception",
    }
}
