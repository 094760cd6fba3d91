//! Puts a kernel through what firmware and CPUs can do wrong (`reveille torture`): a boot for each [`scenario`], a verdict for each by
//! [`mod@judge`], and a [`table`] of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::bench;
use crate::boot::{self, BootOptions, BootRun};
use crate::console::Silent;
use crate::error::Error;
use crate::foreign::{self, text::Said};
use crate::image::{self, BuiltImage};
use crate::machine::MACHINES;
use crate::pattern::Pattern;
use crate::report::Call;
use crate::report::firmware::CPU_ON;
use crate::setup::Host;
use crate::stack::{Stack, System};
use crate::timeline;
use judge::{Judged, Run, judge};
use scenario::{ALL_WELL, Scenario};

pub mod judge;
pub mod scenario;
pub mod table;

/// How often CPUs go off and on, where they are to.
const CYCLES: u32 = 2;

/// What to put through what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TortureOptions {
    /// The system.
    pub system: System,
    /// With how many CPUs.
    pub cpus: u32,
    /// Its initrd, where it is another than the usual one.
    pub initrd: Option<PathBuf>,
    /// Text to add to its command line.
    pub append: Option<String>,
    /// What to add to have it take CPUs off and on; without it, what is known of the system.
    pub hotplug: Option<String>,
    /// What it prints when it is up; without it, it has to switch the machine off.
    pub ready: Option<Pattern>,
    /// How long each boot may take.
    pub timeout: Option<Duration>,
    /// The scenarios, by name; all of them if there are none.
    pub scenarios: Vec<String>,
    /// The folder for the timeline, the log and the console of each boot.
    pub folder: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Torture {
    /// The system's name.
    pub system: String,
    /// Its version, where that is known.
    pub version: String,
    /// How many CPUs the machine had.
    pub cpus: u32,
    /// Which QEMU it was.
    pub qemu: String,
    /// The boots.
    pub trials: Vec<Trial>,
    /// What was not tried, and why.
    pub not_tried: Vec<String>,
}

/// One boot.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The scenario's name.
    pub scenario: String,
    /// What the firmware was told.
    pub faults: String,
    /// What the system made of it.
    #[serde(flatten)]
    pub judged: Judged,
    /// How often CPU_ON was called.
    pub starts: usize,
    /// How long the boot took.
    pub seconds: f64,
    /// What the firmware was called for.
    pub log: Vec<Call>,
}

impl TortureOptions {
    /// Checks what can be checked before anything is built or started.
    ///
    /// # Errors
    /// Those of [`BootOptions::check`], [`Error::NoSuchScenario`], [`Error::NothingToTorture`].
    pub fn check(&self) -> Result<(), Error> {
        let known = "torture takes kernel, linux, xen, or the path of an arm64 Image";
        self.system.given().map_or(Ok(()), |path| foreign::image::check(path, false, known))?;
        self.boot(&Scenario { hotplug: false, ..scenario::all(self.cpus.max(2), self.too_late())[0].clone() })
            .check()?;
        if self.cpus < 2 {
            return Err(Error::NothingToTorture);
        }
        let known = scenario::all(self.cpus, self.too_late());
        let unknown = self.scenarios.iter().find(|name| !known.iter().any(|scenario| scenario.name == **name));
        unknown.map_or(Ok(()), |name| {
            let known = known.iter().map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(Error::NoSuchScenario { name: name.clone(), known })
        })
    }

    /// The scenarios that were asked for. The first tells what is usual.
    fn scenarios(&self) -> Vec<Scenario> {
        let wanted = |scenario: &Scenario| {
            self.scenarios.is_empty() || scenario.name == ALL_WELL || self.scenarios.contains(&scenario.name)
        };
        scenario::all(self.cpus, self.too_late()).into_iter().filter(wanted).collect()
    }

    /// When a CPU comes that has been given up: our kernel waits for a second, Linux for five.
    fn too_late(&self) -> Duration {
        Duration::from_secs(if self.system == System::Kernel { 3 } else { 8 })
    }

    /// What has the system take CPUs off and on.
    fn hotplug_words(&self) -> Option<String> {
        match &self.system {
            _ if self.hotplug.is_some() => self.hotplug.clone(),
            System::Kernel => Some("reveille.soak=20 reveille.seed=1".into()),
            System::Linux(_) if self.initrd.is_none() => Some(format!("reveille.cycles={CYCLES}")),
            System::Linux(_) | System::Xen(_) | System::Image(_) => None,
        }
    }

