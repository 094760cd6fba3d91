//! What a machine says while it runs, and what that comes to when it has ended.

use std::path::Path;
use std::time::Duration;

use reveille_trace_format::{PROMPT, Record};

use super::BootOptions;
use super::guests::{self, Guests};
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

/// What the hypervisor of ours calls itself.
const HYPERVISOR: &str = "hypervisor";

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
    guests: Guests,
    /// The status with which an image said that it ends the run.
    status: Option<u8>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(sink: &'a mut dyn ConsoleSink, ready: Option<&'a Pattern>) -> Self {
        let (console, assembly, guests) = Default::default();
        Self { sink, ready, is_ready: false, console, prompt: "", assembly, guests, status: None }
    }

    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Text(text) => {
                self.sink.text(&text);
                self.is_ready |= self.ready.is_some_and(|ready| ready.is_in(&text));
                self.guests.take(&text, self.assembly.guest_count());
                self.console.push(&format!("{}{text}", std::mem::take(&mut self.prompt)));
            }
            Line::Record(record) => {
                self.sink.record(&record);
                if let Record::Exit { status } = record {
                    self.status = Some(status);
                }
                self.assembly.take(record);
            }
            Line::GuestRecord(guest, record) => self.guests.assembly(guest).take(record),
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
        mut self,
        options: &BootOptions,
        image: &BuiltImage,
        finished: &Finished,
        limit: Duration,
        firmware_log: Option<&Path>,
    ) -> (Verdict, Option<Report>, Console) {
        let machine = options.machine.name;
        let timed_out = finished.ending == Ending::TimedOut;
        let firmware = firmware_log.and_then(|log| firmware_report(log, machine, timed_out));
        let unknown_schema = self.assembly.unknown_schema();
        let (is_guest, awaited) = (options.stack.has_hypervisor(), self.ready.is_some());
        let mut own = self.assembly.clone().finish_all(machine, timed_out);
        // A loader that refuses is the last stage.
        let was_started = own.last().is_none_or(|loader| loader.passed);
        let system = options.stack.system();
        let (verdict, report) = if system.is_foreign() && !is_guest && was_started {
            let said = Said::new(self.console.lines());
            let ended = ended(finished, self.is_ready, &said, firmware.as_ref());
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
                None if self.is_ready => {
                    report.as_ref().map_or(Verdict::AllOnline, |report| match verdict::problems(report, 0) {
                        problems if problems.is_empty() => Verdict::AllOnline,
                        problems => Verdict::NotAllOnline(problems),
                    })
                }
                None => verdict::judge(with_status(finished.ending, self.status), limit, report.as_ref()),
            };
            let unready = verdict == Verdict::AllOnline && awaited && !self.is_ready;
            (if unready { Verdict::Died(judge::UNREADY.into()) } else { verdict }, report)
        };
        let verdict = match (verdict, refusal(&self.console)) {
            (Verdict::Died(_), Some(reason)) => Verdict::Died(reason),
            (verdict, _) => verdict,
        };
        let firmware = firmware.zip(report.as_ref()).map(|(firmware, last)| Report { end: last.end, ..firmware });
        let mut stages: Vec<Report> = firmware.into_iter().chain(own).chain(report).collect();
        let (verdict, last) = if is_guest {
            self.add_guests(verdict, &mut stages, options, image, timed_out)
        } else {
            (verdict, stages.len().saturating_sub(1))
        };
        let report = stages.get(last).cloned();
        let stages = if stages.len() > 1 { stages } else { Vec::new() };
        (verdict, report.map(|report| Report { stages, ..report }), self.console)
    }

    /// Adds the guests of the hypervisor to the stages. Returns what the run came to, and which stage is that of guest 0.
    fn add_guests(
        &mut self,
        verdict: Verdict,
        stages: &mut Vec<Report>,
        options: &BootOptions,
        image: &BuiltImage,
        timed_out: bool,
    ) -> (Verdict, usize) {
        let judged = stages.len().saturating_sub(1);
        let hypervisor = stages.iter().position(|stage| stage.image == HYPERVISOR);
        // What is behind it is of the guest that is alone, and says itself what it is.
        let own = hypervisor.map(|hypervisor| stages.drain(hypervisor + 1..).collect()).unwrap_or_default();
        let version = |system: &System| match &image.guest {
            Some(file) if system == options.stack.system() => version(system, file),
            _ => version(system, system.given().unwrap_or(Path::new(""))),
        };
        let guests = std::mem::take(&mut self.guests);
        stages.extend(guests.stages(options, &self.assembly, own, timed_out, version, self.is_ready));
        let is_guest_0 = |stage: &Report| stage.guest.as_ref().is_some_and(|guest| guest.number == 0);
        let last = stages.iter().rposition(is_guest_0).unwrap_or(stages.len().saturating_sub(1));
        // The hypervisor goes on when a guest dies.
        let is_foreign = options.stack.system().is_foreign();
        let crash = is_foreign.then(|| Said::new(self.console.lines()).crash).flatten();
        let verdict = crash.map_or(verdict, Verdict::Died);
        let own = hypervisor.unwrap_or(stages.len());
        (guests::with_stages(verdict, &stages[own..], judged.checked_sub(own)), last)
    }
}

/// The sentence with which an image of ours says that it cannot run on the machine, and why: the last one.
fn refusal(console: &Console) -> Option<String> {
    console.lines().rfind(|line| line.contains(" cannot run here: ")).map(str::to_owned)
}

/// How QEMU ended, with the status that the image could not give it: PSCI has none.
fn with_status(ending: Ending, status: Option<u8>) -> Ending {
    match (ending, status) {
        (Ending::Exited(Some(0)), Some(status)) => Ending::Exited(Some(status.into())),
        (ending, _) => ending,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_cannot_run_says_why_in_its_own_words() {
        let mut console = Console::default();
        console.push("Xen's way up on CPU 0x0, entered at EL2");
        assert_eq!(refusal(&console), None);
        let sentence = "The hypervisor cannot run here: the processor has no Virtualization Host Extensions (ARMv8.1)";
        console.push(sentence);
        console.push("the end");
        assert_eq!(refusal(&console).as_deref(), Some(sentence));
    }

    #[test]
    fn a_status_that_qemu_could_not_be_told_counts_where_qemu_says_nothing_else() {
        assert_eq!(with_status(Ending::Exited(Some(0)), Some(1)), Ending::Exited(Some(1)));
        assert_eq!(with_status(Ending::Exited(Some(0)), None), Ending::Exited(Some(0)));
        assert_eq!(with_status(Ending::Exited(Some(3)), Some(0)), Ending::Exited(Some(3)));
        assert_eq!(with_status(Ending::TimedOut, Some(0)), Ending::TimedOut);
    }
}
