//! Where memory is: the segments that CPUs see it through, and how much there is.
//!
//! ```text
//! physical     0x00000000 exception vectors' default place: left alone
//!              0x00001000 the ROM's data, start records, stacks        MEMENUM: reserved
//!              0x00100000 the program and what it likes                 MEMENUM: available
//!              0x07fff000   the environment that was put there, read before the program is loaded
//!              0x08000000   the program's ELF file, read when it is loaded
//!              0x10000000 PCI's, whatever memory there is beside what is seen here
//!              0x1fc00000 the ROM
//! ```

use core::ptr::{read_volatile, write_volatile};

/// The segment that is cached: physical addresses below 512 MiB from here.
pub const KSEG0: usize = 0x8000_0000;

/// The segment that is not cached: the same from here.
pub const KSEG1: usize = 0xa000_0000;

/// The end of what the ROM keeps to itself.
pub const RESERVED_END: usize = 0x0010_0000;

/// Physical address of the environment.
pub const ENVIRONMENT: usize = 0x07ff_f000;

/// The environment's size.
pub const ENVIRONMENT_SIZE: usize = 0x1000;

/// Physical address of the program's ELF file.
pub const PROGRAM: usize = 0x0800_0000;

/// The end of the memory that malta shows below its PCI windows.
const LIMIT: usize = 0x1000_0000;

/// How finely memory is sized.
const STEP: usize = 0x0010_0000;

unsafe extern "C" {
    /// Reads the word at `address` (in KSEG1): bits 31:0 of what is returned, if bit 32 is set. `head.S` has it.
    safe fn probe_word(address: usize) -> u64;
}

/// Whether there is anything at a word of KSEG1.
fn exists(address: usize) -> bool {
    probe_word(address) >> 32 != 0
}

/// The size of memory that starts at 0 and has no holes, found by writing to it where nothing is yet: what is there is put back.
///
/// It halves what is left to be found out, since every page that is written to costs an emulator's host a page.
pub fn size() -> usize {
    let (mut memory, mut limit) = (RESERVED_END, LIMIT);
    while memory < limit {
        let middle = memory + (limit - memory) / 2 / STEP * STEP;
        if holds_data(middle) {
            memory = middle + STEP;
        } else {
            limit = middle;
        }
    }
    memory
}

/// Whether the last word of the MiB at a physical address keeps what is written to it.
fn holds_data(address: usize) -> bool {
    let address = KSEG1 + address + STEP - size_of::<u32>();
    if !exists(address) {
        return false;
    }
    let word = address as *mut u32;
    // SAFETY: reading has been tried. If it is memory, it is nobody's yet but for the environment and the program, and
    // has its content back before anyone else looks. If it is not, what malta has below its PCI windows bears being written.
    unsafe {
        let content = read_volatile(word);
        write_volatile(word, !content);
        let kept = read_volatile(word) == !content;
        write_volatile(word, content);
        kept
    }
}
