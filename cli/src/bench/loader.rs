//! What the boot loader gains by checking its payload on two CPUs instead of one, beside what the host's own threads gain at the same
//! time by the same work: QEMU's CPUs cannot gain more than the host offers.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::statistics::Spread;
use super::table::{milliseconds, push_table};
use super::{BenchError, qemu_version};
use crate::boot::{self, BootOptions};
use crate::console::Silent;
use crate::error::Error;
use crate::image::{self, BuiltImage, ImageError};
use crate::inspect::text::wrap;
use crate::machine::MACHINES;
use crate::report::{CpuReport, Phase, Report};
use crate::setup::Host;
use crate::verdict::Verdict;

/// How many check, in turns.
const CHECKERS: [usize; 2] = [1, 2];
/// The sizes of a chunk, of what is checked beside the kernel, and of what a thread of the host takes at once, in bytes.
const CHUNK: usize = 64 << 10;
const INITRD: usize = 32 << 20;
const HOST_WORK: usize = 64 << 20;
/// The loader's spans: all of the check, and what one CPU does of it.
const CHECK: &str = "check_payload";
const SHARE: &str = "check_chunks";

/// With one number of CPUs, or of threads.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many there were.
    pub checkers: usize,
    /// How long the loader's check took.
    pub check: Spread,
    /// The time of all its CPUs together.
    pub on_cpus: Spread,
    /// How long the host took for other data of the same kind, with as many threads.
    pub host: Spread,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct LoaderBench {
    /// The QEMU that ran everything.
    pub qemu: String,
    /// How often each time was taken.
    pub runs: u32,
    /// How many bytes the loader checked.
    pub bytes: usize,
    /// How many threads the host runs at once.
    pub host_threads: usize,
    /// With one, and with two.
    pub rows: Vec<Row>,
}

/// Measures. `progress` hears what is being done.
///
/// # Errors
/// [`Error`]: the first run that goes wrong ends the bench.
pub fn run(host: &Host, runs: u32, progress: &mut dyn FnMut(&str)) -> Result<LoaderBench, Error> {
    let kernel = image::build(host, &image::KERNEL, &[])?;
    let loader = image::build(host, &image::LOADER, &[])?;
    let folder = tempfile::tempdir().map_err(|source| Error::FirmwareLog { source })?;
    let (payload, bytes) = write_payload(&kernel, folder.path())?;
    let mut times: [[Vec<u64>; 3]; CHECKERS.len()] = Default::default();
    for round in 1..=runs {
        progress(&format!("checks by 1 and 2 CPUs: round {round} of {runs}"));
        for (checkers, [check, on_cpus, own]) in CHECKERS.into_iter().zip(&mut times) {
            let report = check_with(host, &loader, &payload, checkers)?;
            check.push(spans(&report, CHECK).sum());
            on_cpus.push(spans(&report, SHARE).sum());
            own.push(on_host(checkers));
        }
    }
    let rows = CHECKERS.into_iter().zip(&times).map(|(checkers, times)| {
        let [check, on_cpus, host] = times.each_ref().map(|times| Spread::of(times));
        Row { checkers, check, on_cpus, host }
    });
    Ok(LoaderBench {
        qemu: qemu_version(host),
        runs,
        bytes,
        host_threads: thread::available_parallelism().map_or(1, usize::from),
        rows: rows.collect(),
    })
}

/// QEMU's arguments for a payload of the kernel and an initrd, of which the kernel takes no notice; and its size.
fn write_payload(kernel: &BuiltImage, folder: &Path) -> Result<(Vec<String>, usize), Error> {
    let failed = |path: &Path, source| Error::Image(ImageError::File { path: path.to_owned(), source });
    let content = fs::read(&kernel.flat).map_err(|source| failed(&kernel.flat, source))?;
    let initrd = vec![0; INITRD];
    let digests = payload_digests::write(CHUNK, &[("kernel", &content), ("initrd", &initrd)]);
    let bytes = content.len() + initrd.len();
    let command_line = b"reveille.exit=semihosting".to_vec();
    let files = [("kernel", content), ("initrd", initrd), ("digests", digests.into_bytes()), ("cmdline", command_line)];
    let mut arguments = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|source| failed(&path, source))?;
        // A comma in a property's value is written twice.
        let file = path.to_string_lossy().replace(',', ",,");
        arguments.extend(["-fw_cfg".to_owned(), format!("name=opt/reveille/{name},file={file}")]);
    }
    Ok((arguments, bytes))
}

