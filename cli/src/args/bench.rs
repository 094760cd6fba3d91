//! The arguments of `reveille bench`.

use clap::Args;

use crate::bench::peer::PeerRequest;
use crate::bench::{BenchError, BenchOptions, subjects};
use crate::error::Error;
use crate::machine::Machine;

/// The arguments of `reveille bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// The machine to measure on: virt, or malta with MIPS CPUs
    #[arg(long, default_value = "virt", value_name = "NAME")]
    pub machine: String,
    /// With how many CPUs [default: 4,16,64,128,256,512; on malta 2,4,8,16]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pub cpus: Vec<u32>,
    /// How often each time is taken
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Show where the kernel's instructions go
    #[arg(long = "where")]
    pub spans: bool,
    /// Measure another system too: linux or xen (Debian's are fetched), linux=IMAGE, xen=IMAGE, lk=IMAGE; on malta linux or
    /// linux=IMAGE (may be repeated)
    #[arg(long, value_name = "NAME[=IMAGE]")]
    pub peer: Vec<PeerRequest>,
    /// Measure what firmware of ours costs instead, beside the one that QEMU has in itself
    #[arg(long, conflicts_with_all = ["machine", "cpus", "spans", "peer"])]
    pub firmware: bool,
    /// Measure how long the boot loader checks its payload instead, on one CPU and on two
    #[arg(long, conflicts_with_all = ["machine", "cpus", "spans", "peer", "firmware"])]
    pub loader: bool,
    /// Measure what our hypervisor costs Debian's Linux instead, beside Debian's Xen
    #[arg(long, conflicts_with_all = ["machine", "cpus", "spans", "peer", "firmware", "loader"])]
    pub hypervisor: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl BenchArguments {
    /// What they ask for, but for the peers, which have to be prepared.
    ///
    /// # Errors
    /// [`Error::UnknownMachine`], [`Error::CpuCount`], and of [`BenchError`] those that say what cannot be measured.
    pub fn options(&self) -> Result<BenchOptions, Error> {
        let machine = Machine::find(&self.machine)?;
        let usual = subjects::on(machine)?.cpus;
        let cpus = if self.cpus.is_empty() { usual.to_vec() } else { self.cpus.clone() };
        cpus.iter().try_for_each(|&cpus| machine.check_cpus(cpus))?;
        if cpus.contains(&1) {
            return Err(BenchError::OneCpu.into());
        }
        self.peer.iter().try_for_each(|peer| peer.check(machine))?;
        Ok(BenchOptions { machine, cpus, runs: self.runs, spans: self.spans, peers: Vec::new() })
    }
}
