//! What a kernel is put through: a fault of the firmware's for each scenario, and whether CPUs are to go and come again.

use std::time::Duration;

use reveille_sim::fault::{FirmwareFault, FirmwareFaultKind as Kind, PSCI_CODES, Says};

/// How late a CPU is that nobody has given up yet.
const LATE: Duration = Duration::from_millis(200);
/// A CPU_ON that comes sooner than this after the one before is dropped, where calls are.
const TOO_FAST: Duration = Duration::from_millis(50);
/// What silicon takes to power a CPU up.
const POWER_UP: Duration = Duration::from_millis(20);
/// How long a CPU that went off is still said to be on.
const STAYS_ON: Duration = Duration::from_millis(50);

/// One scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, also of its files.
    pub name: String,
    /// What it is, for people.
    pub what: &'static str,
    /// What the firmware does.
    pub faults: Vec<FirmwareFault>,
    /// Whether CPUs are taken off and on when the system is up.
    pub hotplug: bool,
    /// For how long the system is to stay up, so that what comes late finds it.
    pub stay: Option<Duration>,
}

/// The name of the scenario in which nothing goes wrong, which comes first.
pub const ALL_WELL: &str = "all-well";

/// All scenarios of a machine with `cpus` CPUs. One that comes `too_late` has been given up by then.
#[must_use]
pub fn all(cpus: u32, too_late: Duration) -> Vec<Scenario> {
    let victim = if cpus > 2 { 2 } else { 1 };
    let fault = |cpu: u32, kind| FirmwareFault { cpu: Some(cpu as usize), kind };
    let every = |kind| FirmwareFault { cpu: None, kind };
    let scenario = |name: &str, what, faults: Vec<FirmwareFault>| Scenario {
        name: name.to_owned(),
        what,
        faults,
        hotplug: false,
        stay: None,
    };
    let several: Vec<u32> = (1..cpus).filter(|cpu| cpu % 2 == 1).collect();
    let mut scenarios = vec![
        scenario(ALL_WELL, "nothing goes wrong", Vec::new()),
        scenario("one-dead", "a CPU never comes", vec![fault(victim, Kind::Dead)]),
        scenario(
            "several-dead",
            "every second CPU never comes",
            several.iter().map(|&cpu| fault(cpu, Kind::Dead)).collect(),
        ),
        scenario("late", "a CPU comes late", vec![fault(victim, Kind::Late(LATE))]),
        Scenario {
            stay: Some(too_late),
            ..scenario("too-late", "a CPU comes when it has been given up", vec![fault(victim, Kind::Late(too_late))])
        },
    ];
    scenarios.extend(PSCI_CODES.iter().map(|&(code, number)| {
        let name = format!("refused-{}", code.to_lowercase().replace('_', "-"));
        scenario(&name, "CPU_ON is refused with this code", vec![fault(victim, Kind::Refused(number))])
    }));
    let internal_failure =
        PSCI_CODES.iter().find(|(name, _)| *name == "INTERNAL_FAILURE").map_or(-6, |&(_, code)| code);
    let denied = PSCI_CODES.iter().find(|(name, _)| *name == "DENIED").map_or(-3, |&(_, code)| code);
    let starts = fault(victim, Kind::RefusedYetStarts(internal_failure));
    let hotplug = |name: &str, what, faults| Scenario { hotplug: true, ..scenario(name, what, faults) };
    scenarios.extend([
        scenario("refused-yet-starts", "CPU_ON is refused, and the CPU comes", vec![starts]),
        scenario("dropped", "a CPU_ON too soon after another is forgotten", vec![every(Kind::Dropped(TOO_FAST))]),
        scenario("slow-power-up", "every CPU takes as long as silicon does", vec![every(Kind::PowerUp(POWER_UP))]),
        hotplug("off-and-on", "CPUs go off and come again", Vec::new()),
        hotplug("off-denied", "CPU_OFF of a CPU is refused", vec![fault(victim, Kind::OffDenied(denied))]),
        hotplug(
            "stays-on",
            "a CPU that went off is said to be on for a while",
            vec![fault(victim, Kind::StaysOn(STAYS_ON))],
        ),
        hotplug("lies", "a CPU that went off is said to be on for ever", vec![fault(victim, Kind::Lies(Says::On))]),
    ]);
    scenarios
}

impl Scenario {
    /// The faults, in words.
    #[must_use]
    pub fn fault_words(&self) -> String {
        self.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own_and_faults_of_cpus_that_are_there() {
        for cpus in [2, 4, 16] {
            let scenarios = all(cpus, LATE);
            let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
            assert_eq!(names.len(), scenarios.len());
            assert_eq!(scenarios[0].name, ALL_WELL);
            assert!(scenarios[0].faults.is_empty());
            let faults = scenarios.iter().flat_map(|scenario| &scenario.faults);
            let cpus = cpus as usize;
            assert!(faults.filter_map(|fault| fault.cpu).all(|cpu| (1..cpus).contains(&cpu)));
        }
        assert_eq!(all(4, LATE).iter().filter(|scenario| scenario.name.starts_with("refused-")).count(), 10);
    }
}
