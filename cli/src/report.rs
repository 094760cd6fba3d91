//! The report of a run: a contract with those who read the file (`docs/report.schema.json`), and the model that everything
//! else draws from. [`assemble`] makes it from an image's records, [`read`] from a file; [`firmware`] has what firmware adds to it, and [`loader`] what a boot loader does.

use reveille_trace_format::{ACTIVE, KICK, ONLINE};
pub use reveille_trace_format::{Outcome, Phase};
use serde::{Deserialize, Serialize};

use crate::summary::milliseconds;

pub use self::firmware::{Call, Entry};

pub mod assemble;
pub mod firmware;
pub mod loader;
pub mod read;
#[cfg(test)]
pub(crate) mod sample;

/// What an image reported about one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this format: [`reveille_trace_format::SCHEMA`].
    pub schema: u32,
    /// The machine's name.
    pub machine: String,
    /// The image's name.
    pub image: String,
    /// The image's version.
    pub image_version: String,
    /// How the run ended; all figures are final only if it is [`End::Done`].
    pub end: End,
    /// The exception level at which the image was entered; `None` where the machine has none.
    pub entry_level: Option<u8>,
    /// The boot CPU's hardware id.
    pub boot_hw_id: u64,
    /// How many CPUs were asked for, the boot CPU included.
    pub asked_count: u32,
    /// How many of these are online.
    pub online_count: u32,
    /// Whether every proof passed.
    pub passed: bool,
    /// Which CPUs are what.
    pub masks: Masks,
    /// Nanoseconds of work for the bring-up before the first kick.
    pub prepare_ns: u64,
    /// Nanoseconds from the first kick to the last CPU online and through all its steps.
    pub bringup_ns: u64,
    /// The CPUs, by their logical number.
    pub cpus: Vec<CpuReport>,
    /// The CPUs that the machine's description names and that could not be used.
    pub left_out: Vec<LeftOut>,
    /// The checks that the CPUs really work.
    pub proofs: Vec<Proof>,
    /// Where the report's time begins, in nanoseconds of the counter that all stages share, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_ns: Option<u64>,
    /// Which guest it is, where it runs above a hypervisor of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestReport>,
    /// What it was called for by the stages below, where it is firmware; what it called for itself, where it is a guest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// Which CPUs it let go into the stage below, where it is firmware; which of its own CPUs began, where it is a guest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// How many calls and entries were lost for want of room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_calls: u32,
    /// The stages of a stack, the first one first and this one last, but for further guests behind it; none where there is but one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Report>,
}

/// Which guest of a hypervisor a stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestReport {
    /// Its number, from 0.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// How it ended, in words that follow its name; `None` if it ran until the machine ended.
    pub ended: Option<String>,
}

/// For what is left out where there is none.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The image said that it was done.
    Done,
    /// It was ended when its time was over.
    TimedOut,
    /// The machine ended before the image was done.
    Died,
}

/// Which CPUs are what, by logical number, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masks {
    /// Those that can ever come up.
    pub possible: Vec<u32>,
    /// Those that their method can start.
    pub present: Vec<u32>,
    /// Those that take interrupts and work.
    pub online: Vec<u32>,
    /// Those on which threads are scheduled.
    pub active: Vec<u32>,
}

/// What became of a CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuReport {
    /// Its logical number.
    pub index: u32,
    /// What the hardware calls it.
    pub hw_id: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, where it is not online.
    pub reason: Option<String>,
    /// How many of its oldest events were lost for want of room.
    pub lost_events: u32,
    /// What happened on it, oldest first.
    pub events: Vec<Event>,
}

/// An event of a CPU's trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The function, or what happened.
    pub name: String,
    /// Nanoseconds since the image was entered.
    pub ns: u64,
    /// Begin or end of a span, or one moment.
    pub phase: Phase,
    /// The CPU that it was done to, where it was another.
    pub target: Option<u32>,
}

/// A CPU that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The name of its node.
    pub node: String,
    /// Its hardware id, where one could be read.
    pub hw_id: Option<u64>,
    /// Why.
    pub reason: String,
    /// Whether the machine's description is at fault, rather than someone having asked for fewer CPUs.
    pub fault: bool,
}

/// A check that the CPUs really work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What was checked.
    pub name: String,
    /// Whether it held on every CPU.
    pub passed: bool,
    /// The figures, or what went wrong.
    pub detail: String,
}

impl CpuReport {
    /// When it came online, if it did and the event was not lost.
    #[must_use]
    pub fn online_ns(&self) -> Option<u64> {
        self.events.iter().find(|event| event.name == ONLINE).map(|event| event.ns)
    }
}

impl Report {
    /// The report as its file has it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Only maps with odd keys and failing writers make this fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Where the image was entered, to stand behind its name; nothing where there are no exception levels.
    pub(crate) fn entry_words(&self) -> String {
        self.entry_level.map_or(String::new(), |level| format!(" entered at EL{level}"))
    }

    /// How long it took, in words, as far as it was measured: a system that is not ours says nothing of its times, and firmware sees no
    /// kick where CPUs wait in pens.
    pub(crate) fn times(&self) -> Option<String> {
        let prepare = (self.prepare_ns > 0).then(|| format!("prepare {} ms", milliseconds(self.prepare_ns)));
        let bringup = (self.prepare_ns > 0 || self.bringup_ns > 0)
            .then(|| format!("bring-up {} ms (first kick to last CPU online)", milliseconds(self.bringup_ns)));
        let times: Vec<String> = prepare.into_iter().chain(bringup).collect();
        (!times.is_empty()).then(|| times.join(", "))
    }

    /// What the stage is called among others: with the guest's number, where it is one.
    #[must_use]
    pub fn stage_name(&self) -> String {
        let guest = self.guest.as_ref().map_or(String::new(), |guest| format!(" (guest {})", guest.number));
        format!("{}{guest}", self.image)
    }

    /// The bring-up as the events tell it: from the first kick to the last CPU online and through its steps. `None` if either is not there.
    #[must_use]
    pub fn bringup_ns_of_events(&self) -> Option<u64> {
        bringup_ns(&self.cpus)
    }
}

/// The time from the first kick to the last CPU online and through its steps.
pub(crate) fn bringup_ns(cpus: &[CpuReport]) -> Option<u64> {
    let events = || cpus.iter().flat_map(|cpu| &cpu.events);
    let first_kick = events().filter(|event| event.name == KICK).map(|event| event.ns).min()?;
    let is_end = |event: &&Event| event.name == ONLINE || event.name == ACTIVE;
    let last = events().filter(is_end).map(|event| event.ns).max()?;
    last.checked_sub(first_kick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_were_not_measured_are_not_told() {
        let times = |prepare_ns, bringup_ns| Report { prepare_ns, bringup_ns, ..sample::two_cpus() }.times();
        let bringup = "bring-up 0.002 ms (first kick to last CPU online)";
        assert_eq!(times(1_000, 2_000), Some(format!("prepare 0.001 ms, {bringup}")));
        assert_eq!(times(0, 2_000), Some(bringup.into()));
        assert!(times(1_000, 0).is_some_and(|times| times.contains("bring-up 0.000 ms")));
        assert_eq!(times(0, 0), None);
    }

    #[test]
    fn bringup_is_the_last_online_minus_the_first_kick() {
        let report = sample::two_cpus();
        assert_eq!(report.bringup_ns_of_events(), Some(report.bringup_ns));
        let mut alone = report;
        alone.cpus.pop();
        alone.cpus[0].events.retain(|event| event.name != KICK);
        assert_eq!(alone.bringup_ns_of_events(), None);
    }
}
