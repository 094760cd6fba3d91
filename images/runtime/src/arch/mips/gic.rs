//! The global interrupt controller of MIPS's coherence manager (MIPS Coherence Manager, chapter "Global Interrupt Controller"), as far as
//! interrupts between CPUs need it: one source for each CPU and each kind, an edge that any CPU makes by writing its number.

use core::ptr::NonNull;

use reveille::{CpuIndex, HwId};
use reveille_mips::cp0::read_c0;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadWrite;

use super::memory_map;
use crate::cpus;
use crate::ipi::Ipi;

/// The coherence manager's register with the controller's physical address and, in bit 0, whether it is on (GCR_GIC_BASE).
const GCR_GIC_BASE: usize = 0x80;
/// The sizes of the coherence manager's registers and of the controller's, in bytes.
const MANAGER_SIZE: usize = 0x8000;
const SIZE: usize = 0x2_0000;
/// What of that register is the address.
const BASE: u32 = 0xfffe_0000;
/// The controller's configuration, in which a bit stops the counter that all CPUs share (GIC_SH_CONFIG), and the counter's lower half
/// (GIC_SH_COUNTERLO).
const CONFIGURATION: usize = 0;
const COUNT_STOP: u32 = 1 << 28;
const COUNTER: usize = 0x10;
/// Sources are edges at their rising, one bit each (GIC_SH_POL, GIC_SH_TRIG).
const POLARITY: usize = 0x100;
const TRIGGER: usize = 0x180;
/// Writing the number of a source makes it pending, with [`WEDGE_SET`], or takes that back (GIC_SH_WEDGE).
const WEDGE: usize = 0x280;
const WEDGE_SET: u32 = 1 << 31;
/// Writing a source's bit keeps it from its CPU (GIC_SH_RMASK), or lets it through (GIC_SH_SMASK).
const RESET_MASK: usize = 0x300;
const SET_MASK: usize = 0x380;
/// Which sources are pending (GIC_SH_PEND).
const PENDING: usize = 0x480;
/// To which pin of a CPU each source goes, a word each: with [`TO_PIN`], pin 0, which is IP2 (GIC_SH_MAP_PIN).
const MAP_PIN: usize = 0x500;
const TO_PIN: u32 = 1 << 31;
/// To which CPU each source goes, as a mask, 32 bytes each (GIC_SH_MAP_VP).
const MAP_CPU: usize = 0x2000;
/// The first source that no device of QEMU's malta uses.
const FIRST_SOURCE: u32 = 64;

/// The kinds of interrupts that each CPU has a source for.
const KINDS: u32 = Ipi::ALL.len() as u32;

/// The controller.
pub struct Gic {
    base: NonNull<u8>,
}

// SAFETY: its registers may be used from any CPU: each write concerns one source.
unsafe impl Sync for Gic {}
// SAFETY: as above.
unsafe impl Send for Gic {}

impl Gic {
    /// Finds the controller by the coherence manager, which CMGCRBase names. The machine has one: it has more CPUs than one.
    ///
    /// # Errors
    /// It is not on.
    pub fn new() -> Result<Self, &'static str> {
        let manager = (read_c0!("15", "3") as usize) << 4;
        let manager = memory_map::map_device(manager, MANAGER_SIZE)?;
        // SAFETY: this register of the coherence manager may be read.
        let gic_base = unsafe { manager.add(GCR_GIC_BASE).cast::<u32>().read_volatile() };
        if gic_base & 1 == 0 {
            return Err("the interrupt controller is off");
        }
        let base = memory_map::map_device((gic_base & BASE) as usize, SIZE)?;
        let gic = Self { base };
        let configuration = gic.register(CONFIGURATION).read();
        gic.register(CONFIGURATION).write(configuration & !COUNT_STOP);
        Ok(gic)
    }

    /// The counter that all CPUs share, as far as 32 bits go.
    pub fn shared_counter(&self) -> u32 {
        self.register(COUNTER).read()
    }

    fn register(&self, offset: usize) -> UniqueMmioPointer<'_, ReadWrite<u32>> {
        // SAFETY: the offsets are those of registers; what a write does concerns one source, so CPUs do not disturb each other.
        unsafe { UniqueMmioPointer::new(self.base.add(offset).cast()) }
    }

    /// The source by which the CPU `hw_id` is interrupted.
    fn source(hw_id: HwId, kind: Ipi) -> u32 {
        FIRST_SOURCE + hw_id.0 as u32 * KINDS + kind as u32
    }

    /// Writes the bit of `source` to the bank of registers at `offset`.
    fn write_bit(&self, offset: usize, source: u32) {
        self.register(offset + 4 * (source as usize / 32)).write(1 << (source % 32));
    }

    /// Has the CPU `hw_id`, which is this one, take interrupts from others at its IP2.
    pub fn enable(&self, hw_id: HwId) {
        for kind in Ipi::ALL {
            let source = Self::source(hw_id, kind);
            // Banks without a set register hold all sources of 32: all of ours are the same.
            self.set_bit(POLARITY, source);
            self.set_bit(TRIGGER, source);
            self.register(MAP_PIN + 4 * source as usize).write(TO_PIN);
            self.register(MAP_CPU + 32 * source as usize).write(1 << hw_id.0);
            self.register(WEDGE).write(source);
            self.write_bit(SET_MASK, source);
        }
    }

    /// Sets the bit of `source` in a bank that has no other way to do it. CPUs that do so at the same time set bits of ours that are
    /// to be set.
    fn set_bit(&self, offset: usize, source: u32) {
        let mut register = self.register(offset + 4 * (source as usize / 32));
        let value = register.read();
        register.write(value | 1 << (source % 32));
    }

    /// Keeps the interrupts of others from the CPU `hw_id`.
    pub fn disable(&self, hw_id: HwId) {
        for kind in Ipi::ALL {
            let source = Self::source(hw_id, kind);
            self.write_bit(RESET_MASK, source);
            self.register(WEDGE).write(source);
        }
    }

    /// Interrupts `cpu`.
    pub fn send(&self, cpu: CpuIndex, kind: Ipi) {
        self.register(WEDGE).write(WEDGE_SET | Self::source(cpus::hw_id(cpu), kind));
    }

    /// Takes what is pending for the CPU `hw_id`, which is this one, and calls `handler` for each.
    pub fn take(&self, hw_id: HwId, handler: impl Fn(Ipi)) {
        for kind in Ipi::ALL {
            let source = Self::source(hw_id, kind);
            if self.register(PENDING + 4 * (source as usize / 32)).read() >> (source % 32) & 1 != 0 {
                // Before the handler: what is sent meanwhile is pending again.
                self.register(WEDGE).write(source);
                handler(kind);
            }
        }
    }
}