    /// The boot of a scenario.
    fn boot(&self, scenario: &Scenario) -> BootOptions {
        let stay = scenario.stay.map(|stay| format!("reveille.stay={}", stay.as_secs()));
        let stay = match &self.system {
            System::Linux(_) => stay,
            System::Xen(_) => stay.map(|stay| format!("-- {stay}")),
            // It would be gone by then: it takes CPUs down and brings them back, which lasts longer.
            System::Kernel => stay.and_then(|_| self.hotplug_words()),
            System::Image(_) => None,
        };
        let hotplug = if scenario.hotplug { self.hotplug_words() } else { None };
        let words: Vec<String> = [self.append.clone(), hotplug, stay].into_iter().flatten().collect();
        BootOptions {
            machine: &MACHINES[0],
            stack: Stack::firmware(self.system.clone()),
            cpus: self.cpus,
            faults: scenario.faults.clone(),
            initrd: self.initrd.clone(),
            append: (!words.is_empty()).then(|| words.join(" ")),
            ready: self.ready.clone(),
            timeout: self.timeout,
            ..BootOptions::default()
        }
    }
}

/// Boots the system once for each scenario. `say` hears what is being done. If it does not come up where nothing is wrong, that is
/// all there is to see.
///
/// # Errors
/// An [`Error`] if the machine could not be started as asked, or a file not be written.
pub fn run(host: &Host, options: &TortureOptions, say: &mut dyn FnMut(&str)) -> Result<Torture, Error> {
    options.check()?;
    let stack = Stack::firmware(options.system.clone());
    let image = image::build_for(host, &MACHINES[0], &stack, &[])?;
    let scenarios = options.scenarios();
    let mut torture = Torture {
        system: options.system.name().to_owned(),
        version: String::new(),
        cpus: options.cpus,
        qemu: bench::qemu_version(host),
        trials: Vec::new(),
        not_tried: Vec::new(),
    };
    let mut usual = Said::default();
    let mut unknown = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        if scenario.hotplug && options.hotplug_words().is_none() {
            unknown.push(scenario.name.as_str());
            continue;
        }
        say(&format!("{} of {}: {}, {}", number + 1, scenarios.len(), scenario.name, scenario.what));
        let (run, trial, said) = attempt(host, &image, options, scenario, &usual)?;
        if let Some(report) = &run.report {
            torture.version.clone_from(&report.image_version);
        }
        if let Some(folder) = &options.folder {
            keep(folder, scenario, &run, &trial)?;
        }
        let is_lost = scenario.name == ALL_WELL && !trial.judged.grade.is_well();
        torture.trials.push(trial);
        if scenario.name == ALL_WELL {
            usual = said;
        }
        if is_lost {
            torture.not_tried.push(advice(options));
            return Ok(torture);
        }
    }
    if !unknown.is_empty() {
        torture.not_tried.push(format!(
            "Not tried: {}. It is not known how {} is told to take CPUs off and on; --hotplug TEXT says it",
            unknown.join(", "),
            torture.system
        ));
    }
    Ok(torture)
}

/// Boots once, and judges.
fn attempt(
    host: &Host,
    image: &BuiltImage,
    options: &TortureOptions,
    scenario: &Scenario,
    usual: &Said,
) -> Result<(BootRun, Trial, Said), Error> {
    let run = boot::run(host, image, &options.boot(scenario), &mut Silent)?;
    let said = Said::new(run.console.lines());
    // Xen begins even empty lines with its name.
    let says = |line: &&str| !line.replace("(XEN)", "").trim().is_empty();
    let last_line = run.console.lines().rev().map(str::trim).find(says);
    let observed = Run { verdict: &run.verdict, report: run.report.as_ref(), said: &said, last_line };
    let judged = judge(observed, options.cpus, usual);
    let log =
        run.report.as_ref().and_then(|report| report.stage("firmware")).map_or(Vec::new(), |stage| stage.calls.clone());
    let trial = Trial {
        scenario: scenario.name.clone(),
        faults: scenario.fault_words(),
        judged,
        starts: log.iter().filter(|call| call.function == CPU_ON).count(),
        seconds: run.duration.as_secs_f64(),
        log,
    };
    Ok((run, trial, said))
}

