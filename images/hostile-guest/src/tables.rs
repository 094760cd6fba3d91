//! Translation tables that map every address of 39 bits to itself: the gigabyte of the guest's memory as memory, everything else as
//! devices, and all of it to be read, written and executed. What is not the guest's is then refused by stage 2 alone.

use core::arch::asm;
use core::cell::UnsafeCell;

/// Where the hypervisor puts the memory of every guest.
pub const RAM: u64 = 0x4000_0000;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: written once, by the first vCPU, before the others are there.
unsafe impl Sync for Table {}

static LEVEL_0: Table = Table(UnsafeCell::new([0; 512]));
static LEVEL_1: Table = Table(UnsafeCell::new([0; 512]));

/// Goes over to them.
pub fn load() {
    /// A valid block that was accessed, inner shareable, and the index of device memory.
    const BLOCK: u64 = 1 | 1 << 10 | 3 << 8;
    const DEVICE: u64 = 1 << 2;
    const TABLE: u64 = 0b11;
    // SAFETY: nobody else has them yet.
    let (level_0, level_1) = unsafe { (&mut *LEVEL_0.0.get(), &mut *LEVEL_1.0.get()) };
    for (number, entry) in level_1.iter_mut().enumerate() {
        let address = (number as u64) << 30;
        *entry = address | BLOCK | if address == RAM { 0 } else { DEVICE };
    }
    level_0[0] = level_1.as_ptr() as u64 | TABLE;
    // SAFETY: what is in use is mapped as before, to itself.
    unsafe {
        asm!(
            "dsb ishst", "msr ttbr0_el1, {}", "isb", "tlbi vmalle1", "dsb nsh", "isb",
            in(reg) level_0.as_ptr(), options(nostack, preserves_flags)
        );
    }
}
