//! Data cache maintenance by virtual address, for memory that CPUs read with their caches off.

use core::arch::asm;
use core::ops::Range;

/// Cleans `bytes` to the point of coherency, so that an observer without caches sees what was written.
///
/// Returns when the cleaning is complete (DSB SY). Affects whole cache lines. Memory needs no particular attributes; for
/// memory that is not cacheable nothing happens.
pub fn clean_to_point_of_coherency<T: ?Sized>(bytes: &T) {
    let start = core::ptr::from_ref(bytes).cast::<u8>().addr();
    let end = start + size_of_val(bytes);
    let mut line = start & !(line_size() - 1);
    while line < end {
        // SAFETY: DC CVAC of an address that the reference shows to be mapped writes back what is in the cache and changes
        // nothing that a program can see.
        unsafe { asm!("dc cvac, {}", in(reg) line, options(nostack, preserves_flags)) };
        line += line_size();
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// The same for what lies at these addresses; the caches hold nothing of it afterwards, so that what others write there with their caches
/// off is seen.
///
/// # Safety
/// The addresses are mapped, as memory.
pub unsafe fn clean_and_invalidate(addresses: Range<usize>) {
    let line_size = line_size();
    for line in (addresses.start & !(line_size - 1)..addresses.end).step_by(line_size) {
        // SAFETY: mapped, says the caller. DC CIVAC changes nothing that a program can see.
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// The smallest line of any data cache, in bytes (CTR_EL0.DminLine).
fn line_size() -> usize {
    let ctr: usize;
    // SAFETY: reading CTR_EL0 has no effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    4 << ((ctr >> 16) & 0xf)
}
