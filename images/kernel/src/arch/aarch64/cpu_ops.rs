//! The ways to start CPUs that this machine has, and what CPUs boot from (Linux's `arch/arm64/kernel/cpu_ops.c`).
//!
//! Whether the devicetree or ACPI describes the machine decides the list ([`dt_supported_cpu_ops`], [`acpi_supported_cpu_ops`]); of
//! that list each CPU has one, which the topology knows by its place there.

use alloc::boxed::Box;
use alloc::vec;

use dtoolkit::fdt::Fdt;
use reveille::EnableMethod;
use reveille::topology::MethodIndex;
use reveille_aarch64::boot_table::{Environment, Park};
use reveille_aarch64::entry::BootTable;
use reveille_aarch64::psci::{Conduit, Psci, PsciNode, PsciNodeError};
use reveille_aarch64::spin_table::SpinTable;
use reveille_runtime::arch::{memory_map, power};
use reveille_runtime::{println, trace};
use spin::Once;

use super::spin_table::TracedSpinTable;
use crate::names::name;
use crate::smp::Methods;

static BOOT_TABLE: Once<BootTable> = Once::new();

/// What CPUs boot from, once the machine's methods are known.
pub fn boot_table() -> Option<&'static BootTable> {
    BOOT_TABLE.get()
}

/// The image is mapped to itself.
fn to_physical(address: usize) -> u64 {
    address as u64
}

/// Makes the boot table. A CPU that nobody waits for switches itself off if there is PSCI.
fn seal_boot_table(psci: Option<&PsciNode>) -> &'static BootTable {
    let park = match psci.map(|node| node.conduit) {
        Some(Conduit::Smc) => Park::CpuOffSmc,
        Some(Conduit::Hvc) => Park::CpuOffHvc,
        None => Park::Wait,
    };
    let table = BootTable::seal(&Environment::of_this_cpu(), park, to_physical);
    BOOT_TABLE.call_once(|| table.expect("the boot table is sealed once"))
}

/// PSCI, if the devicetree has it.
pub fn psci_dt_init(fdt: &Fdt<'_>) -> Option<PsciNode> {
    let _span = trace::span(name::psci_dt_init);
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

/// The methods of a machine that the devicetree describes: spin-table, which needs nothing but what the nodes of the CPUs say, and
/// PSCI where there is one.
pub fn dt_supported_cpu_ops(psci: Option<PsciNode>) -> Methods {
    let table = seal_boot_table(psci.as_ref());
    // SAFETY: what is mapped is the word that was asked for, and nobody knows better than the devicetree where it is.
    let spin_table = unsafe { SpinTable::new(to_physical, memory_map::word) };
    let mut methods: Methods = vec![Box::leak(Box::new(TracedSpinTable(spin_table)))];
    methods.extend(psci.map(|node| cpu_psci_ops(&node, table)));
    methods
}

/// The methods of a machine that ACPI describes.
pub fn acpi_supported_cpu_ops(psci: Option<PsciNode>) -> Methods {
    let table = seal_boot_table(psci.as_ref());
    psci.map(|node| cpu_psci_ops(&node, table)).into_iter().collect()
}

fn cpu_psci_ops(node: &PsciNode, table: &BootTable) -> &'static dyn EnableMethod {
    power::use_psci(node.conduit);
    #[cfg(not(feature = "faults"))]
    let firmware = node.conduit;
    #[cfg(feature = "faults")]
    let firmware = super::fault::FaultyFirmware::new(node);
    Box::leak(Box::new(Psci::with_firmware(firmware, node.functions, table.entry_point())))
}

/// The place in `methods` of the method `name` (Linux's `cpu_get_ops`).
pub fn cpu_get_ops(methods: &Methods, name: &str) -> Option<MethodIndex> {
    let place = methods.iter().position(|method| method.name() == name)?;
    u8::try_from(place).ok().map(MethodIndex)
}
