//! The one place where the instruction set is chosen. Each architecture has the same modules:
//!
//! - `interrupts`: masking on this CPU, waiting for one;
//! - `context`: what a thread switch saves;
//! - `timer`: the counter that all CPUs share and this CPU's one-shot timer;
//! - `interrupt_controllers`: the drivers, and which of them the machine has;
//! - `memory_map`: where the image lies, and the translation tables;
//! - `processor`: per-CPU base register, features;
//! - `power`: the end of a run.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "mips")]
mod mips;
#[cfg(target_arch = "mips")]
pub use mips::*;
