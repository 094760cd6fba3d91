//! What the enable methods ask of a pen ([`Pen`]), in which CPUs wait that firmware has let go for good.

use reveille::{ContextId, Cpu};

/// A place where CPUs wait until they are started. On arm64 it is `holding_pen::HoldingPen`; in tests it is something else.
pub trait Pen: Sync {
    /// The physical address at which a CPU enters it, with its MMU off.
    fn entry(&self) -> u64;

    /// Lets `cpu`, which is in the pen or on its way there, go on to the entry point of all CPUs, with `context`.
    fn release(&self, cpu: &Cpu, context: ContextId);

    /// Has this CPU, whose interrupts are masked, go back into the pen.
    fn enter(&self) -> !;
}
