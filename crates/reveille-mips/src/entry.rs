//! The entry code (Linux's `smp_bootstrap`), and the image's one table of boot records, [`RECORDS`].

use core::arch::global_asm;
use core::mem::offset_of;

use reveille::ClaimWord;

use crate::boot_record::{BootRecords, Record};
use crate::cp0::STATUS_BEV;

/// The boot records of the image's CPUs.
pub static RECORDS: BootRecords = BootRecords::new();

global_asm!(
    include_str!("smp_bootstrap.S"),
    RECORD_HW_ID = const offset_of!(Record, hw_id),
    RECORD_INDEX = const offset_of!(Record, index),
    RECORD_CLAIM = const offset_of!(Record, claim),
    RECORD_ENTRY = const offset_of!(Record, entry),
    RECORD_THREAD_POINTER = const offset_of!(Record, thread_pointer),
    RECORD_ARGUMENT = const offset_of!(Record, argument),
    RECORD_VECTORS = const offset_of!(Record, vectors),
    KICKED = const ClaimWord::KICKED,
    CLAIMED = const ClaimWord::CLAIMED,
    STATUS_BEV = const STATUS_BEV,
);

unsafe extern "C" {
    safe fn reveille_smp_bootstrap();
}

/// The address at which every CPU enters, for the enable method.
#[must_use]
pub fn entry_point() -> usize {
    reveille_smp_bootstrap as *const () as usize
}
