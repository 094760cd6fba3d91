//! The enable method `spin-table` under the names of Linux's `smp_spin_table.c`: the library's, with its calls in the trace. Booting
//! is traced with the kick ([`super::spans`]).

use reveille::trace::Name;
use reveille::{CallError, ContextId, Cpu, CpuIndex, EnableMethod};
use reveille_aarch64::spin_table::{MapReleaseWord, SpinTable};
use reveille_runtime::{cpus, plan, trace};

use crate::names::name;

/// What devicetrees call it.
const NAME: &str = "spin-table";

/// Whether `cpu` waits in a pen until it is started.
pub fn comes_from_a_pen(cpu: CpuIndex) -> bool {
    plan::method(&cpus::topology().cpus()[cpu.get()]).is_some_and(|method| method.name() == NAME)
}

/// The method, traced.
pub struct TracedSpinTable<M>(pub SpinTable<M>);

/// Calls `call` within a span that concerns `cpu`.
fn traced<T>(name: Name, cpu: &Cpu, call: impl FnOnce() -> T) -> T {
    trace::begin(name, cpu.index.get() as u32);
    let result = call();
    trace::end(name);
    result
}

impl<M: MapReleaseWord> EnableMethod for TracedSpinTable<M> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_init(&self, cpu: &Cpu) -> Result<(), CallError> {
        traced(name::smp_spin_table_cpu_init, cpu, || self.0.cpu_init(cpu))
    }

    fn cpu_prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
        traced(name::smp_spin_table_cpu_prepare, cpu, || self.0.cpu_prepare(cpu))
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.0.cpu_boot(cpu, context)
    }

    fn cpu_can_disable(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.0.cpu_can_disable(cpu)
    }

    fn cpu_die(&self, cpu: &Cpu) -> i64 {
        self.0.cpu_die(cpu)
    }
}
