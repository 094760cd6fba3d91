//! Exceptions: interrupts are handled, everything else is a report that ends the run.

use core::arch::global_asm;
use core::fmt;

use super::memory_map::GUARD_BITS;
use super::read_register;
use crate::interrupt_controller;
use crate::overflow_stack::{self, OVERFLOW_STACK};
use crate::thread;

global_asm!(
    include_str!("vectors.S"),
    FRAME_SIZE = const size_of::<Frame>(),
    GUARD_BITS = const GUARD_BITS,
    overflow_stack = sym OVERFLOW_STACK,
    OVERFLOW_STACK_SIZE = const overflow_stack::SIZE,
);

/// The registers of what was interrupted, as the vectors save them.
#[repr(C, align(16))]
struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
}

#[unsafe(no_mangle)]
extern "C" fn handle_interrupt(_frame: &mut Frame) {
    interrupt_controller::handle();
    thread::preempt();
}

#[unsafe(no_mangle)]
extern "C" fn handle_exception(frame: &Frame, vector: u64) -> ! {
    let esr = read_register!("esr_el1");
    panic!(
        "{} at {:#x} (image + {:#x}), ESR {esr:#x}, FAR {:#x}\n{frame}",
        Cause { vector, esr },
        frame.elr,
        super::memory_map::image_offset(frame.elr as usize),
        read_register!("far_el1"),
    );
}

#[unsafe(no_mangle)]
extern "C" fn handle_stack_overflow(_vector: u64, stack_pointer: u64, elr: u64) -> ! {
    panic!(
        "stack overflow at {elr:#x} (image + {:#x}), SP {stack_pointer:#x}, FAR {:#x}",
        super::memory_map::image_offset(elr as usize),
        read_register!("far_el1"),
    );
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, value) in self.x.iter().enumerate() {
            write!(f, "  x{number:<2} {value:016x}{}", if number % 4 == 3 { "\n" } else { "" })?;
        }
        write!(f, "  spsr {:x}", self.spsr)
    }
}

/// What an exception was, in words.
struct Cause {
    vector: u64,
    esr: u64,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source =
            ["with SP_EL0", "of the image itself", "of a lower level", "of AArch32"][self.vector as usize / 4 % 4];
        let what = match self.vector % 4 {
            1 => "unexpected IRQ",
            2 => "unexpected FIQ",
            3 => "SError",
            _ => match self.esr >> 26 {
                0x00 => "undefined instruction",
                0x07 => "floating point or SIMD instruction",
                0x20 | 0x21 => "instruction abort",
                0x22 => "misaligned PC",
                0x24 | 0x25 if self.esr & 1 << 6 != 0 => "data abort (write)",
                0x24 | 0x25 => "data abort (read)",
                0x26 => "misaligned SP",
                0x3c => "BRK instruction",
                _ => "synchronous exception",
            },
        };
        write!(f, "{what} {source}")
    }
}