/// Boots two CPUs, of which as many check: the loader's report.
fn check_with(host: &Host, loader: &BuiltImage, payload: &[String], checkers: usize) -> Result<Report, Error> {
    let options = BootOptions {
        machine: &MACHINES[0],
        cpus: 2,
        append: Some(format!("loader.checkers={checkers}")),
        timeout: Some(Duration::from_secs(600)),
        qemu_arguments: payload.to_vec(),
        ..BootOptions::default()
    };
    let run = boot::run(host, loader, &options, &mut Silent)?;
    match (&run.verdict, run.report.as_ref().and_then(|report| report.stage("loader"))) {
        (Verdict::AllOnline, Some(report)) => Ok(report.clone()),
        (verdict, _) => {
            let what = format!("{verdict:?}");
            Err(BenchError::Run { subject: "loader".into(), cpus: options.cpus, what }.into())
        }
    }
}

/// How long the spans of that name were, one of each CPU that has it.
fn spans<'a>(report: &'a Report, name: &'a str) -> impl Iterator<Item = u64> + 'a {
    let at = move |cpu: &CpuReport, phase| {
        cpu.events.iter().find(|event| event.name == name && event.phase == phase).map(|event| event.ns)
    };
    report.cpus.iter().filter_map(move |cpu| at(cpu, Phase::End)?.checked_sub(at(cpu, Phase::Begin)?))
}

/// The nanoseconds that the host takes for the same amount of work, shared by `threads` threads.
fn on_host(threads: usize) -> u64 {
    let data = vec![0u8; HOST_WORK];
    let begun = Instant::now();
    thread::scope(|scope| {
        for share in data.chunks(HOST_WORK.div_ceil(threads)) {
            scope.spawn(|| share.chunks(CHUNK).for_each(|chunk| _ = std::hint::black_box(Sha256::digest(chunk))));
        }
    });
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The result as a table.
#[must_use]
pub fn draw(bench: &LoaderBench, width: usize) -> String {
    let mut text = String::new();
    let header =
        ["checked by", "time, lower quartile", "(min, median, upper)", "speed-up", "on all CPUs", "host's threads"];
    let one = bench.rows.first();
    let speed_up = |time: fn(&Row) -> f64, row: &Row| one.map_or(1.0, |one| time(one) / time(row));
    let rows = bench.rows.iter().map(|row| {
        let [minimum, median, upper] =
            [row.check.minimum, row.check.median, row.check.upper_quartile].map(milliseconds);
        vec![
            format!("{} CPU{}", row.checkers, if row.checkers == 1 { "" } else { "s" }),
            milliseconds(row.check.lower_quartile),
            format!("{minimum}, {median}, {upper}"),
            format!("{:.2}", speed_up(|row| row.check.lower_quartile, row)),
            milliseconds(row.on_cpus.lower_quartile),
            format!("{:.2}", speed_up(|row| row.host.lower_quartile, row)),
        ]
    });
    push_table(&mut text, &header, &rows.collect::<Vec<_>>());
    let ran = format!(
        "{} bytes, {} runs of each in turns on {}, two CPUs in all of them. The time on all CPUs has in it what each waits for the host. The last column is the speed-up of threads of this host, \
         which runs {} at once, in the same turns: what it offers.",
        bench.bytes, bench.runs, bench.qemu, bench.host_threads
    );
    text.push_str(&format!("\n{}\n", wrap(&ran, 0, width)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_speed_up_of_the_loader_and_of_the_host() {
        let row = |checkers, check, host| Row {
            checkers,
            check: Spread::of(&[check]),
            on_cpus: Spread::of(&[8_000_000]),
            host: Spread::of(&[host]),
        };
        let rows = vec![row(1, 8_000_000, 3_000_000), row(2, 5_000_000, 2_000_000)];
        let bench = LoaderBench { qemu: "QEMU".into(), runs: 1, bytes: 1, host_threads: 2, rows };
        let text = draw(&bench, 100);
        let two = text.lines().find(|line| line.contains("2 CPUs ")).unwrap();
        assert!(two.contains("5.00 ms") && two.contains("1.60") && two.contains("1.50"), "{text}");
    }
}
