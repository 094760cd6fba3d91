//! Where a CPU whose stack has run out reports that: a stack for each, used once, from the exception vectors.

use core::cell::UnsafeCell;

use crate::per_cpu::PerCpu;

/// How large it is, in bytes.
pub(crate) const SIZE: usize = 4096;

/// The stack of one CPU.
#[repr(C, align(16))]
pub(crate) struct OverflowStack(UnsafeCell<[u8; SIZE]>);

// SAFETY: only its own CPU uses it, from assembly, and never returns.
unsafe impl Sync for OverflowStack {}

crate::per_cpu! {
    pub(crate) static OVERFLOW_STACK: OverflowStack = OverflowStack(UnsafeCell::new([0; SIZE]));
}

const _: () = assert!(size_of::<PerCpu<OverflowStack>>() == SIZE);
