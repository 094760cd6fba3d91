//! What differs between architectures in the way of a boot (Linux's `arch/`): who describes the machine, how CPUs are started, and
//! where they enter. Each architecture has the same items:
//!
//! - `setup_arch`: memory, the console, which CPUs there are; what it has found is a `Machine`, with the parts of the boot that need
//!   the machine's description;
//! - `write_boot_record`: what a CPU boots from, and the way from its entry code to [`crate::secondary`];
//! - `spans`: the names under which the followed system knows what every architecture does;
//! - `fault`, in test images: firmware that misbehaves.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "mips")]
mod mips;
#[cfg(target_arch = "mips")]
pub use mips::*;
