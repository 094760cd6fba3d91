//! What ACPI says of CPUs and firmware (Linux's `arch/arm64/kernel/acpi.c` and `drivers/firmware/psci.c`).

use alloc::string::{String, ToString};

use dtoolkit::fdt::Fdt;
use reveille::topology::{Findings, LeftOut, MadtOptions};
use reveille::{HwId, SmpOptions, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::psci::PsciNode;
use reveille_runtime::acpi::Tables;
use reveille_runtime::plan::{CpuSource, Methods, value};
use reveille_runtime::{devicetree, println, trace};

use super::cpu_ops::cpu_get_ops;
use crate::names::name;

/// The machine, as ACPI describes it.
pub struct Acpi {
    tables: Tables,
    /// What the FADT says of PSCI.
    psci: Option<PsciNode>,
}

/// ACPI, if the command line asks for it (`acpi=on`) and its tables are sound; the devicetree describes the machine otherwise.
pub fn acpi_boot_table_init(fdt: &Fdt<'_>) -> Option<Acpi> {
    let _span = trace::span(name::acpi_boot_table_init);
    if value(devicetree::command_line(fdt), "acpi=") != Some("on") {
        return None;
    }
    match Acpi::new(fdt) {
        Ok(acpi) => {
            println!("CPUs are described by ACPI");
            Some(acpi)
        }
        Err(reason) => {
            println!("ACPI cannot be used, and the devicetree is: {reason}");
            None
        }
    }
}

impl Acpi {
    fn new(fdt: &Fdt<'_>) -> Result<Self, String> {
        let tables = Tables::load(fdt)?;
        let fadt = tables.find(*b"FACP").map_err(|error| error.to_string())?;
        let psci = PsciNode::from_fadt(fadt).map_err(|error| error.to_string())?;
        Ok(Self { tables, psci })
    }

    /// PSCI, if the FADT has it.
    pub fn psci_acpi_init(&self) -> Option<PsciNode> {
        let _span = trace::span(name::psci_acpi_init);
        self.psci
    }
}

impl CpuSource for Acpi {
    const NAME: &'static str = "MADT";

    fn parse_and_init_cpus(
        &self,
        topology: &mut Topology,
        boot_cpu: HwId,
        options: &SmpOptions,
        methods: &Methods,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, String> {
        let _span = trace::span(name::acpi_parse_and_init_cpus);
        let madt_options = MadtOptions {
            boot_cpu,
            hw_id_mask: AFFINITY_MASK,
            psci: cpu_get_ops(methods, "psci"),
            parking_protocol: cpu_get_ops(methods, "parking-protocol"),
            nr_cpus: options.nr_cpus,
        };
        let madt = self.tables.find(*b"APIC");
        // One span for what Linux calls for every entry.
        let _span = trace::span(name::acpi_parse_gic_cpu_interface);
        madt.and_then(|madt| topology.read_madt(madt, &madt_options, left_out)).map_err(|error| error.to_string())
    }
}
