//! Exceptions while BEV is 1: in the ROM, or in a program that has no vectors of its own yet. They are reported, and end the run.

use crate::console::println;
use crate::cp0;
use crate::exit;

/// What `exception` (`head.S`) keeps of the moment.
#[repr(C)]
pub struct ExceptionFrame {
    pub sp: u32,
    pub ra: u32,
    pub status: u32,
    pub cause: u32,
    pub epc: u32,
    pub error_epc: u32,
    pub bad_vaddr: u32,
    /// Stacks are aligned to eight bytes.
    padding: u32,
}

/// Status.ERL: the exception is a cache error, and ErrorEPC says where.
const STATUS_ERROR_LEVEL: u32 = 1 << 2;

/// Says what happened and ends the run.
#[unsafe(no_mangle)]
extern "C" fn report_exception(frame: &ExceptionFrame) -> ! {
    let (name, place) = if frame.status & STATUS_ERROR_LEVEL != 0 {
        ("cache error", frame.error_epc)
    } else {
        (name(frame.cause >> 2 & 0x1f), frame.epc)
    };
    println!();
    println!("CFE: exception on CPU {}: {name} at {place:#010x}", cp0::cpu_number());
    println!("     cause {:#010x}, status {:#010x}, bad address {:#010x}", frame.cause, frame.status, frame.bad_vaddr);
    println!("     sp {:#010x}, ra {:#010x}", frame.sp, frame.ra);
    exit::end_run(exit::STATUS_EXCEPTION)
}

/// The architecture's names for Cause.ExcCode.
fn name(code: u32) -> &'static str {
    match code {
        0 => "interrupt",
        1 => "TLB modified",
        2 => "TLB load or fetch",
        3 => "TLB store",
        4 => "address error, load or fetch",
        5 => "address error, store",
        6 => "bus error, fetch",
        7 => "bus error, load or store",
        8 => "system call",
        9 => "breakpoint",
        10 => "reserved instruction",
        11 => "coprocessor unusable",
        12 => "overflow",
        13 => "trap",
        23 => "watch",
        24 => "machine check",
        _ => "another",
    }
}
