//! What a hypervisor costs: Debian's Linux from its first instruction to its init's, bare, as guest 0 of the hypervisor of ours, and on
//! Debian's Xen; and what a guest's calls and interrupts cost.
//!
//! [`stopwatch`] is how Linux is timed, [`systems`] what it is booted on, and [`calls`] what calls cost.

pub mod calls;
pub mod stopwatch;
pub mod systems;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::progress;
use super::statistics::Spread;
use super::table::{milliseconds, push_table};
use super::{BenchError, EXACT_RUNS, qemu_version};
use crate::console::Line;
use crate::error::Error;
use crate::inspect::text::wrap;
use crate::qemu;
use crate::setup::Host;
use calls::Calls;
use stopwatch::{Reading, TimedLinux};
use systems::{BENEATH, NANOSECONDS_A_TICK, Prepared};

/// With how many CPUs instructions are counted, one after the other.
const COUNTED_CPUS: [u32; 2] = [1, 4];
/// With how many the time is taken.
const TIMED_CPUS: u32 = 4;
/// How long a boot may take, on a busy host.
const LIMIT: Duration = Duration::from_secs(600);

/// Linux's boot on one of the systems.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it ran on.
    pub beneath: &'static str,
    /// Instructions with each number of CPUs in [`HypervisorBench::counted_cpus`]; `None` where they are not counted, or two runs differ.
    pub instructions: Vec<Option<u64>>,
    /// The time with several CPUs.
    pub time: Spread,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct HypervisorBench {
    /// The QEMU that ran everything.
    pub qemu: String,
    /// The Linux that was booted.
    pub linux: String,
    /// How often each time was taken.
    pub runs: u32,
    /// With how many CPUs instructions were counted.
    pub counted_cpus: Vec<u32>,
    /// What others are compared with first.
    pub rows: Vec<Row>,
    /// What calls cost.
    pub calls: Vec<Calls>,
}

/// Measures. `progress` hears what is being done.
///
/// # Errors
/// [`Error`]: the first run that goes wrong ends the bench.
pub fn run(host: &Host, runs: u32, progress: &mut dyn FnMut(&str)) -> Result<HypervisorBench, Error> {
    let folder = tempfile::tempdir().map_err(|source| Error::FirmwareLog { source })?;
    let linux = stopwatch::make(host, folder.path())?;
    progress("calls and interrupts: counting instructions");
    let calls = calls::count(host)?;
    let systems: Vec<Prepared> =
        BENEATH.iter().map(|beneath| Prepared::new(host, beneath, &linux)).collect::<Result<_, _>>()?;
    let mut instructions = Vec::new();
    for system in &systems {
        progress(&format!("Linux on {}: counting instructions", system.beneath.name));
        let counts = COUNTED_CPUS.iter().map(|&cpus| count(host, system, cpus));
        instructions.push(counts.collect::<Result<Vec<_>, _>>()?);
    }
    let times = take_times(host, &systems, runs, progress)?;
    let rows = systems.iter().zip(instructions).zip(times).map(|((system, instructions), times)| Row {
        beneath: system.beneath.name,
        instructions,
        time: Spread::of(&times),
    });
    let TimedLinux { linux, .. } = linux;
    Ok(HypervisorBench {
        qemu: qemu_version(host),
        linux,
        runs,
        counted_cpus: COUNTED_CPUS.to_vec(),
        rows: rows.collect(),
        calls,
    })
}

