//! Measures the phase from the first kick to the last CPU online: in instructions, which are exact, and in time, beside what it
//! could cost at the least.
//!
//! The rows of one number of CPUs are measured in turns, run by run, since machines are noisy. [`statistics`] condenses the
//! times, [`table`] draws them, [`spans`] finds where instructions go, [`peer`] measures other systems, and [`progress`] says how
//! far it all is.

pub mod peer;
pub mod progress;
pub mod spans;
pub mod statistics;
pub mod table;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::boot::{self, BootOptions, BootRun};
use crate::console::Silent;
use crate::error::Error;
use crate::image::{self, BuiltImage, ImageKind};
use crate::machine::Machine;
use crate::setup::Host;
use crate::verdict::Verdict;
use peer::Peer;
use spans::Share;
use statistics::Spread;

/// How often a count of instructions is taken: they must be equal.
const EXACT_RUNS: usize = 2;
/// QEMU counts one instruction as one nanosecond, and a timer of this frequency shows each.
const ONE_TICK_AN_INSTRUCTION: &str = "cntfrq=1000000000";
const COUNT_INSTRUCTIONS: [&str; 2] = ["-icount", "shift=0"];

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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is called in tables.
    pub name: &'static str,
    /// The image.
    pub image: &'static ImageKind,
    /// What it is told on its command line.
    pub append: &'static str,
    /// What it is, for people.
    pub note: &'static str,
}

/// What every bench measures: the two floors, the library alone, the kernel.
pub const SUBJECTS: [Subject; 4] = [
    Subject {
        name: "bare floor",
        image: &image::YARDSTICK,
        append: "yardstick=bare",
        note: "assembly that only starts CPUs, each of which only counts itself",
    },
    Subject {
        name: "online floor",
        image: &image::YARDSTICK,
        append: "yardstick=online",
        note: "the same, with MMU, interrupt controller and timer switched on",
    },
    Subject {
        name: "library alone",
        image: &image::YARDSTICK,
        append: "yardstick=library",
        note: "the library, without hotplug steps and without a trace",
    },
    Subject {
        name: "kernel",
        image: &image::KERNEL,
        append: "",
        note: "the reference kernel, with all its hotplug steps and its trace",
    },
];
/// The place of the online floor among the subjects: what times are compared with.
const ONLINE_FLOOR: usize = 1;
/// The place of the kernel.
const KERNEL: usize = 3;

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many CPUs the machine had.
    pub cpus: u32,
    /// What was measured.
    pub subject: String,
    /// Instructions of the phase for each CPU that was brought up, both sides together; `None` where they were not equal in two
    /// runs, or the system cannot be counted. A peer's is as exact as the time stamps of its console.
    pub instructions_per_cpu: Option<f64>,
    /// The phase's time.
    pub time: Spread,
    /// The lower quartile of the time over that of the online floor.
    pub over_online_floor: f64,
    /// What the subject is; of a peer also how it was measured, and what else it does in the phase.
    pub note: String,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
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
}

