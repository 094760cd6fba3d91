//! Per-CPU variables: a section of the image, copied for every CPU that is possible (Linux's `.data..percpu`).
//!
//! [`per_cpu!`](crate::per_cpu!) declares them. Until [`setup_per_cpu_areas`] the boot CPU works on the section itself, which
//! is then what the copies start as: nothing may be written to it before.

use alloc::alloc::{Layout, alloc};
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

use reveille::{CpuIndex, CpuMask, MAX_CPUS};

use crate::arch::{memory_map, processor};

/// The distance from the section to each CPU's copy; 0 for CPUs that have none.
static OFFSETS: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// A variable of which each CPU has its own. Dereferences to this CPU's, to which the caller keeps: it masks interrupts, or is
/// bound to its CPU.
#[repr(transparent)]
pub struct PerCpu<T>(T);

impl<T: Sync> PerCpu<T> {
    /// The initial value of all copies. For [`per_cpu!`](crate::per_cpu!) only, which puts it into the section.
    #[doc(hidden)]
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    fn at(&self, offset: usize) -> &T {
        let address = (&raw const self.0).wrapping_byte_add(offset);
        // SAFETY: `per_cpu!` puts every value of this type into the section; at `offset` from it lies a copy (or it
        // itself), which lives for ever, and `T: Sync` lets other CPUs see it.
        unsafe { &*address }
    }

    /// The variable of `cpu`. A CPU without an area gets the section itself, which nobody uses.
    pub fn of(&self, cpu: CpuIndex) -> &T {
        self.at(OFFSETS[cpu.get()].load(Ordering::Acquire))
    }
}

impl<T: Sync> Deref for PerCpu<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.at(processor::per_cpu_offset())
    }
}

/// Declares per-CPU variables: `per_cpu! { static COUNT: AtomicU32 = AtomicU32::new(0); }`. The initial value is copied as
/// bytes, so it may own nothing.
#[macro_export]
macro_rules! per_cpu {
    ($($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr;)+) => {$(
        $(#[$meta])*
        #[unsafe(link_section = ".data.per_cpu")]
        $vis static $name: $crate::per_cpu::PerCpu<$type> = $crate::per_cpu::PerCpu::new($value);
    )+};
}

per_cpu! {
    static INDEX: AtomicUsize = AtomicUsize::new(0);
}

/// The CPU that executes this (Linux's `smp_processor_id`). It stays so while the caller masks interrupts, and if it is bound to
/// its CPU; other threads may move.
#[must_use]
pub fn smp_processor_id() -> CpuIndex {
    CpuIndex::new(INDEX.load(Ordering::Relaxed)).unwrap_or(CpuIndex::BOOT)
}

/// Makes an area for every CPU of `possible`, and lets the boot CPU use its own from here on.
///
/// # Errors
/// There is not enough memory.
pub fn setup_per_cpu_areas(possible: &CpuMask) -> Result<(), &'static str> {
    let section = memory_map::per_cpu_section();
    let layout = Layout::from_size_align(section.len(), 64).map_err(|_| "the per-CPU section is too large")?;
    for cpu in possible.iter() {
        // SAFETY: the layout is not empty: `INDEX` is in the section.
        let area = unsafe { alloc(layout) };
        if area.is_null() {
            return Err("not enough memory for the per-CPU areas");
        }
        // SAFETY: the area is new and as large as the section.
        unsafe { core::ptr::copy_nonoverlapping(section.start as *const u8, area, section.len()) };
        OFFSETS[cpu.get()].store(area.addr().wrapping_sub(section.start), Ordering::Release);
        INDEX.of(cpu).store(cpu.get(), Ordering::Relaxed);
    }
    // SAFETY: the boot CPU's area was made just now, and no reference into the section itself is held.
    unsafe { processor::set_per_cpu_offset(offset(CpuIndex::BOOT)) };
    Ok(())
}

/// What the per-CPU base register of `cpu` holds.
#[must_use]
pub fn offset(cpu: CpuIndex) -> usize {
    OFFSETS[cpu.get()].load(Ordering::Acquire)
}
