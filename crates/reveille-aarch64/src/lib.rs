//! Wakes arm64 CPUs for the crate [`reveille`]: what they execute first, what they read before their MMU is on, and how
//! firmware is asked to start them.
//!
//! - [`boot_table`]: what a CPU reads while its MMU is off, and the contract of its caches.
//! - `entry`: the entry code itself and `BootTable`, the table it reads.
//! - [`psci`]: the enable method `psci` (Arm DEN0022); `spin_table`: the enable method `spin-table` (booting.rst);
//!   [`parking_protocol`]: the enable method `parking-protocol` (ACPI).
//! - [`pen`]: where CPUs wait that firmware has let go, and `holding_pen`, the one of the image.
//! - `kernel`: all of this at once, for kernels that map their memory to itself.
//! - `handover`: leaving for the next system, and the pen in which other CPUs wait for it.
//! - `cache`: cleaning memory to the point of coherency; `counter`: the clock that all CPUs share.
//!
//! `entry`, `kernel`, `spin_table`, `holding_pen`, `handover`, `cache` and `counter` exist on arm64 only; the rest builds, and is tested, on any host.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod boot_table;
#[cfg(target_arch = "aarch64")]
pub mod cache;
#[cfg(target_arch = "aarch64")]
pub mod counter;
#[cfg(target_arch = "aarch64")]
pub mod entry;
#[cfg(target_arch = "aarch64")]
pub mod handover;
#[cfg(target_arch = "aarch64")]
pub mod holding_pen;
#[cfg(target_arch = "aarch64")]
pub mod kernel;
pub mod parking_protocol;
pub mod pen;
pub mod psci;
#[cfg(target_arch = "aarch64")]
pub mod spin_table;
#[cfg(any(target_arch = "aarch64", test))]
mod table;

/// The affinity fields of MPIDR_EL1: Aff3 in bits 39:32, Aff2, Aff1 and Aff0 in bits 23:0. The bits that a CPU's id may have
/// set.
pub const AFFINITY_MASK: u64 = 0xff_00ff_ffff;
