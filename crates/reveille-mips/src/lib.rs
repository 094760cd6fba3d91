//! Wakes 32-bit MIPS CPUs (Release 2 and later) for the crate [`reveille`]: what they execute first, and how Broadcom's CFE is asked
//! to start and stop them.
//!
//! - [`boot_record`]: what a CPU starts with; `entry`: the entry code, and the table of these records.
//! - [`cfe`]: calls of CFE; [`method`]: CFE as an enable method.
//! - [`counter`]: the clock that all CPUs share; `cp0`: registers of coprocessor 0; `cache`: what a CPU writes back before it is reset.
//!
//! `entry`, `cache` and `cp0` exist on MIPS only; the rest builds, and is tested, on any host.
//!
//! # Caches
//! CFE hands a CPU over with its caches on and in the coherence domain, in KSEG0. So unlike on arm64 a new CPU may use exclusives
//! (LL and SC) and shared memory from its first instruction, and its boot record needs no cleaning: SYNC orders the record before the
//! call that starts the CPU, and nothing more. STOP is a reset: what the CPU's data cache has not written back is lost, so a CPU that goes
//! down writes it back as the last thing it does.

//!
//! # Toolchain
//! Assembly for MIPS is no part of stable Rust: on MIPS this crate takes a nightly compiler. MIPS is also a tier 3 target, whose `core`
//! is built from source.

#![no_std]
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]

#[cfg(test)]
extern crate std;

pub mod boot_record;
#[cfg(target_arch = "mips")]
pub mod cache;
pub mod cfe;
pub mod counter;
#[cfg(target_arch = "mips")]
pub mod cp0;
#[cfg(target_arch = "mips")]
pub mod entry;
pub mod method;
