//! Measures the phase from the first kick to the last CPU online: in instructions, which are exact, and in time, beside what it
//! could cost at the least.
//!
//! The rows of one number of CPUs are measured in turns, run by run, since machines are noisy. [`statistics`] condenses the
//! times, [`table`] draws them, [`spans`] finds where instructions go, [`peer`] measures other systems, and [`progress`] says how
//! far it all is. What is measured on which machine is in [`subjects`], what PSCI costs in [`firmware`],
//! what the boot loader gains by two CPUs in [`loader`], and what the hypervisor costs its guests in [`hypervisor`].

pub mod firmware;
pub mod hypervisor;
pub mod loader;
pub mod peer;
pub mod progress;
pub mod spans;
pub mod statistics;
pub mod subjects;
pub mod table;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::boot::{self, BootOptions, BootRun};
use crate::console::Silent;
use crate::error::Error;
use crate::image::{self, BuiltImage, ImageError};
use crate::machine::Machine;
use crate::setup::Host;
use crate::stack::Stack;
use crate::verdict::Verdict;
use peer::Peer;
use spans::Share;
use statistics::Spread;
use subjects::{Counting, Measured, Subject};

/// How often a count of instructions is taken: they must be equal.
const EXACT_RUNS: usize = 2;

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The machine.
    pub machine: &'static Machine,
    /// With how many CPUs, one after the other.
    pub cpus: Vec<u32>,
    /// How often each time is taken.
    pub runs: u32,
    /// Whether to find where the kernel's instructions go.
    pub spans: bool,
    /// Other systems to measure beside.
    pub peers: Vec<Peer>,
}

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many CPUs the machine had.
    pub cpus: u32,
    /// What was measured.
    pub subject: String,
    /// In what its machine differs from that of the others, which its figures must not be read without.
    pub differs: Option<&'static str>,
    /// Instructions of the phase for each CPU that was brought up, both sides together; `None` where they were not equal in two
    /// runs, or the system cannot be counted. A peer's is as exact as the time stamps of its console.
    pub instructions_per_cpu: Option<f64>,
    /// The phase's time.
    pub time: Spread,
    /// The lower quartile of the time over that of the online floor; `None` on a machine that has none.
    pub over_online_floor: Option<f64>,
    /// What the subject is; of a peer also how it was measured, and what else it does in the phase.
    pub note: String,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// The machine.
    pub machine: &'static str,
    /// The QEMU that ran everything.
    pub qemu: String,
    /// How often each time was taken.
    pub runs: u32,
    /// By number of CPUs, then by subject.
    pub rows: Vec<Row>,
    /// Which rows are not there, and why.
    pub not_measured: Vec<String>,
    /// Where the kernel's instructions go, with the largest number of CPUs; empty unless asked for.
    pub spans: Vec<Share>,
}

/// A run that cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It did not come to a good end.
    #[error("{subject} with {cpus} CPUs cannot be measured: {what}")]
    Run {
        /// What ran.
        subject: String,
        /// With how many CPUs.
        cpus: u32,
        /// What happened.
        what: String,
    },
    /// A peer's image cannot be had.
    #[error("{0}")]
    Peer(String),
    /// Nothing is measured on the machine.
    #[error("nothing is measured on the machine {machine} (there is: {known})")]
    NotMeasured {
        /// Its name.
        machine: &'static str,
        /// The names of those on which something is.
        known: String,
    },
    /// A peer is none of the machine's, or the image that was given is none.
    #[error("there is no --peer {peer} on the machine {machine}: {problem}")]
    NoPeer {
        /// What was asked for.
        peer: String,
        /// The machine's name.
        machine: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A single CPU brings up no other.
    #[error("a bench takes at least 2 CPUs")]
    OneCpu,
}

