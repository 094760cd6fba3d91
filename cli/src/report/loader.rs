//! What a boot loader of ours adds to the report of what it has started.

use reveille_trace_format::{ACTIVE, KICK, ONLINE};

use super::{CpuReport, Event, Report};

impl Report {
    /// Whether a boot loader of ours has started the image.
    #[must_use]
    pub fn has_loader(&self) -> bool {
        self.loader().is_some()
    }

    fn loader(&self) -> Option<&Self> {
        // A guest has CPUs of its own.
        self.stage("loader").filter(|loader| loader.image != self.image && self.guest.is_none())
    }

    /// The report with what its CPUs did in the boot loader before, among their events, on the loader's time. As it is if it has no
    /// loader below it, or one of the two does not know where its time begins.
    #[must_use]
    pub fn with_loader(&self) -> Self {
        let mut report = self.clone();
        let loader = self.loader();
        let Some((loader, begin)) = loader.zip(loader.and_then(|loader| loader.counter_ns)) else { return report };
        let Some(later) = self.counter_ns.and_then(|counter| counter.checked_sub(begin)) else { return report };
        for cpu in &mut report.cpus {
            let before = loader.cpus.iter().filter(|known| known.hw_id == cpu.hw_id).flat_map(before);
            let after = cpu.events.iter().map(|event| Event { ns: event.ns.saturating_add(later), ..event.clone() });
            cpu.events = before.chain(after).collect();
        }
        report.counter_ns = Some(begin);
        report
    }
}

/// The events of a CPU in the loader, but for those by which a picture knows when the CPU came up: that is later.
fn before(cpu: &CpuReport) -> impl Iterator<Item = Event> {
    cpu.events.iter().filter(|event| ![KICK, ONLINE, ACTIVE].contains(&event.name.as_str())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn stages(loader_begins: Option<u64>) -> Report {
        let mut kernel = sample::two_cpus();
        kernel.counter_ns = Some(5_000);
        let loader = Report { image: "loader".into(), counter_ns: loader_begins, ..sample::two_cpus() };
        kernel.stages = vec![loader, kernel.clone()];
        kernel
    }

    #[test]
    fn what_was_before_comes_before_on_one_clock() {
        let report = stages(Some(2_000));
        let both = report.with_loader();
        let own = &report.cpus[1].events;
        let (before, after) = both.cpus[1].events.split_at(both.cpus[1].events.len() - own.len());
        assert!(!before.is_empty() && before.iter().all(|event| event.name != ONLINE));
        assert!(after.iter().zip(own).all(|(both, own)| both.ns == own.ns + 3_000 && both.name == own.name));
        assert_eq!(both.counter_ns, Some(2_000));
        assert_eq!(both.cpus[1].online_ns(), own_online(&report).map(|ns| ns + 3_000));
    }

    fn own_online(report: &Report) -> Option<u64> {
        report.cpus[1].online_ns()
    }

    #[test]
    fn without_a_common_clock_the_report_stays_as_it_is() {
        let report = stages(None);
        assert_eq!(report.with_loader(), report);
        let alone = sample::two_cpus();
        assert_eq!(alone.with_loader(), alone);
    }
}
