//! The environment that programs find: what was put into memory before the machine started, and what the ROM knows itself.

use core::fmt::{self, Write};
use core::slice;

use cfe_server::{Access, Environment};

use crate::console::println;
use crate::cp0::COUNT_FREQUENCY;
use crate::memory::{ENVIRONMENT, ENVIRONMENT_SIZE, KSEG0};

/// The variable that says how the ROM ends a run, and the one value that it knows.
pub const EXIT: &[u8] = b"EXIT";
pub const EXIT_SEMIHOSTING: &[u8] = b"semihosting";

/// Takes the variables that were put into memory: lines of NAME=value, up to the first zero. `memory` is the size of memory.
pub fn read_given(environment: &mut Environment, memory: usize) {
    if memory < ENVIRONMENT + ENVIRONMENT_SIZE {
        return;
    }
    // SAFETY: this is memory, and nobody's but the ROM's before a program is loaded.
    let block = unsafe { slice::from_raw_parts((KSEG0 + ENVIRONMENT) as *const u8, ENVIRONMENT_SIZE) };
    environment.define_lines(block, &mut |line, error| match error {
        Some(error) => println!("CFE: left out {}: {error}", line.escape_ascii()),
        None => println!("CFE: no variable: {}", line.escape_ascii()),
    });
}

/// Adds what CFE says of the machine, where that was not given. `cpus` are all there are, `memory` is its size.
pub fn add_known(environment: &mut Environment, processor: &str, cpus: usize, memory: usize) {
    let known: [(&str, fmt::Arguments); 7] = [
        ("CFE_VERSION", format_args!(env!("CARGO_PKG_VERSION"))),
        ("CFE_BOARDNAME", format_args!("MALTA")),
        ("CFE_MEMORYSIZE", format_args!("{}", memory >> 20)),
        ("BOOT_CONSOLE", format_args!("uart0")),
        ("CPU_TYPE", format_args!("{processor}")),
        ("CPU_NUM_CORES", format_args!("{cpus}")),
        // Count goes at half the CPU's clock, and programs take its rate from here.
        ("CPU_SPEED", format_args!("{}", COUNT_FREQUENCY * 2 / 1_000_000)),
    ];
    for (name, value) in known {
        if environment.get(name.as_bytes()).is_none() {
            let mut text = Text::default();
            let written = text.write_fmt(value);
            assert!(written.is_ok() && environment.define(name.as_bytes(), text.bytes(), Access::ReadOnly).is_ok());
        }
    }
}

/// A short text.
#[derive(Default)]
struct Text {
    bytes: [u8; 16],
    used: usize,
}

impl Text {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.get_mut(self.used..self.used + text.len()).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}