/// Measures. `progress` hears what is being done.
///
/// # Errors
/// [`Error`]: the first run that goes wrong ends the bench, since what is left would not be comparable.
pub fn run(host: &Host, options: &BenchOptions, progress: &mut dyn FnMut(&str)) -> Result<Bench, Error> {
    let ours = Ours::build(host, options.machine)?;
    let mut rows = Vec::new();
    for &cpus in &options.cpus {
        rows.extend(measure(&ours, options, cpus, progress)?);
    }
    let spans = match (options.cpus.iter().max(), ours.subjects().last()) {
        (Some(&cpus), Some(kernel)) if options.spans => {
            progress(&format!("{cpus} CPUs: where the kernel's instructions go"));
            let run = ours.counted(kernel, cpus)?;
            run.report.as_ref().map(|report| spans::of(report, ours.measured.clock)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    Ok(Bench {
        machine: options.machine.name,
        qemu: qemu_version(host),
        runs: options.runs,
        rows,
        not_measured: not_measured(&ours, options),
        spans,
    })
}

/// Which rows are not there, in sentences.
fn not_measured(ours: &Ours<'_>, options: &BenchOptions) -> Vec<String> {
    let refusals = |&cpus: &u32| options.peers.iter().filter_map(move |peer| peer.refusal(cpus));
    let without = ours.measured.without.map(str::to_owned);
    without.into_iter().chain(options.cpus.iter().flat_map(refusals)).collect()
}

pub(crate) fn qemu_version(host: &Host) -> String {
    let output = crate::toolchain::output(std::process::Command::new(&host.qemu).arg("--version"));
    output.and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}

/// The rows of one number of CPUs.
fn measure(
    ours: &Ours<'_>,
    options: &BenchOptions,
    cpus: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Row>, Error> {
    progress(&format!("{cpus} CPUs: counting instructions"));
    let counts = ours.subjects().map(|subject| ours.count(subject, cpus)).collect::<Result<Vec<_>, _>>()?;
    let mut times = vec![Vec::new(); counts.len()];
    let peers: Vec<&Peer> = options.peers.iter().filter(|peer| peer.refusal(cpus).is_none()).collect();
    let mut peer_times = vec![Vec::new(); peers.len()];
    let start = Instant::now();
    for round in 1..=options.runs {
        let left = progress::left(start.elapsed(), round - 1, options.runs);
        progress(&format!("{cpus} CPUs: round {round} of {}{left}", options.runs));
        for (subject, times) in ours.subjects().zip(&mut times) {
            times.push(ours.phase(&ours.run(subject, &ours.plain(subject, cpus))?));
        }
        for (peer, times) in peers.iter().zip(&mut peer_times) {
            times.push(peer.phase(cpus)?);
        }
    }
    let floor = ours.measured.floor.map(|floor| Spread::of(&times[floor]));
    let mut peer_counts = Vec::new();
    for peer in &peers {
        peer_counts.push(if peer.counts() {
            progress(&format!("{cpus} CPUs: counting the instructions of {}", peer.name()));
            Some(peer.count(cpus, &ours.measured.counting)?)
        } else {
            None
        });
    }
    let row = |subject: &str, differs, count: Option<f64>, times: &[u64], note: String| {
        let time = Spread::of(times);
        Row {
            cpus,
            subject: subject.to_owned(),
            differs,
            instructions_per_cpu: count,
            over_online_floor: floor.map(|floor| time.lower_quartile / floor.lower_quartile),
            time,
            note,
        }
    };
    let own = ours.measured.subjects.iter().zip(counts).zip(&times);
    let mut rows: Vec<Row> =
        own.map(|((subject, count), times)| row(subject.name, None, count, times, subject.note.to_owned())).collect();
    let peers = peers.iter().zip(&peer_times).zip(peer_counts);
    rows.extend(peers.map(|((peer, times), count)| row(peer.name(), peer.differs(), count, times, peer.note())));
    Ok(rows)
}

/// The share of each CPU that was brought up.
fn per_cpu(count: u64, cpus: u32) -> f64 {
    count as f64 / f64::from(cpus.saturating_sub(1).max(1))
}

/// A subject, and its image.
type Built = (&'static Subject, BuiltImage);

/// What is measured on a machine, ready to boot.
struct Ours<'a> {
    host: &'a Host,
    machine: &'static Machine,
    measured: &'static Measured,
    built: Vec<Built>,
}

impl<'a> Ours<'a> {
    fn build(host: &'a Host, machine: &'static Machine) -> Result<Self, Error> {
        let measured = subjects::on(machine)?;
        let built = measured.subjects.iter().map(|subject| {
            // What the machine boots by itself may have firmware.
            let image = if subject.image == machine.image {
                image::build_for(host, machine, &Stack::default(), &[])?
            } else {
                image::build(host, subject.image, &[])?
            };
            Ok((subject, image))
        });
        let built = built.collect::<Result<_, ImageError>>()?;
        Ok(Self { host, machine, measured, built })
    }

    fn subjects(&self) -> impl Iterator<Item = &Built> {
        self.built.iter()
    }

    /// Instructions for each CPU that was brought up, if all counts are equal.
    fn count(&self, subject: &Built, cpus: u32) -> Result<Option<f64>, Error> {
        let mut counts = Vec::new();
        for _ in 0..EXACT_RUNS {
            counts.push(self.phase(&self.counted(subject, cpus)?));
        }
        let exact = counts.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(exact.then(|| per_cpu(counts[0], cpus)))
    }

    /// A run in which the nanoseconds of QEMU's clock are instructions.
    fn counted(&self, subject: &Built, cpus: u32) -> Result<BootRun, Error> {
        let Counting { property, arguments } = &self.measured.counting;
        let cpu_model = property.map(|property| format!("{},{property}", self.machine.cpu_model));
        let qemu_arguments = arguments.map(str::to_owned).to_vec();
        self.run(subject, &BootOptions { cpu_model, qemu_arguments, ..self.plain(subject, cpus) })
    }

    fn plain(&self, (subject, _): &Built, cpus: u32) -> BootOptions {
        // A bench must not end because the host is busy: 512 CPUs that are counted take minutes there.
        let (deadline, timeout) = (Some(Duration::from_secs(30)), Some(Duration::from_secs(1800)));
        let append = Some(subject.append.to_owned());
        BootOptions { machine: self.machine, cpus, append, deadline, timeout, ..BootOptions::default() }
    }

    fn run(&self, (subject, image): &Built, options: &BootOptions) -> Result<BootRun, Error> {
        let run = boot::run(self.host, image, options, &mut Silent)?;
        let what = match &run.verdict {
            Verdict::AllOnline => return Ok(run),
            Verdict::NotAllOnline(problems) => problems.join("; "),
            Verdict::TimedOut(limit) => format!("it did not end within {} s", limit.as_secs()),
            Verdict::Died(how) => how.clone(),
        };
        Err(BenchError::Run { subject: subject.name.to_owned(), cpus: options.cpus, what }.into())
    }

    /// Nanoseconds of QEMU's clock.
    fn phase(&self, run: &BootRun) -> u64 {
        let reported = run.report.as_ref().map_or(0, |report| report.bringup_ns);
        (reported as f64 * self.measured.clock).round() as u64
    }
}
