//! Whether a CPU that arrives when nobody waits for it writes to what was prepared for it: to its stack, which is the first thing
//! that the entry code writes to.

use reveille::CpuIndex;
use reveille_runtime::thread;

use crate::arch::fault::LEFT_BY_ENTRY_CODE;

/// In place of what the entry code leaves at the top of a stack.
type Mark = [u64; LEFT_BY_ENTRY_CODE / size_of::<u64>()];
const MARK: Mark = [0x6d61_726b_6564_2121; _];

fn place(cpu: CpuIndex) -> Option<*mut Mark> {
    let top = thread::fork_idle(cpu).ok().filter(|&top| top != 0)?;
    Some((top - size_of_val(&MARK)) as *mut Mark)
}

/// Writes the mark where the entry code would write.
pub fn mark(cpu: CpuIndex) {
    if let Some(place) = place(cpu) {
        // SAFETY: the top of a stack of the CPU's own, which lives for ever. What lies there was read when the CPU last came up,
        // and nothing else is put there.
        unsafe { place.write_volatile(MARK) };
    }
}

/// Whether the mark is still there.
pub fn is_intact(cpu: CpuIndex) -> bool {
    // SAFETY: as above; any bytes are numbers.
    place(cpu).is_some_and(|place| unsafe { place.read_volatile() } == MARK)
}
