//! A [`Topology`] from a devicetree.

use dtoolkit::fdt::Fdt;

use super::{FdtOptions, Findings, LeftOut, Topology, TopologyError};

impl Topology {
    /// Reads the machine's CPUs from `/cpus` of a devicetree, replacing what the topology held.
    pub fn read_fdt(
        &mut self,
        fdt: &Fdt<'_>,
        options: &FdtOptions<'_>,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Result<Findings, TopologyError> {
        todo!()
    }
}
