//! What firmware of ours tells of the CPUs, and a hypervisor of those of its guests: from calls and entries, what became of each as far as
//! is known below it.

use std::collections::BTreeMap;

use reveille_trace_format::{KICK, ONLINE, Outcome, Phase};
use serde::{Deserialize, Serialize};

use super::{CpuReport, Event, Report};

/// The function of PSCI that starts a CPU.
pub const CPU_ON: &str = "CPU_ON";
/// What it answers if it does.
pub const SUCCESS: i64 = 0;

/// A call that firmware answered, or from which there was no return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The CPU that called.
    pub cpu: u32,
    /// When, in nanoseconds of the report's time.
    pub ns: u64,
    /// The function id.
    pub id: u32,
    /// The specification's name of the function, or `unknown`.
    pub function: String,
    /// X1 to X3.
    pub arguments: [u64; 3],
    /// The CPU that it is about, where it names one.
    pub target: Option<u32>,
    /// X0 as it was answered; `None` where the call does not return.
    pub code: Option<i64>,
    /// What the specification calls this answer, where it has a word for it.
    pub code_name: Option<String>,
    /// Whether firmware was told to misbehave, and did so in this call.
    pub faulty: bool,
}

/// A CPU that firmware let go into the stage below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The CPU.
    pub cpu: u32,
    /// When, in nanoseconds of the report's time.
    pub ns: u64,
    /// Where its first instruction is: a physical address.
    pub address: u64,
    /// The exception level.
    pub level: u8,
}

impl Call {
    /// The call and its answer, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.code_name, self.code) {
            (Some(name), _) => format!("{}: {name}", self.function),
            (None, Some(code)) => format!("{}: {code}", self.function),
            (None, None) => self.function.clone(),
        }
    }
}

impl Entry {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        format!("entered at EL{}", self.level)
    }
}

/// What became of each CPU of a machine whose firmware was called so, and let CPUs go so. `ids` are the hardware's names of them.
#[must_use]
pub fn cpus(ids: &BTreeMap<u32, u64>, calls: &[Call], entries: &[Entry]) -> Vec<CpuReport> {
    let cpu = |(&index, &hw_id): (&u32, &u64)| {
        let entry = entries.iter().find(|entry| entry.cpu == index);
        let (outcome, reason) = match entry {
            Some(_) => (Outcome::Online, None),
            None => absent(calls, index),
        };
        let mut events: Vec<Event> =
            kicks(calls).filter(|(call, _)| call.cpu == index).map(|(_, event)| event).collect();
        let online =
            entry.map(|entry| Event { name: ONLINE.into(), ns: entry.ns, phase: Phase::Instant, target: None });
        events.extend(online.filter(|_| index != 0));
        events.sort_by_key(|event| event.ns);
        CpuReport { index, hw_id, outcome, reason, lost_events: 0, events }
    };
    ids.iter().map(cpu).collect()
}

/// What is to be said of a CPU that was never let go.
fn absent(calls: &[Call], cpu: u32) -> (Outcome, Option<String>) {
    let asked = || calls.iter().filter(|call| call.function == CPU_ON && call.target == Some(cpu));
    match asked().find(|call| call.code == Some(SUCCESS)).or_else(|| asked().next()) {
        None => (Outcome::NotAsked, None),
        Some(call) if call.code == Some(SUCCESS) => {
            (Outcome::TimedOut, Some(format!("{}, and it never began", call.words())))
        }
        Some(call) => (Outcome::Failed, Some(format!("{} ({})", call.words(), call.code.unwrap_or_default()))),
    }
}

/// The first call that started each CPU but the one that boots, which may go and come again later.
fn kicks(calls: &[Call]) -> impl Iterator<Item = (&Call, Event)> {
    let starts = |call: &&Call| {
        call.function == CPU_ON && call.code == Some(SUCCESS) && call.target.is_some_and(|target| target != 0)
    };
    let mut seen = Vec::new();
    calls.iter().filter(starts).filter_map(move |call| {
        let is_first = !seen.contains(&call.target);
        seen.push(call.target);
        is_first.then(|| (call, Event { name: KICK.into(), ns: call.ns, phase: Phase::Instant, target: call.target }))
    })
}

impl Report {
    /// The stage of that name, of a stack.
    #[must_use]
    pub fn stage(&self, image: &str) -> Option<&Self> {
        self.stages.iter().find(|stage| stage.image == image)
    }

    /// The report with what firmware was called for, and which CPUs it let go, among the events of its CPUs: on the report's own time.
    /// For a guest, what it called the hypervisor for. As it is if there is no such log, or it does not know where its time begins.
    #[must_use]
    pub fn with_calls(&self) -> Self {
        let mut report = self.clone();
        let provider = if self.guest.is_some() { Some(self) } else { self.stage("firmware") };
        let Some((firmware, begin)) = provider.zip(self.counter_ns) else { return report };
        let hw_id = |cpu: u32| firmware.cpus.iter().find(|known| known.index == cpu).map(|known| known.hw_id);
        // Firmware and kernel may count CPUs differently.
        let index =
            |cpu: u32| report.cpus.iter().find(|known| Some(known.hw_id) == hw_id(cpu)).map(|known| known.index);
        let moment = |ns: u64, name: String, target: Option<u32>| {
            Some(Event { name, ns: ns.checked_sub(begin)?, phase: Phase::Instant, target })
        };
        let mut added: Vec<(Option<u32>, Event)> = Vec::new();
        for call in &firmware.calls {
            let target = call.target.and_then(index);
            added.extend(moment(call.ns, call.words(), target).map(|event| (index(call.cpu), event)));
        }
        for entry in &firmware.entries {
            added.extend(moment(entry.ns, entry.words(), None).map(|event| (index(entry.cpu), event)));
        }
        for cpu in &mut report.cpus {
            let own = added.iter().filter(|(index, _)| *index == Some(cpu.index)).map(|(_, event)| event.clone());
            cpu.events = merged(std::mem::take(&mut cpu.events), own.collect());
        }
        report
    }
}