/// What to do if the system does not come up where nothing is wrong.
fn advice(options: &TortureOptions) -> String {
    let rest = "Nothing else was tried, because it does not come up where nothing is wrong";
    match (&options.system, &options.ready) {
        (System::Image(_), None) => {
            format!("{rest}: if it does not switch the machine off, say with --ready what it prints when it is up")
        }
        _ => rest.to_owned(),
    }
}

/// Writes what a boot left behind.
fn keep(folder: &Path, scenario: &Scenario, run: &BootRun, trial: &Trial) -> Result<(), Error> {
    let write = |extension: &str, what: &'static str, content: &[u8]| {
        let path = folder.join(format!("{}.{extension}", scenario.name));
        fs::write(&path, content).map_err(|source| Error::OutputWrite { path, what, source })
    };
    write("console", "console", run.console.text().as_bytes())?;
    write("calls", "log of calls", log(&trial.log).as_bytes())?;
    if let Some(report) = &run.report {
        write("json", "report", &report.to_json())?;
        write("svg", "timeline", timeline::draw(report).as_bytes())?;
    }
    Ok(())
}

/// The calls, a line each.
fn log(calls: &[Call]) -> String {
    let line = |call: &Call| {
        let Call { cpu, ns, arguments: [first, second, third], faulty, .. } = call;
        let fault = if *faulty { "  (by the fault)" } else { "" };
        format!(
            "{:>14.6} ms  CPU {cpu}  {}({first:#x}, {second:#x}, {third:#x}){fault}\n",
            *ns as f64 / 1e6,
            call.words()
        )
    };
    calls.iter().map(line).collect()
}

/// Whether a system took everything as it may.
#[must_use]
pub fn is_well(torture: &Torture) -> bool {
    torture.trials.iter().all(|trial| trial.judged.grade.is_well())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(system: System) -> TortureOptions {
        TortureOptions {
            system,
            cpus: 4,
            initrd: None,
            append: Some("quiet".into()),
            hotplug: None,
            ready: None,
            timeout: None,
            scenarios: Vec::new(),
            folder: None,
        }
    }

    #[test]
    fn each_system_is_told_in_its_own_way_to_take_cpus_off_and_to_stay() {
        let find = |name: &str| {
            scenario::all(4, Duration::from_secs(8)).into_iter().find(|scenario| scenario.name == name).unwrap()
        };
        let append = |system: System, name: &str| options(system).boot(&find(name)).append.unwrap();
        assert_eq!(append(System::Linux(None), "off-and-on"), "quiet reveille.cycles=2");
        assert_eq!(append(System::Kernel, "lies"), "quiet reveille.soak=20 reveille.seed=1");
        assert_eq!(append(System::Linux(None), "too-late"), "quiet reveille.stay=8");
        assert_eq!(append(System::Xen(None), "too-late"), "quiet -- reveille.stay=8");
        assert_eq!(append(System::Kernel, "one-dead"), "quiet");
        assert_eq!(append(System::Kernel, "too-late"), append(System::Kernel, "lies"));
        assert_eq!(options(System::Xen(None)).hotplug_words(), None);
    }

    #[test]
    fn what_cannot_be_tried_is_refused_in_a_sentence() {
        let refused = |change: fn(&mut TortureOptions)| {
            let mut options = options(System::Kernel);
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(refused(|options| options.scenarios = vec!["sleepy".into()]).contains("there is no scenario sleepy"));
        assert!(refused(|options| options.cpus = 1).contains("at least 2 CPUs"));
        assert!(refused(|options| options.cpus = 513).contains("1 to 512 CPUs"));
        assert!(
            refused(|options| options.system = System::Image("/no/such".into()))
                .contains("there is no file /no/such (torture takes")
        );
        assert!(options(System::Linux(None)).check().is_ok());
    }

    #[test]
    fn the_scenario_in_which_all_is_well_is_always_tried() {
        let mut some = options(System::Kernel);
        some.scenarios = vec!["lies".into()];
        let names: Vec<String> = some.scenarios().into_iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, [ALL_WELL, "lies"]);
    }
}
