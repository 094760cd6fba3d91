//! A boot on a simulated machine (`reveille boot --machine sim`): the library runs as it is, on CPUs that are made up. Nothing is
//! emulated and nothing is measured: its times are those of `reveille-sim`, and every report of it says so.

use std::time::Duration;

use reveille::hotplug::{Section, Step};
use reveille::{MAX_CPUS, Policy as Library, Smp, SmpOptions, Timeout};
use reveille_sim::{Fault, Machine};

use crate::error::Error;
use crate::policy::Policy;
use crate::qemu::Ending;
use crate::report::Report;
use crate::report::assemble::Assembly;
use crate::verdict::{self, Verdict};

/// What `--machine` calls the simulated machine. No list of machines has it: it is taken only where it is named.
pub const NAME: &str = "sim";

/// What to simulate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulationOptions {
    /// How many CPUs there are.
    pub cpus: u32,
    /// How many of them may be on their way up at once.
    pub policy: Policy,
    /// Words of a kernel's command line: `maxcpus` and `nosmp` are understood.
    pub append: Option<String>,
    /// How long CPUs are waited for.
    pub deadline: Option<Duration>,
    /// What is wrong with CPUs.
    pub faults: Vec<Fault>,
    /// The seed of the interleaving.
    pub seed: u64,
}

/// What a simulated boot came to.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// How it went.
    pub verdict: Verdict,
    /// What a kernel would have reported.
    pub report: Option<Report>,
}

impl SimulationOptions {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::CpuCount`], [`Error::NoSuchCpu`].
    pub fn check(&self) -> Result<(), Error> {
        let range = 1..=MAX_CPUS as u32;
        if !range.contains(&self.cpus) {
            return Err(Error::CpuCount { machine: NAME, asked: self.cpus, range });
        }
        let stranger = self.faults.iter().find(|fault| !fault.is_of_started_cpu(self.cpus as usize));
        stranger.map_or(Ok(()), |fault| Err(Error::NoSuchCpu { fault: fault.to_string(), last: self.cpus - 1 }))
    }

    /// The machine's name in a report: what was simulated, so that it can be simulated again.
    fn label(&self) -> String {
        let faults: String = self.faults.iter().map(|fault| format!(", {fault}")).collect();
        format!("{NAME}, seed {}{faults}", self.seed)
    }
}

/// The steps of the reference kernel, of which only one does anything here.
const STEPS: [(Section, &str); 6] = [
    (Section::Prepare, "idle:prepare"),
    (Section::Prepare, "smpboot/threads:prepare"),
    (Section::Starting, "irqchip:starting"),
    (Section::Starting, "clockevents:starting"),
    (Section::Online, "workqueue:online"),
    (Section::Online, "lockup_detector:online"),
];

/// Simulates a boot.
///
/// # Errors
/// Those of [`SimulationOptions::check`]. What goes wrong on the machine is in the verdict.
pub fn run(options: &SimulationOptions) -> Result<Simulated, Error> {
    options.check()?;
    let smp = Smp::new();
    let activate = |cpu| {
        smp.masks.active.insert(cpu);
        Ok(())
    };
    let deactivate = |cpu| {
        smp.masks.active.remove(cpu);
        Ok(())
    };
    let mut steps: Vec<Step<'_>> =
        STEPS.iter().zip(0..).map(|(&(section, name), order)| Step::new(section, order, name)).collect();
    steps.push(Step::new(Section::Online, 9, "sched:active").startup(&activate).teardown(&deactivate));
    let policy = match options.policy {
        Policy::Parallel => Library::PARALLEL,
        Policy::Serial => Library::SERIAL,
        Policy::AtMost(count) => Library::at_most(count.get() as usize),
    };
    let timeout = options.deadline.map_or(Timeout::DEFAULT, |deadline| Timeout::new(deadline, Duration::ZERO));
    let machine = Machine::builder(options.cpus as usize)
        .seed(options.seed)
        .smp(&smp)
        .steps(&steps)
        .faults(options.faults.iter().copied())
        .policy(policy)
        .timeout(timeout)
        .options(SmpOptions::from_command_line(options.append.as_deref().unwrap_or_default()));
    let run = machine.build().run(|control| {
        control.boot();
    });
    let mut assembly = Assembly::default();
    run.records.into_iter().for_each(|record| assembly.take(record));
    let report = assembly.finish(&options.label(), false);
    let verdict = verdict::judge(Ending::Exited(Some(0)), Duration::ZERO, report.as_ref());
    Ok(Simulated { verdict, report })
}

#[cfg(test)]
mod tests {
    use reveille_trace_format::Outcome;

    use super::*;

    fn simulate(cpus: u32, faults: &[&str]) -> Simulated {
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        run(&SimulationOptions { cpus, faults, seed: 7, ..Default::default() }).unwrap()
    }

    #[test]
    fn all_cpus_of_a_machine_without_faults_come_up() {
        let simulated = simulate(16, &[]);
        assert_eq!(simulated.verdict, Verdict::AllOnline);
        let report = simulated.report.unwrap();
        assert_eq!((report.online_count, report.masks.active.len(), report.cpus[15].hw_id), (16, 16, 0xf));
        assert_eq!(report.bringup_ns_of_events(), Some(report.bringup_ns));
    }

    #[test]
    fn faults_have_their_outcomes_and_the_report_names_them() {
        let faults = ["cpu1:refused:-3", "cpu2:late:5s", "cpu3:stops:workqueue:online", "cpu4:fails:sched:active"];
        let simulated = simulate(6, &faults);
        let report = simulated.report.unwrap();
        assert_eq!(report.machine, format!("sim, seed 7, {}", faults.join(", ")));
        assert_eq!(report.image, "simulated");
        let outcomes: Vec<_> = report.cpus.iter().map(|cpu| cpu.outcome).collect();
        use Outcome::{Failed, Online, Stuck, TimedOut};
        assert_eq!(outcomes, [Online, Failed, TimedOut, Stuck, Failed, Online]);
        let Verdict::NotAllOnline(problems) = simulated.verdict else { panic!("all is well") };
        assert!(problems[0].contains("CPU_ON: DENIED (-3)"), "{problems:?}");
    }

    #[test]
    fn faults_of_cpus_that_are_not_there_or_boot_the_machine_are_refused() {
        for fault in ["cpu0:dead", "cpu4:dead"] {
            let faults = vec![fault.parse().unwrap()];
            let refused = run(&SimulationOptions { cpus: 4, faults, ..Default::default() });
            assert!(matches!(refused, Err(Error::NoSuchCpu { .. })), "{fault}");
        }
        assert!(run(&SimulationOptions::default()).is_err(), "no CPU at all");
    }
}
