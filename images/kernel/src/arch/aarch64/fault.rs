//! Firmware that misbehaves ([`firmware`]), and what CPUs execute for that instead of the entry code ([`stubs`]).

mod firmware;
mod stubs;

pub use firmware::{FaultyFirmware, arrive_again};
use reveille_aarch64::boot_table::EntryTimes;

/// What the entry code leaves at the top of a CPU's stack before it calls Rust, in bytes: a multiple of 16.
pub const LEFT_BY_ENTRY_CODE: usize = size_of::<EntryTimes>().next_multiple_of(16);