/// Two lists of events in one, each in its own order.
fn merged(first: Vec<Event>, mut second: Vec<Event>) -> Vec<Event> {
    second.sort_by_key(|event| event.ns);
    let mut second = second.into_iter().peekable();
    let mut all = Vec::new();
    for event in first {
        while let Some(earlier) = second.next_if(|other| other.ns < event.ns) {
            all.push(earlier);
        }
        all.push(event);
    }
    all.extend(second);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn call(cpu: u32, ns: u64, target: u32, code: i64, code_name: &str) -> Call {
        Call {
            cpu,
            ns,
            id: 0xc400_0003,
            function: CPU_ON.into(),
            arguments: [u64::from(target), 0x4020_0000, 0],
            target: Some(target),
            code: Some(code),
            code_name: Some(code_name.into()),
            faulty: false,
        }
    }

    fn entry(cpu: u32, ns: u64) -> Entry {
        Entry { cpu, ns, address: 0x4020_0000, level: 1 }
    }

    fn told() -> Vec<CpuReport> {
        let ids = (0..5).map(|cpu| (cpu, u64::from(cpu))).collect();
        let calls = [
            call(0, 100, 1, SUCCESS, "SUCCESS"),
            call(0, 200, 2, SUCCESS, "SUCCESS"),
            call(0, 300, 3, -3, "DENIED"),
            call(0, 900, 1, SUCCESS, "SUCCESS"),
        ];
        cpus(&ids, &calls, &[entry(0, 10), entry(1, 150), entry(1, 950)])
    }

    #[test]
    fn a_cpu_is_what_its_calls_and_entries_make_of_it() {
        let cpus = told();
        use Outcome::{Failed, NotAsked, Online, TimedOut};
        assert_eq!(
            cpus.iter().map(|cpu| cpu.outcome).collect::<Vec<_>>(),
            [Online, Online, TimedOut, Failed, NotAsked]
        );
        assert_eq!(cpus[2].reason.as_deref(), Some("CPU_ON: SUCCESS, and it never began"));
        assert_eq!(cpus[3].reason.as_deref(), Some("CPU_ON: DENIED (-3)"));
    }

    #[test]
    fn the_first_start_of_a_cpu_is_its_kick_and_the_first_entry_brings_it() {
        let cpus = told();
        let kicks: Vec<_> = cpus[0].events.iter().map(|event| (event.name.as_str(), event.ns, event.target)).collect();
        assert_eq!(kicks, [(KICK, 100, Some(1)), (KICK, 200, Some(2))]);
        assert_eq!(cpus[1].online_ns(), Some(150));
    }

    #[test]
    fn a_guests_calls_are_put_among_its_events_and_those_of_the_machines_cpus_are_not() {
        let mut report = sample::two_cpus();
        report.counter_ns = Some(1_000_000);
        report.guest = Some(crate::report::GuestReport { number: 0, name: "guest0".into(), ended: None });
        report.calls = vec![call(0, 1_051_200, 1, SUCCESS, "SUCCESS")];
        report.entries = vec![entry(1, 1_090_000)];
        let mut firmware = sample::two_cpus();
        firmware.image = "firmware".into();
        firmware.calls = vec![call(0, 1_060_000, 1, -3, "DENIED")];
        report.stages = vec![firmware];
        let names = |cpu: &CpuReport| cpu.events.iter().map(|event| event.name.clone()).collect::<Vec<_>>();
        let with_calls = report.with_calls();
        let of_boot_cpu = names(&with_calls.cpus[0]);
        assert!(of_boot_cpu.contains(&"CPU_ON: SUCCESS".into()) && !of_boot_cpu.contains(&"CPU_ON: DENIED".into()));
        assert_eq!(names(&with_calls.cpus[1])[0], "entered at EL1");
    }

    #[test]
    fn calls_are_put_among_a_kernels_events_on_its_own_time() {
        let mut report = sample::two_cpus();
        report.counter_ns = Some(1_000_000);
        let mut firmware = sample::two_cpus();
        firmware.image = "firmware".into();
        firmware.calls = vec![call(0, 500, 1, SUCCESS, "SUCCESS"), call(0, 1_051_200, 1, SUCCESS, "SUCCESS")];
        firmware.entries = vec![entry(1, 1_090_000)];
        report.stages = vec![firmware];
        let with_calls = report.with_calls();
        let names =
            |cpu: usize| with_calls.cpus[cpu].events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(1)[..2], ["entered at EL1", "secondary_entry"]);
        let position = names(0).iter().position(|name| *name == "CPU_ON: SUCCESS").unwrap();
        assert_eq!(names(0)[position - 1], "cpu_up", "the call is made within it");
        assert_eq!(
            names(0).iter().filter(|name| name.starts_with("CPU_ON")).count(),
            1,
            "what was before is not shown"
        );
        report.counter_ns = None;
        assert_eq!(report.with_calls(), report);
    }
}
