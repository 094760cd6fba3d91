//! What the command does with its arguments, and what it says when it fails.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use reveille::HwId;

use crate::args::{
    Action, Arguments, BenchArguments, BootArguments, BootCommand, DiffArguments, DoctorArguments, InspectArguments,
    ShowArguments, SoakArguments, TortureArguments, ViewArguments,
};
use crate::bench::peer::{self, PeerRequest};
use crate::bench::progress::Progress;
use crate::bench::{self, BenchError};
use crate::boot::{self, BootOptions, BootRun};
use crate::error::Error;
use crate::exit::ExitStatus;
use crate::inspect::Inspection;
use crate::keyboard::Keyboard;
use crate::live::{Live, Plain};
use crate::machine::{ARCHITECTURES, MACHINES, Machine};
use crate::output::OutputFile;
use crate::report::{Report, read};
use crate::simulation::{self, SimulationOptions};
use crate::verdict::Verdict;
use crate::{diff, image, inspect, interrupt, perfetto, setup, style, summary, timeline, torture, tree};

/// How many of a dead machine's last console lines are shown.
const LAST_LINES: usize = 20;
/// The width of the output where there is no terminal to ask.
const WIDTH: usize = 100;

/// Does what the words of a command line say.
#[must_use]
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let status = act(words);
    let Some(source) = unprinted().take() else { return status };
    let error = Error::Unprinted { source };
    complain(&error.to_string());
    if status == ExitStatus::Fine { ExitStatus::from(&error) } else { status }
}

/// Does it, and complains where it cannot.
fn act(words: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let action = match Arguments::read(words) {
        Ok(arguments) => arguments.action(),
        Err(help) if help.asked_for => {
            print(&help.text);
            return ExitStatus::Fine;
        }
        Err(refused) => {
            complain(&refused.text);
            return ExitStatus::WrongUse;
        }
    };
    let result = match action {
        Action::Boot(arguments) => boot(&arguments),
        Action::Soak(arguments) => soak(&arguments),
        Action::Torture(arguments) => torture(&arguments),
        Action::Show(arguments) => show(&arguments),
        Action::Diff(arguments) => diff(&arguments),
        Action::Bench(arguments) => bench(&arguments),
        Action::Inspect(arguments) => Ok(inspect(&arguments)),
        Action::Doctor(arguments) => doctor(&arguments),
    };
    result.unwrap_or_else(|error| {
        // From a terminal, the interrupt ends what the command has started as well: apt, say, or cargo.
        let error = if interrupt::requested() { Error::Interrupted } else { error };
        complain(&error.to_string());
        ExitStatus::from(&error)
    })
}

fn boot(arguments: &BootCommand) -> Result<ExitStatus, Error> {
    match arguments.simulation()? {
        Some(options) => simulate(&arguments.boot, &options),
        None => boot_with(&arguments.boot, &arguments.boot.options()?),
    }
}

/// Simulates a boot, and says so before anything else.
fn simulate(arguments: &BootArguments, options: &SimulationOptions) -> Result<ExitStatus, Error> {
    let mut files = Files::default();
    files.open(arguments.report.as_deref(), "report", Report::to_json)?;
    files.open_views(&arguments.views)?;
    let simulated = simulation::run(options)?;
    print(&format!("{}: no image runs, and no time is measured\n\n", style::paint(style::ODD, "A simulated machine")));
    if let Some(report) = &simulated.report {
        describe(report, &arguments.views);
        files.write(report)?;
    }
    if let Verdict::NotAllOnline(problems) = &simulated.verdict {
        complain(&problems.join("; "));
    }
    Ok(ExitStatus::from(&simulated.verdict))
}

fn soak(arguments: &SoakArguments) -> Result<ExitStatus, Error> {
    boot_with(&arguments.boot, &arguments.options()?)
}

/// Boots, and shows what `arguments` ask to see.
fn boot_with(arguments: &BootArguments, options: &BootOptions) -> Result<ExitStatus, Error> {
    let mut files = Files::default();
    files.open(arguments.report.as_deref(), "report", Report::to_json)?;
    files.open_views(&arguments.views)?;
    let host = setup::ensure(options.machine.architecture())?;
    let image = image::build_for(&host, options.machine, &options.stack, &[])?;
    let run = if arguments.interactive {
        let keyboard = Keyboard::standard_input();
        let keyboard = if options.prompts() { keyboard } else { keyboard.without_prompts() };
        boot::converse(&host, &image, options, keyboard, &mut Plain::new(print))?
    } else {
        boot::run(&host, &image, options, &mut Live::new(|line| print(&format!("{line}\n"))))?
    };
    if let Some(report) = &run.report {
        print("\n");
        describe(report, &arguments.views);
    }
    explain(&run);
    match &run.report {
        Some(report) => files.write(report)?,
        None if files.0.is_empty() => {}
        None => complain("the image reported nothing, so there is nothing to write to files"),
    }
    Ok(ExitStatus::from(&run.verdict))
}

