//! Where the parts of the image lie, as the linker scripts say.

use core::ops::Range;

use crate::arch::memory_map::STACK_SLOT;

/// The address of a symbol of the linker script or of assembly.
macro_rules! address_of {
    ($symbol:ident) => {{
        unsafe extern "C" {
            static $symbol: u8;
        }
        (&raw const $symbol).addr()
    }};
}
pub(crate) use address_of;

/// The memory that the image takes, its zeroed data included.
#[must_use]
pub fn image() -> Range<usize> {
    address_of!(_head)..address_of!(_end)
}

/// How far `address` lies from the image's start.
#[must_use]
pub fn image_offset(address: usize) -> usize {
    address.wrapping_sub(address_of!(_head))
}

/// The image's per-CPU section, which is copied for every CPU.
#[must_use]
pub fn per_cpu_section() -> Range<usize> {
    address_of!(__per_cpu_start)..address_of!(__per_cpu_end)
}

/// The slot of the stack on which the boot CPU starts.
#[must_use]
pub fn boot_stack() -> Range<usize> {
    let start = address_of!(boot_stack);
    start..start + STACK_SLOT
}
