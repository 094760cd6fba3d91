//! What a machine says while it runs, and what that comes to when it has ended.

use std::path::Path;
use std::time::Duration;

use reveille_trace_format::PROMPT;

use super::BootOptions;
use crate::console::{Console, ConsoleSink, Line, Splitter};
use crate::foreign::behind_loader;
use crate::foreign::judge::{self, Ended};
use crate::foreign::text::Said;
use crate::image::BuiltImage;
use crate::pattern::Pattern;
use crate::qemu::{Ending, Finished};
use crate::report::Report;
use crate::report::assemble::Assembly;
use crate::stack::System;
use crate::verdict::{self, Verdict};

/// Takes a machine's lines as they come.
pub(super) struct Heard<'a> {
    sink: &'a mut dyn ConsoleSink,
    /// What is said when the machine is up, if it is waited for.
    ready: Option<&'a Pattern>,
    is_ready: bool,
    console: Console,
    /// The prompt behind which a line goes on.
    prompt: &'static str,
    assembly: Assembly,
}

impl<'a> Heard<'a> {
    pub(super) fn new(sink: &'a mut dyn ConsoleSink, ready: Option<&'a Pattern>) -> Self {
        let (console, assembly) = Default::default();
        Self { sink, ready, is_ready: false, console, prompt: "", assembly }
    }

    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Text(text) => {
                self.sink.text(&text);
                self.is_ready |= self.ready.is_some_and(|ready| ready.is_in(&text));
                self.console.push(&format!("{}{text}", std::mem::take(&mut self.prompt)));
            }
            Line::Record(record) => {
                self.sink.record(&record);
                self.assembly.take(record);
            }
            Line::Prompt => {
                self.sink.prompt();
                self.prompt = PROMPT;
            }
        }
    }

    /// Whether it said that it is up.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether it said nothing at all.
    pub(super) fn is_silent(&self) -> bool {
        self.console.lines().len() == 0 && !self.assembly.has_begun()
    }

    /// How the run went, what it reported, and its console. `firmware_log` is what firmware of ours left on its serial line.
    pub(super) fn conclude(
        self,
        options: &BootOptions,
        image: &BuiltImage,
        finished: &Finished,
        limit: Duration,
        firmware_log: Option<&Path>,
    ) -> (Verdict, Option<Report>, Console) {
        let machine = options.machine.name;
        let timed_out = finished.ending == Ending::TimedOut;
        let firmware = firmware_log.and_then(|log| firmware_report(log, machine, timed_out));
        let system = options.stack.system();
        let unknown_schema = self.assembly.unknown_schema();
        let mut own = self.assembly.finish_all(machine, timed_out);
        // A loader that refuses is the last stage.
        let was_started = own.last().is_none_or(|loader| loader.passed);
        let is_guest = options.stack.has_hypervisor();
        let (verdict, mut report) = if system.is_foreign() && !is_guest && was_started {
            let said = Said::new(self.console.lines());
            let ended = ended(finished, self.is_ready, &said, firmware.as_ref());
            let awaited = self.ready.is_some();
            let version = version(system, &image.flat);
            let (name, version) = (system.name(), version.as_str());
            let report = match (&firmware, own.last()) {
                (Some(below), _) => Some(judge::report(name, version, below, &said, &ended, awaited)),
                (None, Some(loader)) if !options.stack.has_firmware() => {
                    Some(behind_loader::report(name, version, loader, &said, &ended, awaited))
                }
                _ => None,
            };
            (judge::verdict(report.as_ref(), &ended, awaited, limit), report)
        } else {
            let report = own.pop();
            let verdict = match unknown_schema {
                Some(schema) => {
                    Verdict::Died(format!("the image speaks version {schema} of the records, which is unknown here"))
                }
                None => verdict::judge(finished.ending, limit, report.as_ref()),
            };
            // The hypervisor goes on when a guest dies.
            let crash = (system.is_foreign() && is_guest).then(|| Said::new(self.console.lines()).crash).flatten();
            let verdict = crash.map_or(verdict, Verdict::Died);
            (verdict, report)
        };
        if let Some(report) = &mut report {
            let firmware = firmware.map(|firmware| Report { end: report.end, ..firmware });
            let before: Vec<Report> = firmware.into_iter().chain(own).collect();
            if !before.is_empty() {
                let last = report.clone();
                report.stages = before.into_iter().chain([last]).collect();
            }
        }
        (verdict, report, self.console)
    }
}

/// Which version of a system a file is, where its name says so, as those of Debian's packages do.
fn version(system: &System, image: &Path) -> String {
    let name = image.file_stem().unwrap_or_default().to_string_lossy();
    let digits = name.find(|character: char| character.is_ascii_digit());
    match (system, digits) {
        (System::Linux(_) | System::Xen(_), Some(begin)) => name[begin..].to_owned(),
        _ => "of unknown version".to_owned(),
    }
}

/// What firmware of ours left on its serial line, if it was anything.
fn firmware_report(log: &Path, machine: &str, timed_out: bool) -> Option<Report> {
    let bytes = std::fs::read(log).ok()?;
    let mut splitter = Splitter::default();
    let mut assembly = Assembly::default();
    let lines = splitter.push(&bytes).into_iter().chain(splitter.finish());
    lines.for_each(|line| {
        if let Line::Record(record) = line {
            assembly.take(record);
        }
    });
    assembly.finish(machine, timed_out)
}

/// How a run of a system that is not ours ended.
fn ended(finished: &Finished, is_ready: bool, said: &Said, firmware: Option<&Report>) -> Ended {
    let called =
        |function: &str| firmware.is_some_and(|firmware| firmware.calls.iter().any(|call| call.function == function));
    match (&said.crash, finished.ending) {
        (Some(line), _) => Ended::Crashed(line.clone()),
        _ if is_ready => Ended::Ready,
        (None, Ending::TimedOut) => Ended::TimedOut,
        (None, Ending::Exited(Some(0))) if firmware.is_none() || called("SYSTEM_OFF") => Ended::Off,
        (None, Ending::Exited(Some(0))) if called("SYSTEM_RESET") => Ended::Reset,
        (None, Ending::Exited(Some(code))) => Ended::Otherwise(format!("QEMU ended with exit code {code}")),
        (None, Ending::Exited(None)) => Ended::Otherwise("a signal ended QEMU".into()),
    }
}