fn torture(arguments: &TortureArguments) -> Result<ExitStatus, Error> {
    let options = arguments.options()?;
    if let Some(folder) = &options.folder {
        let refused = |source| Error::OutputPath { path: folder.clone(), what: "timelines", source };
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    let host = setup::ensure(MACHINES[0].architecture())?;
    let mut progress = Progress::default();
    let torture = torture::run(&host, &options, &mut |what| progress.say(what))?;
    drop(progress);
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&torture).unwrap_or_default())
    } else {
        torture::table::draw(&torture)
    };
    print(&text);
    Ok(ExitStatus::from(&torture))
}

fn show(arguments: &ShowArguments) -> Result<ExitStatus, Error> {
    let report = read::read(&arguments.report)?;
    let mut files = Files::default();
    files.open_views(&arguments.views)?;
    describe(&report, &arguments.views);
    files.write(&report)?;
    Ok(ExitStatus::Fine)
}

fn diff(arguments: &DiffArguments) -> Result<ExitStatus, Error> {
    let (before, after) = (read::read(&arguments.before)?, read::read(&arguments.after)?);
    let difference = diff::compare(&before, &after, arguments.threshold);
    print(&difference.text);
    Ok(if difference.outcomes_differ { ExitStatus::NotAllOnline } else { ExitStatus::Fine })
}

/// Prints a report.
fn describe(report: &Report, views: &ViewArguments) {
    if views.tree && !report.cpus.is_empty() {
        print(&tree::draw(report, width()));
        print("\n");
    }
    print(&summary::draw(report));
}

/// The files that a report is written to, each in its form.
#[derive(Default)]
struct Files(Vec<(OutputFile, Form)>);

/// Makes the content of a file from a report.
type Form = fn(&Report) -> Vec<u8>;

impl Files {
    fn open(&mut self, path: Option<&Path>, what: &'static str, form: Form) -> Result<(), Error> {
        let Some(path) = path else { return Ok(()) };
        if let Some((other, _)) = self.0.iter().find(|(file, _)| file.is_at(path)) {
            let source = io::Error::other(format!("the {} goes there", other.what()));
            return Err(Error::OutputPath { path: path.to_owned(), what, source });
        }
        self.0.push((OutputFile::open(path, what)?, form));
        Ok(())
    }

    fn open_views(&mut self, views: &ViewArguments) -> Result<(), Error> {
        self.open(views.timeline.as_deref(), "timeline", |report| timeline::draw(report).into_bytes())?;
        self.open(views.perfetto.as_deref(), "trace", |report| perfetto::draw(report).into_bytes())
    }

    /// Writes all of them, also where one cannot be written: of those it is the first that is complained about.
    fn write(self, report: &Report) -> Result<(), Error> {
        self.0.into_iter().map(|(file, form)| file.write(&form(report))).fold(Ok(()), Result::and)
    }
}

fn bench(arguments: &BenchArguments) -> Result<ExitStatus, Error> {
    let mut options = arguments.options()?;
    let host = setup::ensure(options.machine.architecture())?;
    let prepared = arguments.peer.iter().map(|peer: &PeerRequest| peer.prepare(options.machine));
    options.peers = prepared.collect::<Result<_, _>>()?;
    peer::tell_apart(&mut options.peers);
    let mut progress = Progress::default();
    let mut say = |what: &str| progress.say(what);
    let result = if arguments.firmware {
        let bench = bench::firmware::run(&host, options.runs, &mut say)?;
        if arguments.json { in_json(&bench)? } else { bench::firmware::draw(&bench, width()) }
    } else if arguments.loader {
        let bench = bench::loader::run(&host, options.runs, &mut say)?;
        if arguments.json { in_json(&bench)? } else { bench::loader::draw(&bench, width()) }
    } else if arguments.hypervisor {
        let bench = bench::hypervisor::run(&host, options.runs, &mut say)?;
        if arguments.json { in_json(&bench)? } else { bench::hypervisor::draw(&bench, width()) }
    } else {
        let bench = bench::run(&host, &options, &mut say)?;
        if arguments.json { in_json(&bench)? } else { bench::table::draw(&bench, width()) }
    };
    drop(progress);
    print(&result);
    Ok(ExitStatus::Fine)
}

