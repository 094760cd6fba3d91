//! The coherent processing system: the block that joins CPUs' caches (GCR), the one that has them run (CPC).
//!
//! That `VP_STOP` and `VP_RUN` put a P5600's CPU into reset and out of it again is the simplification of QEMU's CPC: on a P5600 they
//! act on the virtual processors of a core, and cores are reset by commands. It stands for what CFE does on a SiByte SB1250: to
//! start a CPU it writes the record that the CPU polls; to stop one it has the system control unit reset the CPU. Here a CPU
//! that polled would use up a core of the host, so it sleeps, and is reset to look.

use core::ptr::{read_volatile, write_volatile};

use cfe_server::{NotParked, StartRecord};

use crate::cp0;
use crate::memory::KSEG1;
use crate::start_record::{self, MAX_CPUS};

/// The coherence block, where it is out of reset.
pub const GCR_BASE: usize = KSEG1 + 0x1fbf_8000;
const GCR_GIC_BASE: usize = GCR_BASE + 0x80;
const GCR_CPC_BASE: usize = GCR_BASE + 0x88;
const GCR_CL_CONFIG: usize = GCR_BASE + 0x2010;
/// Which CPUs ask the CPU that writes this for what its cache has.
pub const GCR_CL_COHERENCE: usize = 0x2008;
/// All of them.
pub const COHERENCE_DOMAIN_ALL: u32 = 0xff;

/// Where the two other blocks are put, and the bit that has them answer there.
const CPC_PHYSICAL: u32 = 0x1bde_0000;
const GIC_PHYSICAL: u32 = 0x1bdc_0000;
const ENABLE: u32 = 1;

const CPC_BASE: usize = KSEG1 + CPC_PHYSICAL as usize;
const CPC_VP_STOP: usize = CPC_BASE + 0x2020;
const CPC_VP_RUN: usize = CPC_BASE + 0x2028;
const CPC_VP_RUNNING: usize = CPC_BASE + 0x2030;

/// The GIC's counter, of which QEMU has the lower half only: 100 MHz, the same for all CPUs.
const GIC_SHARED_COUNTER: usize = KSEG1 + GIC_PHYSICAL as usize + 0x10;
/// Its rate.
pub const GIC_COUNTER_FREQUENCY: u32 = 100_000_000;

/// How long a CPU may take to be reset, or to park after it was. Most of it is for a host that is busy with other things.
const PATIENCE_MILLISECONDS: u32 = 5_000;

/// The blocks, in their places.
#[derive(Clone, Copy)]
pub struct Coherence {
    cpus: usize,
}

impl Coherence {
    /// Puts the blocks into their places.
    ///
    /// # Safety
    ///
    /// There is a coherence block, and this is CPU 0.
    pub unsafe fn take() -> Self {
        write(GCR_CPC_BASE, CPC_PHYSICAL | ENABLE);
        write(GCR_GIC_BASE, GIC_PHYSICAL | ENABLE);
        // What follows finds the blocks in their places.
        cp0::sync();
        let cpus = (read(GCR_CL_CONFIG) & 0x3ff) as usize + 1;
        Self { cpus: cpus.min(MAX_CPUS) }
    }

    /// CPUs there are, the first included.
    pub fn cpus(self) -> usize {
        self.cpus
    }

    /// Has all other CPUs run up to where they park. Returns how many did.
    pub fn park_all(self) -> usize {
        write(CPC_VP_RUN, (1 << self.cpus) - 2);
        let parked = || (1..self.cpus).filter(|&cpu| start_record::is_parked(cpu)).count();
        wait(|| parked() == self.cpus - 1);
        parked()
    }

    /// Sends a parked CPU to where `record` says, and does not wait for it.
    pub fn start(self, cpu: usize, record: StartRecord) {
        start_record::order_start(cpu, record);
        self.reset(cpu);
    }

    /// Has a CPU park again, whatever it does, and waits until it has. What its data cache has not written back is lost.
    pub fn stop(self, cpu: usize) -> Result<(), NotParked> {
        // A CPU that was just started may not have been reset yet. There must never be two resets on their way: the second would
        // come when the CPU has parked and been started again, and have it begin twice.
        if !wait(|| read(CPC_VP_RUNNING) & 1 << cpu != 0) {
            return Err(NotParked);
        }
        start_record::order_park(cpu);
        self.reset(cpu);
        if wait(|| start_record::is_parked(cpu)) { Ok(()) } else { Err(NotParked) }
    }

    fn reset(self, cpu: usize) {
        write(CPC_VP_STOP, 1 << cpu);
        write(CPC_VP_RUN, 1 << cpu);
    }

    /// Ticks at [`GIC_COUNTER_FREQUENCY`], from any start, the same on all CPUs.
    pub fn counter(self) -> u32 {
        read(GIC_SHARED_COUNTER)
    }
}

fn wait(condition: impl FnMut() -> bool) -> bool {
    cp0::wait_until(PATIENCE_MILLISECONDS, condition)
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of a block that is there and in its place: only Coherence's functions come here.
    unsafe { read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as above; what the registers do to other CPUs is for the callers to answer.
    unsafe { write_volatile(register as *mut u32, value) }
}
