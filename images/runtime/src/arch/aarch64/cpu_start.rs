//! How CPUs are started: what the devicetree says of them and of firmware, and what they boot from. The library has both; an image
//! adds the names of the system that it follows.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use dtoolkit::fdt::Fdt;
use reveille::topology::{FdtOptions, Findings, LeftOut};
use reveille::trace::Name;
use reveille::{CpuIndex, HwId, SmpOptions, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::boot_table::{EntryTimes, Environment, Park, Start};
use reveille_aarch64::entry::BootTable;
use reveille_aarch64::psci::{Conduit, PsciNode, PsciNodeError};
use spin::{Mutex, MutexGuard, Once};

use super::processor;
use crate::cpus::{self, SMP};
use crate::plan::{CpuSource, Methods};
use crate::{per_cpu, println, thread, trace};

static BOOT_TABLE: Once<BootTable> = Once::new();
/// That of images which take all CPUs or none; others have a plan.
static WHOLE: Mutex<Topology> = Mutex::new(Topology::new(HwId(0)));

/// The image is mapped to itself.
#[must_use]
pub fn to_physical(address: usize) -> u64 {
    address as u64
}

/// Makes the boot table. A CPU that nobody waits for switches itself off if there is PSCI.
///
/// # Panics
/// It was made before.
pub fn seal_boot_table(psci: Option<&PsciNode>) -> &'static BootTable {
    let park = match psci.map(|node| node.conduit) {
        Some(Conduit::Smc) => Park::CpuOffSmc,
        Some(Conduit::Hvc) => Park::CpuOffHvc,
        None => Park::Wait,
    };
    let table = BootTable::seal(&Environment::of_this_cpu(), park, to_physical);
    BOOT_TABLE.call_once(|| table.expect("the boot table is sealed once"))
}

/// Writes what `cpu`, which has a per-CPU area, boots from: it will enter at `entry`, on the stack of its idle thread. Once: what it
/// boots from never changes.
///
/// # Errors
/// There is no boot table, or no room for the stack.
pub fn write_boot_record(cpu: CpuIndex, entry: extern "C" fn(u64, u64, &EntryTimes) -> !) -> Result<(), &'static str> {
    let table = BOOT_TABLE.get().ok_or("there is no boot table")?;
    if table.is_set(cpu) {
        return Ok(());
    }
    let start = Start {
        hw_id: cpus::hw_id(cpu),
        claim: SMP.claim_word(cpu),
        entry,
        stack_top: thread::fork_idle(cpu)? as u64,
        thread_pointer: per_cpu::offset(cpu) as u64,
        argument: 0,
    };
    // SAFETY: stack and per-CPU area were made for this CPU and are never given to another; everything is mapped in the
    // tables that the boot table was sealed with, and the claim word is in a static.
    unsafe { table.set(cpu, &start) }.map_err(|_| "the boot record is written already")
}

/// PSCI, if the devicetree has it.
#[must_use]
pub fn find_psci(fdt: &Fdt<'_>) -> Option<PsciNode> {
    match PsciNode::from_fdt(fdt) {
        Ok(node) => Some(node),
        // A machine of pens needs none.
        Err(PsciNodeError::Missing) => None,
        Err(error) => {
            println!("PSCI: {error}");
            None
        }
    }
}

/// The CPUs as the devicetree describes them.
pub struct DevicetreeCpus<'a> {
    /// The devicetree.
    pub fdt: &'a Fdt<'a>,
    /// What the followed system calls the reading of it, for the trace.
    pub reading: Option<Name>,
}

impl CpuSource for DevicetreeCpus<'_> {
    const NAME: &'static str = "devicetree";

    fn parse_and_init_cpus(
        &self,
        topology: &mut Topology,
        boot_cpu: HwId,
        options: &SmpOptions,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String> {
        let _span = self.reading.map(trace::span);
        let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
        let fdt_options = FdtOptions { boot_cpu, hw_id_mask: AFFINITY_MASK, methods: &names, nr_cpus: options.nr_cpus };
        topology.read_fdt(self.fdt, &fdt_options, left_out).map_err(|error| error.to_string())
    }
}

/// Reads all CPUs of the devicetree, which PSCI must start, for an image that measures them or calls firmware from them, and takes
/// all or none. Once.
///
/// # Errors
/// The devicetree has no CPUs, or one that cannot be used.
pub fn read_all(fdt: &Fdt<'_>) -> Result<&'static Topology, &'static str> {
    let mut topology = WHOLE.lock();
    let options =
        FdtOptions { boot_cpu: processor::hw_id(), hw_id_mask: AFFINITY_MASK, methods: &["psci"], nr_cpus: usize::MAX };
    let findings = topology.read_fdt(fdt, &options, &mut |left_out| println!("{}: {}", left_out.node, left_out.reason));
    if findings.map_err(|_| "the devicetree has no CPUs")?.left_out > 0 {
        return Err("a CPU was left out");
    }
    let topology: &'static Topology = MutexGuard::leak(topology);
    cpus::set_topology(topology);
    Ok(topology)
}
