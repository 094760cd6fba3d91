//! The enable method `spin-table` (Linux's `smp_spin_table.c`): CPUs that poll a word in memory until it holds an address.
//!
//! Preparing a CPU writes the address of a pen of our own to the word that its devicetree node names (`cpu-release-addr`), so
//! that it leaves the boot loader's memory; several CPUs may share that word, and all of them then come. In our pen each finds
//! itself by MPIDR and waits for a word of its own, which booting it writes: the context id of the kick.
//!
//! **Going down.** Nothing can switch such a CPU off. It goes back into our pen, MMU and caches off, from where the next kick
//! takes it. The pen and its words are part of the image, and are never given to others; a CPU that was prepared stays there
//! for as long as the system runs.

use core::ptr::NonNull;

use reveille::{CallError, ContextId, Cpu, EnableMethod};

use crate::cache::clean_to_point_of_coherency;
use crate::holding_pen::{HoldingPen, send_event};
use crate::pen::Pen;

/// Makes the word at a physical address usable: its virtual address, for as long as the system runs, readable and writable as
/// normal memory or device memory. `None` if that is not possible.
pub trait MapReleaseWord: Sync {
    /// See [`MapReleaseWord`]. The address is a multiple of 8.
    fn map(&self, physical: u64) -> Option<NonNull<u64>>;
}

impl<F: Fn(u64) -> Option<NonNull<u64>> + Sync> MapReleaseWord for F {
    fn map(&self, physical: u64) -> Option<NonNull<u64>> {
        self(physical)
    }
}

/// The method. The boot table is sealed before a CPU is prepared, and each CPU's record is set before it is kicked.
pub struct SpinTable<M> {
    pen: HoldingPen,
    map: M,
}

impl<M: MapReleaseWord> SpinTable<M> {
    /// The method of an image whose addresses `to_physical` translates. The pen is mapped to itself, executable, in the tables
    /// that the boot table was sealed with.
    ///
    /// # Safety
    /// `map` maps what it is asked for, and the devicetree whose CPUs are prepared tells the truth about release addresses: what
    /// lies there is overwritten.
    #[must_use]
    pub unsafe fn new(to_physical: impl Fn(usize) -> u64, map: M) -> Self {
        // SAFETY: the caller says so.
        unsafe { Self::with_pen(HoldingPen::new(to_physical), map) }
    }

    /// The same with a pen of the caller's making.
    ///
    /// # Safety
    /// As for [`Self::new`].
    #[must_use]
    pub unsafe fn with_pen(pen: HoldingPen, map: M) -> Self {
        Self { pen, map }
    }

    fn release_word(&self, cpu: &Cpu) -> Result<NonNull<u64>, CallError> {
        let address = cpu.release_address.ok_or(unusable(0, "the CPU's node has none"))?;
        if address == 0 {
            return Err(unusable(0, "it is 0"));
        }
        if address % 8 != 0 {
            return Err(unusable(address, "it is not a multiple of 8"));
        }
        self.map.map(address).ok_or(unusable(address, "it cannot be mapped"))
    }
}

const fn unusable(address: u64, meaning: &'static str) -> CallError {
    CallError { call: "cpu-release-addr", code: address as i64, meaning }
}

impl<M: MapReleaseWord> EnableMethod for SpinTable<M> {
    fn name(&self) -> &'static str {
        "spin-table"
    }

    /// Finds the word (Linux's `smp_spin_table_cpu_init`).
    fn cpu_init(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.release_word(cpu).map(|_| ())
    }

    /// Lets the CPU, and all that share its word, into our pen (Linux's `smp_spin_table_cpu_prepare`): one 64-bit write, little
    /// endian, cleaned to the point of coherency, then SEV.
    fn cpu_prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        let word = self.release_word(cpu)?;
        // SAFETY: whoever made this method says that the word is mapped, and the devicetree's to write.
        unsafe { word.as_ptr().write_volatile(self.pen.entry().to_le()) };
        // SAFETY: it is mapped for as long as the system runs.
        clean_to_point_of_coherency(unsafe { word.as_ref() });
        send_event();
        Ok(())
    }

    /// Lets the CPU out of our pen (Linux's `smp_spin_table_cpu_boot`).
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.pen.release(cpu, context);
        Ok(())
    }

    /// It can go back into our pen at any time.
    fn cpu_can_disable(&self, _cpu: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    /// Goes back into our pen. Does not return.
    fn cpu_die(&self, _cpu: &Cpu) -> i64 {
        self.pen.enter()
    }
}
