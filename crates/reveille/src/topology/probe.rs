//! A [`Topology`] from asking for one CPU after the other, where nothing describes the machine: as Linux does on boards with Broadcom's
//! CFE (`plat_smp_setup` of `arch/mips/sibyte/cfe/smp.c`).

use super::{Cpu, Findings, LeftOut, MethodIndex, Topology};
use crate::cpu::HwId;

/// What [`Topology::probe`] must know besides the ids.
#[derive(Clone, Copy, Debug)]
pub struct ProbeOptions {
    /// The CPU that runs, by its own id register.
    pub boot_cpu: HwId,
    /// The caller's method that starts all CPUs.
    pub method: MethodIndex,
    /// `nr_cpus`.
    pub nr_cpus: usize,
}

impl Topology {
    /// Asks `exists` for each of `ids` in turn, but for the boot CPU's, and enters those that do, replacing what the topology held.
    /// Calls `left_out` for every one that exists and cannot be used, each once.
    ///
    /// The boot CPU is the first, whatever its id. Of ids that come twice the first counts, and is asked once.
    pub fn probe(
        &mut self,
        options: &ProbeOptions,
        ids: impl IntoIterator<Item = HwId>,
        exists: &mut dyn FnMut(HwId) -> bool,
        left_out: &mut dyn FnMut(LeftOut<'_>),
    ) -> Findings {
        self.clear(options.boot_cpu);
        let mut findings = Findings { boot_cpu_found: true, left_out: 0 };
        for hw_id in ids {
            if self.find(hw_id).is_some() || !exists(hw_id) {
                continue;
            }
            match self.next_index(options.nr_cpus) {
                Ok(index) => {
                    self.others += 1;
                    self.phandles[index.get()] = 0;
                    self.cpus[index.get()] = Cpu { index, method: Some(options.method), ..Cpu::boot(hw_id) };
                }
                Err(reason) => {
                    findings.left_out += 1;
                    left_out(LeftOut { node: "a CPU that answers", hw_id: Some(hw_id), reason });
                }
            }
        }
        findings
    }
}