/// Measures. `progress` hears what is being done.
///
/// # Errors
/// [`Error`]: the first run that goes wrong ends the bench, since what is left would not be comparable.
pub fn run(host: &Host, options: &BenchOptions, progress: &mut dyn FnMut(&str)) -> Result<Bench, Error> {
    let images = SUBJECTS.iter().map(|subject| image::build(host, subject.image, &[]));
    let images: Vec<BuiltImage> = images.collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for &cpus in &options.cpus {
        rows.extend(measure(host, &images, options, cpus, progress)?);
    }
    let spans = match options.cpus.iter().max() {
        Some(&cpus) if options.spans => {
            progress(&format!("{cpus} CPUs: where the kernel's instructions go"));
            let run = counted(host, &images[KERNEL], &SUBJECTS[KERNEL], options.machine, cpus)?;
            run.report.as_ref().map(spans::of).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    Ok(Bench { qemu: qemu_version(host), runs: options.runs, rows, not_measured: not_measured(options), spans })
}

/// Which peers have no row with which numbers of CPUs, in sentences.
fn not_measured(options: &BenchOptions) -> Vec<String> {
    let refusals = |&cpus: &u32| options.peers.iter().filter_map(move |peer| peer.refusal(cpus));
    options.cpus.iter().flat_map(refusals).collect()
}

fn qemu_version(host: &Host) -> String {
    let output = crate::toolchain::output(std::process::Command::new(&host.qemu).arg("--version"));
    output.and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}

/// The rows of one number of CPUs.
fn measure(
    host: &Host,
    images: &[BuiltImage],
    options: &BenchOptions,
    cpus: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Row>, Error> {
    progress(&format!("{cpus} CPUs: counting instructions"));
    let mut counts = Vec::new();
    for (subject, image) in SUBJECTS.iter().zip(images) {
        counts.push(count(host, image, subject, options.machine, cpus)?);
    }
    let mut times = vec![Vec::new(); SUBJECTS.len()];
    let peers: Vec<&Peer> = options.peers.iter().filter(|peer| peer.refusal(cpus).is_none()).collect();
    let mut peer_times = vec![Vec::new(); peers.len()];
    let start = Instant::now();
    for round in 1..=options.runs {
        let left = progress::left(start.elapsed(), round - 1, options.runs);
        progress(&format!("{cpus} CPUs: round {round} of {}{left}", options.runs));
        for ((subject, image), times) in SUBJECTS.iter().zip(images).zip(&mut times) {
            let run = one_run(host, image, subject, &plain(subject, options.machine, cpus))?;
            times.push(phase(&run));
        }
        for (peer, times) in peers.iter().zip(&mut peer_times) {
            times.push(peer.phase(cpus)?);
        }
    }
    let floor = Spread::of(&times[ONLINE_FLOOR]);
    let mut peer_counts = Vec::new();
    for peer in &peers {
        peer_counts.push(if peer.counts() {
            progress(&format!("{cpus} CPUs: counting the instructions of {}", peer.name()));
            Some(peer.count(cpus)?)
        } else {
            None
        });
    }
    let row = |subject: &str, count: Option<f64>, times: &[u64], note: String| {
        let time = Spread::of(times);
        Row {
            cpus,
            subject: subject.to_owned(),
            instructions_per_cpu: count,
            over_online_floor: time.lower_quartile / floor.lower_quartile,
            time,
            note,
        }
    };
    let own = SUBJECTS.iter().zip(counts).zip(&times);
    let mut rows: Vec<Row> =
        own.map(|((subject, count), times)| row(subject.name, count, times, subject.note.to_owned())).collect();
    let peers = peers.iter().zip(&peer_times).zip(peer_counts);
    rows.extend(peers.map(|((peer, times), count)| row(peer.name(), count, times, peer.note())));
    Ok(rows)
}

/// Instructions for each CPU that was brought up, if all counts are equal.
fn count(
    host: &Host,
    image: &BuiltImage,
    subject: &Subject,
    machine: &'static Machine,
    cpus: u32,
) -> Result<Option<f64>, Error> {
    let mut counts = Vec::new();
    for _ in 0..EXACT_RUNS {
        counts.push(phase(&counted(host, image, subject, machine, cpus)?));
    }
    let exact = counts.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(exact.then(|| per_cpu(counts[0], cpus)))
}

/// The share of each CPU that was brought up.
fn per_cpu(count: u64, cpus: u32) -> f64 {
    count as f64 / f64::from(cpus.saturating_sub(1).max(1))
}

/// The arguments with which QEMU counts instructions: one is a nanosecond of the machine's clock.
fn counting(machine: &Machine) -> (String, Vec<String>) {
    (format!("{},{ONE_TICK_AN_INSTRUCTION}", machine.cpu_model), COUNT_INSTRUCTIONS.map(str::to_owned).to_vec())
}

fn plain(subject: &Subject, machine: &'static Machine, cpus: u32) -> BootOptions {
    // A bench must not end because the host is busy: 512 CPUs that are counted take minutes there.
    let (deadline, timeout) = (Some(Duration::from_secs(30)), Some(Duration::from_secs(1800)));
    BootOptions { machine, cpus, append: Some(subject.append.to_owned()), deadline, timeout, ..BootOptions::default() }
}

/// A run in which the report's nanoseconds are instructions.
fn counted(
    host: &Host,
    image: &BuiltImage,
    subject: &Subject,
    machine: &'static Machine,
    cpus: u32,
) -> Result<BootRun, Error> {
    let (cpu_model, qemu_arguments) = counting(machine);
    let options = BootOptions { cpu_model: Some(cpu_model), qemu_arguments, ..plain(subject, machine, cpus) };
    one_run(host, image, subject, &options)
}

fn one_run(host: &Host, image: &BuiltImage, subject: &Subject, options: &BootOptions) -> Result<BootRun, Error> {
    let run = boot::run(host, image, options, &mut Silent)?;
    let what = match &run.verdict {
        Verdict::AllOnline => return Ok(run),
        Verdict::NotAllOnline(problems) => problems.join("; "),
        Verdict::TimedOut(limit) => format!("it did not end within {} s", limit.as_secs()),
        Verdict::Died(how) => how.clone(),
    };
    Err(BenchError::Run { subject: subject.name.to_owned(), cpus: options.cpus, what }.into())
}

fn phase(run: &BootRun) -> u64 {
    run.report.as_ref().map_or(0, |report| report.bringup_ns)
}
