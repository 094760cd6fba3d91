//! The ways to start CPUs that this machine has, and what CPUs boot from (Linux's `arch/arm64/kernel/cpu_ops.c`).
//!
//! Whether the devicetree or ACPI describes the machine decides the list ([`dt_supported_cpu_ops`], [`acpi_supported_cpu_ops`]); of
//! that list each CPU has one, which the topology knows by its place there.

use alloc::boxed::Box;
use alloc::vec;

use dtoolkit::fdt::Fdt;
use reveille::EnableMethod;
use reveille::topology::MethodIndex;
use reveille_aarch64::entry::BootTable;
use reveille_aarch64::psci::{Psci, PsciNode};
use reveille_aarch64::spin_table::SpinTable;
use reveille_runtime::arch::cpu_start::{self, seal_boot_table, to_physical};
use reveille_runtime::arch::{memory_map, power};
use reveille_runtime::plan::Methods;
use reveille_runtime::trace;

use super::spin_table::TracedSpinTable;
use crate::names::name;

/// PSCI, if the devicetree has it.
pub fn psci_dt_init(fdt: &Fdt<'_>) -> Option<PsciNode> {
    let _span = trace::span(name::psci_dt_init);
    cpu_start::find_psci(fdt)
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
