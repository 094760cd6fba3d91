//! The stages above a hypervisor of ours: a report for each guest, from what the hypervisor told of it, what it told itself, if it is an
//! image of ours, and what its console said.

use std::collections::BTreeMap;

use super::BootOptions;
use crate::console::guest_of;
use crate::foreign::judge::{self, Ended};
use crate::foreign::text::Said;
use crate::report::assemble::Assembly;
use crate::report::{End, GuestReport, Report};
use crate::stack::System;
use crate::verdict::{self, Verdict};

/// What was heard of guests, beside what the hypervisor told of them.
#[derive(Debug, Default)]
pub(super) struct Guests {
    /// What each of several guests told itself.
    told: BTreeMap<u32, Assembly>,
    /// What the console of each said.
    said: BTreeMap<u32, Said>,
}

impl Guests {
    /// Takes a record of the guest with this number.
    pub(super) fn assembly(&mut self, guest: u32) -> &mut Assembly {
        self.told.entry(guest).or_default()
    }

    /// Takes a line of a console with so many guests. Of one that is alone, lines are not marked.
    pub(super) fn take(&mut self, line: &str, count: usize) {
        let (guest, line) = match guest_of(line.as_bytes()) {
            Some((guest, rest)) if count > 1 => (guest, String::from_utf8_lossy(rest)),
            _ if count == 1 => (0, line.into()),
            _ => return,
        };
        self.said.entry(guest).or_default().take(&line);
    }

    /// The stages of each guest of which `hypervisor` told something: a boot loader's where there is one, and the guest's. `own` is what the
    /// guest that is alone told itself.
    pub(super) fn stages(
        mut self,
        options: &BootOptions,
        hypervisor: &Assembly,
        own: Vec<Report>,
        timed_out: bool,
        version: impl Fn(&System) -> String,
        is_ready: bool,
    ) -> Vec<Report> {
        let machine = options.machine.name;
        let mut alone = Some(own);
        let mut stages = Vec::new();
        for told in hypervisor.guests(machine, timed_out) {
            let number = told.guest.as_ref().map_or(0, |guest| guest.number);
            let marked = self.told.remove(&number).map(|assembly| assembly.finish_all(machine, timed_out));
            let mut own = marked.or_else(|| alone.take_if(|_| number == 0)).unwrap_or_default();
            let further = number.checked_sub(1).and_then(|number| options.guests.get(number as usize));
            let system = further.map_or(options.stack.system(), |guest| &guest.system);
            let has_loader = number == 0 && options.stack.has_guest_loader();
            // A loader that refuses is the last stage.
            let is_told = !(system.is_foreign() && has_loader) || own.last().is_some_and(|loader| !loader.passed);
            let last = own.pop_if(|_| is_told);
            stages.extend(own.into_iter().map(|earlier| Report { guest: told.guest.clone(), ..earlier }));
            stages.push(match last {
                Some(own) => with_calls_of(told, own),
                None => {
                    let said = self.said.remove(&number).unwrap_or_default();
                    // The run was ended when it had come as far as it was to come.
                    let ended = if is_ready { Ended::Ready } else { ended(&told) };
                    judge::guest_report(system.name(), &version(system), &told, &said, &ended, is_ready)
                }
            });
        }
        stages
    }
}

/// An image's own report of its boot as a guest, with what the hypervisor told of it.
fn with_calls_of(told: Report, own: Report) -> Report {
    let Report { guest, calls, entries, lost_calls, .. } = told;
    Report { guest, calls, entries, lost_calls, ..own }
}

/// How a guest ended, by what the hypervisor told of it.
fn ended(told: &Report) -> Ended {
    match (told.end, told.passed, &told.guest) {
        (End::TimedOut, ..) => Ended::TimedOut,
        (End::Done, true, _) => Ended::Off,
        (_, _, Some(GuestReport { ended: Some(ended), .. })) => Ended::Otherwise(ended.clone()),
        _ => Ended::Otherwise("was there until the machine died".into()),
    }
}

/// `verdict`, which is that of the run as a whole, with what is wrong with any of these stages but `judged`, which was part of it.
pub(super) fn with_stages(verdict: Verdict, stages: &[Report], judged: Option<usize>) -> Verdict {
    let mut problems = match verdict {
        Verdict::AllOnline => Vec::new(),
        Verdict::NotAllOnline(problems) => problems,
        ended => return ended,
    };
    for (_, stage) in stages.iter().enumerate().filter(|(position, _)| Some(*position) != judged) {
        let named = verdict::problems(stage, 0).into_iter().map(|problem| format!("{}: {problem}", stage.stage_name()));
        problems.extend(named.filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
    }
    if problems.is_empty() { Verdict::AllOnline } else { Verdict::NotAllOnline(problems) }
}
