//! The two floors, and what of them is the provider's, in assembly.

use alloc::vec;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dtoolkit::fdt::Fdt;
use reveille::Topology;
use reveille_aarch64::boot_table::Environment;
use reveille_aarch64::cache::clean_to_point_of_coherency;
use reveille_aarch64::psci::{Conduit, PsciNode};
use reveille_runtime::arch::gic_v3::GicV3;

use crate::{Phase, secondaries};

/// How many CPUs have counted themselves in.
static COUNTER: AtomicU32 = AtomicU32::new(0);
/// MAIR, TCR, TTBR0 and SCTLR for those that switch their MMU on.
static REGISTERS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

global_asm!(include_str!("floor.S"), counter = sym COUNTER, registers = sym REGISTERS);

unsafe extern "C" {
    /// See `floor.S`.
    fn yardstick_kick_and_count(
        ids: *const u64,
        contexts: *const u64,
        count: u64,
        entry: unsafe extern "C" fn(),
        conduit: u64,
        counter: *const AtomicU32,
        times: *mut [u64; 2],
    );
    fn yardstick_bare_entry();
    fn yardstick_online_entry();
    fn yardstick_first_entry();
    fn yardstick_call_version(count: u64, conduit: u64, times: *mut [u64; 2]);
    fn yardstick_read_id(count: u64, times: *mut [u64; 2]);
}

/// How often PSCI_VERSION is called, and an id register read.
const TIMES: u64 = 1000;
/// The counter at a CPU's first instruction.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// CPU_ON and a counter.
pub fn bare(psci: &PsciNode, topology: &Topology) -> Phase {
    let ids = secondaries(topology);
    kick_and_count(psci, &ids, &vec![0; ids.len()], yardstick_bare_entry)
}

/// MMU, redistributor, CPU interface and timer too.
pub fn online(fdt: &Fdt<'_>, psci: &PsciNode, topology: &Topology) -> Result<Phase, &'static str> {
    let gic = GicV3::init(fdt)?;
    let environment = Environment::of_this_cpu();
    let registers = [environment.mair, environment.tcr, environment.ttbr0, environment.sctlr];
    for (place, value) in REGISTERS.iter().zip(registers) {
        place.store(value, Ordering::Relaxed);
    }
    clean_to_point_of_coherency(&REGISTERS);
    let redistributor = |cpu: &reveille::Cpu| gic.redistributor_address(cpu.hw_id).map(|address| address as u64);
    let contexts: Option<Vec<u64>> = topology.cpus()[1..].iter().map(redistributor).collect();
    let contexts = contexts.ok_or("a CPU has no redistributor")?;
    Ok(kick_and_count(psci, &secondaries(topology), &contexts, yardstick_online_entry))
}

fn kick_and_count(psci: &PsciNode, ids: &[u64], contexts: &[u64], entry: unsafe extern "C" fn()) -> Phase {
    kick_until(psci, ids, contexts, entry, &COUNTER)
}

/// Starts CPUs, and waits until all have counted themselves in.
pub fn kick_until(
    psci: &PsciNode,
    ids: &[u64],
    contexts: &[u64],
    entry: unsafe extern "C" fn(),
    counter: &'static AtomicU32,
) -> Phase {
    let mut times = [0; 2];
    if !ids.is_empty() {
        let conduit = u64::from(psci.conduit == Conduit::Hvc);
        // SAFETY: the lists have as many entries as are counted; the entries touch what is static or given to them, and the
        // image is mapped to itself. The bench ends a run whose CPUs do not come.
        unsafe {
            yardstick_kick_and_count(
                ids.as_ptr(),
                contexts.as_ptr(),
                ids.len() as u64,
                entry,
                conduit,
                counter,
                &raw mut times,
            );
        }
    }
    Phase { first_kick: times[0], last_arrival: times[1] }
}

/// From CPU_ON to the first instruction of the first CPU but the boot CPU.
pub fn first(psci: &PsciNode, topology: &Topology) -> Phase {
    let one: Vec<u64> = secondaries(topology).into_iter().take(1).collect();
    let phase = kick_and_count(psci, &one, &[(&raw const FIRST).addr() as u64], yardstick_first_entry);
    Phase { last_arrival: FIRST.load(Ordering::Acquire), ..phase }
}

/// PSCI_VERSION, [`TIMES`] times.
pub fn version(psci: &PsciNode) -> Phase {
    let mut times = [0; 2];
    // SAFETY: an ordinary function, and a call that changes nothing.
    unsafe { yardstick_call_version(TIMES, u64::from(psci.conduit == Conduit::Hvc), &raw mut times) };
    Phase { first_kick: times[0], last_arrival: times[1] }
}

/// An id register, [`TIMES`] times.
pub fn id() -> Phase {
    let mut times = [0; 2];
    // SAFETY: an ordinary function.
    unsafe { yardstick_read_id(TIMES, &raw mut times) };
    Phase { first_kick: times[0], last_arrival: times[1] }
}