fn in_json(bench: &impl serde::Serialize) -> Result<String, Error> {
    let json = serde_json::to_string_pretty(bench).map_err(|error| BenchError::Peer(error.to_string()))?;
    Ok(format!("{json}\n"))
}

/// Inspects devicetrees. One that cannot be read does not keep the others from being shown.
fn inspect(arguments: &InspectArguments) -> ExitStatus {
    let (inspections, errors) = inspect::inspect_all(&arguments.files, arguments.boot_cpu.map(HwId));
    print(&if arguments.json { inspect::json(&inspections) } else { inspect::text::draw(&inspections, width()) });
    errors.iter().for_each(|error| complain(&error.to_string()));
    match errors.first() {
        Some(error) => ExitStatus::from(error),
        None if inspections.iter().any(Inspection::has_errors) => ExitStatus::NotAllOnline,
        None => ExitStatus::Fine,
    }
}

/// Says what went wrong with a run, if anything did.
fn explain(run: &BootRun) {
    match &run.verdict {
        Verdict::AllOnline => {}
        Verdict::NotAllOnline(problems) => complain(&problems.join("; ")),
        Verdict::TimedOut(limit) => {
            last_words(run);
            complain(&format!("timed out: QEMU was ended after {} s", limit.as_secs_f64()));
        }
        Verdict::Died(how) => {
            last_words(run);
            complain(&format!("the machine died: {how}"));
        }
    }
}

/// Shows the end of the console, and how to run the machine again.
fn last_words(run: &BootRun) {
    let mut text = String::from("\n");
    if run.console.lines().len() > 0 {
        text.push_str(&format!("{}\n", style::paint(style::HEADING, "The last lines of the console:")));
    }
    for line in run.console.last(LAST_LINES) {
        text.push_str(&format!("  {line}\n"));
    }
    if !run.qemu_messages.is_empty() {
        text.push_str(&format!("{}\n{}\n", style::paint(style::HEADING, "QEMU said:"), run.qemu_messages.trim_end()));
    }
    text.push_str(&format!("{}\n{}\n", style::paint(style::HEADING, "The command line was:"), run.command_line));
    let _ = anstream::stderr().write_all(text.as_bytes());
}

fn doctor(arguments: &DoctorArguments) -> Result<ExitStatus, Error> {
    let asked = arguments.machine.as_deref().map(Machine::find).transpose()?;
    let usual = MACHINES[0].architecture();
    let architectures = asked.map_or(ARCHITECTURES.to_vec(), |machine| vec![machine.architecture()]);
    let mut healthy = true;
    for (number, architecture) in architectures.into_iter().enumerate() {
        let diagnosis = setup::diagnose(architecture);
        let is_needed = asked.is_some() || architecture == usual;
        healthy &= diagnosis.healthy || !is_needed;
        let machines = MACHINES.iter().filter(|machine| machine.architecture() == architecture);
        let machines: Vec<&str> = machines.map(|machine| machine.name).collect();
        let heading = format!("For --machine {} ({})", machines.join(" or "), architecture.name);
        let gap = if number > 0 { "\n" } else { "" };
        let note = if is_needed { "" } else { ", which nothing else needs" };
        print(&format!("{gap}{}{note}:\n{}", style::paint(style::HEADING, heading), diagnosis.text));
    }
    Ok(if healthy { ExitStatus::Fine } else { ExitStatus::HostLacks })
}

/// Prints on the standard output. What cannot be printed is no reason to stop: the boot and its report go on. A reader that went away had
/// enough; for any other reason the command says at its end that something is missing.
fn print(text: &str) {
    let mut output = anstream::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => _ = unprinted().get_or_insert(error),
        _ => {}
    }
}

/// Why something could not be printed: the first reason.
fn unprinted() -> MutexGuard<'static, Option<io::Error>> {
    static UNPRINTED: Mutex<Option<io::Error>> = Mutex::new(None);
    UNPRINTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn complain(sentence: &str) {
    let _ = writeln!(anstream::stderr(), "{}: {sentence}", style::paint(style::BAD, "reveille"));
}

fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(WIDTH, |(width, _)| usize::from(width.0))
}
