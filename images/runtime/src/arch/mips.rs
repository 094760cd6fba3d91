//! 32-bit MIPS, Release 2 and later, in kernel mode and in KSEG0: unmapped and cached, so there are no translation tables.

pub mod cfe_console;
pub mod context;
pub mod count;
mod exceptions;
mod gic;
pub mod head;
pub mod interrupt_controllers;
pub mod interrupts;
pub mod memory_map;
pub mod power;
pub mod processor;
pub mod timer;