/// The times of each system in nanoseconds, taken in turns.
fn take_times(
    host: &Host,
    systems: &[Prepared],
    runs: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Vec<u64>>, Error> {
    let mut times = vec![Vec::new(); systems.len()];
    let start = Instant::now();
    for round in 1..=runs {
        let left = progress::left(start.elapsed(), round - 1, runs);
        progress(&format!("Linux with {TIMED_CPUS} CPUs: round {round} of {runs}{left}"));
        for (system, times) in systems.iter().zip(&mut times) {
            times.push(boot(host, system, TIMED_CPUS, false)? * NANOSECONDS_A_TICK);
        }
    }
    Ok(times)
}

/// Instructions, if they can be counted and all counts are equal.
fn count(host: &Host, system: &Prepared, cpus: u32) -> Result<Option<u64>, Error> {
    if !system.beneath.counted.contains(&cpus) {
        return Ok(None);
    }
    let counts = (0..EXACT_RUNS).map(|_| boot(host, system, cpus, true)).collect::<Result<Vec<_>, _>>()?;
    Ok(counts.windows(2).all(|pair| pair[0] == pair[1]).then(|| counts[0]))
}

/// Boots Linux once: ticks of the counter.
fn boot(host: &Host, system: &Prepared, cpus: u32, is_counted: bool) -> Result<u64, Error> {
    let folder = tempfile::tempdir().map_err(|source| Error::FirmwareLog { source })?;
    let arguments = system.arguments(host, cpus, is_counted, folder.path())?;
    let mut reading = Reading::default();
    let mut last_line = String::new();
    let finished = qemu::run_until(&host.qemu, &arguments, LIMIT, |line| {
        if let Line::Text(text) = line {
            reading.see(&text);
            last_line = text;
        }
        if reading.ticks().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    reading.ticks().ok_or_else(|| {
        let (subject, ending) = (system.beneath.name.to_owned(), finished.ending);
        let what = format!("its init did not say the time ({ending:?}); the last line is {last_line:?}");
        BenchError::Run { subject, cpus, what }.into()
    })
}

/// The result as tables.
#[must_use]
pub fn draw(bench: &HypervisorBench, width: usize) -> String {
    let mut text = String::new();
    let first = bench.rows.first();
    let counted = |cpus: &u32| format!("instructions, {cpus} CPU{}", if *cpus == 1 { "" } else { "s" });
    let counted: Vec<String> = bench.counted_cpus.iter().map(counted).collect();
    let mut header = vec!["Linux on"];
    counted.iter().for_each(|counted| header.extend([&**counted, "over bare"]));
    let time = format!("time, {TIMED_CPUS} CPUs, median");
    header.extend([&*time, "(min, lower, upper)", "over bare"]);
    let rows: Vec<Vec<String>> = bench.rows.iter().map(|row| cells(row, first)).collect();
    push_table(&mut text, &header, &rows);
    text.push('\n');
    let rows: Vec<Vec<String>> = bench.calls.iter().map(call_cells).collect();
    push_table(
        &mut text,
        &["instructions", "PSCI_VERSION", "id register", "interrupt", "CPU_ON to first instruction"],
        &rows,
    );
    let ran = format!(
        "{}, from its first instruction to the first of its init, by its own virtual counter; {} runs of each in turns, on {}. \
         Instructions are those of all CPUs together (-icount shift=0), a nanosecond of idle time being one, and two runs count the same. Xen \
         is counted with one CPU only: it polls for others without a pause. Calls are counted with two CPUs; what QEMU's own PSCI costs is \
         the loop around the call.",
        bench.linux, bench.runs, bench.qemu
    );
    text.push_str(&format!("\n{}\n", wrap(&ran, 0, width)));
    text
}

fn cells(row: &Row, first: Option<&Row>) -> Vec<String> {
    let ratio = |value: f64, bare: f64| if bare > 0.0 { format!("{:.2}", value / bare) } else { "-".to_owned() };
    let mut cells = vec![row.beneath.to_owned()];
    for (place, count) in row.instructions.iter().enumerate() {
        let bare = first.and_then(|first| *first.instructions.get(place)?);
        let over = count.zip(bare).map_or("-".to_owned(), |(count, bare)| ratio(count as f64, bare as f64));
        cells.extend([count.map_or("-".to_owned(), |count| format!("{:.1} million", count as f64 / 1e6)), over]);
    }
    let Spread { minimum, lower_quartile, median, upper_quartile, .. } = row.time;
    let [minimum, lower, upper] = [minimum, lower_quartile, upper_quartile].map(milliseconds);
    let over = ratio(median, first.map_or(0.0, |first| first.time.median));
    cells.extend([milliseconds(median), format!("{minimum}, {lower}, {upper}"), over]);
    cells
}

fn call_cells(calls: &Calls) -> Vec<String> {
    let count = |count: f64| format!("{count:.0}");
    vec![calls.name.to_owned(), count(calls.version), count(calls.id), count(calls.interrupt), count(calls.first)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_compared_with_the_first_row_and_what_was_not_counted_is_no_figure() {
        let row = |beneath, instructions: [Option<u64>; 2], time| Row {
            beneath,
            instructions: instructions.to_vec(),
            time: Spread::of(&[time]),
        };
        let bench = HypervisorBench {
            qemu: "QEMU 7".into(),
            linux: "linux-6".into(),
            runs: 1,
            counted_cpus: vec![1, 4],
            rows: vec![
                row("bare", [Some(1_000_000_000), Some(2_000_000_000)], 4_000_000),
                row("ours", [Some(1_100_000_000), None], 5_000_000),
            ],
            calls: vec![Calls { name: "guest", version: 512.4, id: 2.0, interrupt: 1000.0, first: 99.0 }],
        };
        let text = draw(&bench, 100);
        let ours = text.lines().find(|line| line.starts_with("| ours ")).unwrap();
        let cells: Vec<&str> = ours.split('|').map(str::trim).collect();
        let expected =
            ["", "ours", "1100.0 million", "1.10", "-", "-", "5.00 ms", "5.00 ms, 5.00 ms, 5.00 ms", "1.25", ""];
        assert_eq!(cells, expected, "{text}");
        assert!(text.contains("| guest ") && text.contains("| 512 "), "{text}");
        assert!(text.contains("linux-6, from its first instruction"), "{text}");
    }

    #[test]
    fn every_number_of_cpus_that_is_counted_has_a_column() {
        assert!(BENEATH.iter().all(|beneath| beneath.counted.iter().all(|cpus| COUNTED_CPUS.contains(cpus))));
    }
}
