//! Start records: where each CPU that is not the first finds what it is to do, whenever it comes out of reset.
//!
//! ```text
//!  0 ┌───────┐
//!    │ pc    │ 0: park. Written last; everything else holds once it is not 0.
//!  4 │ sp    │
//!  8 │ gp    │
//! 12 │ a1    │
//! 16 │ state │ written by the CPU: parked or started; 0 before a reset that CPU 0 has asked for
//! 32 └───────┘ one cache line
//! ```
//!
//! Both sides go through KSEG1, since a CPU is in no coherence domain when it comes out of reset. The CPU's side is
//! `secondary_cpu` (`cpus.S`).

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use crate::cp0;
use crate::memory::KSEG1;

/// CPUs that there are records for: as many as malta can have.
pub const MAX_CPUS: usize = 16;

/// A record's size is two to the power of this.
pub const RECORD_SHIFT: usize = 5;

/// What a CPU notes in its record when it parks.
pub const STATE_PARKED: u32 = 1;

/// What a CPU notes in its record when it goes where the record sends it.
pub const STATE_STARTED: u32 = 2;

/// One CPU's record.
#[repr(C, align(32))]
pub struct StartRecord {
    pub pc: u32,
    pub sp: u32,
    pub gp: u32,
    pub a1: u32,
    pub state: u32,
}

const _: () = assert!(size_of::<StartRecord>() == 1 << RECORD_SHIFT);

unsafe extern "C" {
    #[link_name = "start_records"]
    static mut RECORDS: [StartRecord; MAX_CPUS];
}

/// Whether the CPU has parked since [`expect_parked`].
pub fn is_parked(cpu: usize) -> bool {
    // SAFETY: the record exists, and is read as volatile: its CPU may be writing it.
    unsafe { read_volatile(&raw const (*record(cpu)).state) == STATE_PARKED }
}

/// Has the CPU park at its next reset, and forgets that it has parked before.
pub fn order_park(cpu: usize) {
    // SAFETY: the record exists, and only CPU 0 writes these fields.
    unsafe {
        write_volatile(&raw mut (*record(cpu)).pc, 0);
        write_volatile(&raw mut (*record(cpu)).state, 0);
    }
    cp0::sync();
}

/// Has the CPU go where `order` says at its next reset.
pub fn order_start(cpu: usize, order: cfe_server::StartRecord) {
    let record = record(cpu);
    // SAFETY: the record exists, and only CPU 0 writes these fields; the CPU is parked, and reads them after a reset only.
    unsafe {
        write_volatile(&raw mut (*record).sp, order.sp);
        write_volatile(&raw mut (*record).gp, order.gp);
        write_volatile(&raw mut (*record).a1, order.a1);
        cp0::sync();
        write_volatile(&raw mut (*record).pc, order.pc);
    }
    cp0::sync();
}

/// The CPU's record, uncached.
fn record(cpu: usize) -> *mut StartRecord {
    assert!(cpu < MAX_CPUS);
    addr_of_mut!(RECORDS).cast::<StartRecord>().wrapping_add(cpu).map_addr(|address| address | KSEG1)
}
