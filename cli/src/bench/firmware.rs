//! What a provider of PSCI costs: ours at EL3, beside the one that QEMU has in itself; and what CPUs cost whose power-up takes time, in
//! turns and together.

use std::time::Duration;

use serde::Serialize;

use super::statistics::Spread;
use super::table::{milliseconds, push_table};
use super::{BenchError, qemu_version};
use crate::boot::{self, BootOptions};
use crate::console::Silent;
use crate::error::Error;
use crate::image::{self, BuiltImage};
use crate::inspect::text::wrap;
use crate::machine::{MACHINES, Machine};
use crate::policy::Policy;
use crate::setup::Host;
use crate::stack::{Stack, System};
use crate::verdict::Verdict;

/// How often the yardstick calls PSCI_VERSION.
const CALLS: f64 = 1000.0;
/// How long power-up takes, as firmware is told, and in how many CPUs.
const POWER_UP: &str = "all:power-up:20ms";
const POWER_UP_TIME: Duration = Duration::from_millis(20);
const POWER_UP_CPUS: u32 = 64;
/// With `-icount shift=0` and this counter a nanosecond is an instruction.
const COUNTED: [&str; 2] = ["-icount", "shift=0"];
const COUNTER: &str = "cntfrq=1000000000";

/// A provider.
#[derive(Clone, Debug, Serialize)]
pub struct Provider {
    /// What it is.
    pub name: &'static str,
    /// Instructions of a call of PSCI_VERSION, with the loop around it, which has three beside the call.
    pub version_instructions: f64,
    /// Instructions from CPU_ON to the first instruction of the CPU, of both CPUs together.
    pub first_instructions: f64,
    /// The time from CPU_ON to that instruction.
    pub first: Spread,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct FirmwareBench {
    /// The QEMU that ran everything.
    pub qemu: String,
    /// How often each time was taken.
    pub runs: u32,
    /// The providers, ours last.
    pub providers: Vec<Provider>,
    /// The kernel's bring-up of 64 CPUs whose power-up takes 20 ms: one after the other, and together.
    pub serial: Spread,
    /// Together.
    pub parallel: Spread,
}

/// What is measured with.
struct Rig<'a> {
    host: &'a Host,
    machine: &'static Machine,
    yardstick: BuiltImage,
    kernel: BuiltImage,
}

/// Measures. `progress` hears what is being done.
///
/// # Errors
/// [`Error`]: the first run that goes wrong ends the bench.
pub fn run(host: &Host, runs: u32, progress: &mut dyn FnMut(&str)) -> Result<FirmwareBench, Error> {
    let machine = &MACHINES[0];
    let kernel = image::build_for(host, machine, &Stack::firmware(System::Kernel), &[])?;
    let yardstick = BuiltImage { firmware: kernel.firmware.clone(), ..image::build(host, &image::YARDSTICK, &[])? };
    let rig = Rig { host, machine, yardstick, kernel };
    let of_qemu = BootOptions { machine, cpus: 2, ..BootOptions::default() };
    let setups = [
        ("QEMU's own, by HVC", of_qemu.clone()),
        ("QEMU's own, by SMC", BootOptions { entry_level: Some(2), ..of_qemu.clone() }),
        ("ours, by SMC", BootOptions { stack: Stack::firmware(System::Kernel), ..of_qemu }),
    ];
    let mut providers = Vec::new();
    for (name, options) in setups {
        progress(&format!("{name}: instructions and times"));
        let times = (0..runs).map(|_| rig.measure("first", &options)).collect::<Result<Vec<_>, _>>()?;
        providers.push(Provider {
            name,
            version_instructions: rig.count("version", &options)? as f64 / CALLS,
            first_instructions: rig.count("first", &options)? as f64,
            first: Spread::of(&times),
        });
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 1..=runs {
        progress(&format!("{POWER_UP_CPUS} CPUs with a power-up of 20 ms: round {round} of {runs}"));
        for (policy, times) in [Policy::Serial, Policy::Parallel].into_iter().zip(&mut times) {
            times.push(rig.power_up(policy)?);
        }
    }
    let [serial, parallel] = times.map(|times| Spread::of(&times));
    Ok(FirmwareBench { qemu: qemu_version(host), runs, providers, serial, parallel })
}

impl Rig<'_> {
    /// Nanoseconds of a phase of the yardstick.
    fn measure(&self, phase: &str, options: &BootOptions) -> Result<u64, Error> {
        let append = Some(format!("yardstick={phase}"));
        self.bring_up(phase, &self.yardstick, &BootOptions { append, ..options.clone() })
    }

    /// Instructions of a phase of the yardstick.
    fn count(&self, phase: &str, options: &BootOptions) -> Result<u64, Error> {
        let cpu_model = Some(format!("{},{COUNTER}", self.machine.cpu_model));
        let qemu_arguments = COUNTED.map(str::to_owned).to_vec();
        self.measure(phase, &BootOptions { cpu_model, qemu_arguments, ..options.clone() })
    }

    /// Nanoseconds of the kernel's bring-up of CPUs whose power-up takes time.
    fn power_up(&self, policy: Policy) -> Result<u64, Error> {
        let options = BootOptions {
            machine: self.machine,
            stack: Stack::firmware(System::Kernel),
            cpus: POWER_UP_CPUS,
            policy,
            faults: POWER_UP.parse().into_iter().collect(),
            deadline: Some(Duration::from_secs(30)),
            ..BootOptions::default()
        };
        self.bring_up("power-up", &self.kernel, &options)
    }

    fn bring_up(&self, subject: &str, image: &BuiltImage, options: &BootOptions) -> Result<u64, Error> {
        let run = boot::run(self.host, image, options, &mut Silent)?;
        match (&run.verdict, &run.report) {
            (Verdict::AllOnline, Some(report)) => Ok(report.bringup_ns),
            (verdict, _) => {
                let what = format!("{verdict:?}");
                Err(BenchError::Run { subject: subject.to_owned(), cpus: options.cpus, what }.into())
            }
        }
    }
}

/// The result as tables.
#[must_use]
pub fn draw(bench: &FirmwareBench, width: usize) -> String {
    let mut text = String::new();
    let header =
        ["PSCI", "PSCI_VERSION", "CPU_ON to first instruction", "time, lower quartile", "(min, median, upper)"];
    let rows = bench.providers.iter().map(|provider| {
        let (lower, others) = spread(&provider.first);
        let count = |instructions: f64| format!("{instructions:.0} instructions");
        let (version, first) = (count(provider.version_instructions), count(provider.first_instructions));
        vec![provider.name.to_owned(), version, first, lower, others]
    });
    push_table(&mut text, &header, &rows.collect::<Vec<_>>());
    text.push('\n');
    let rows = [("one after the other", &bench.serial), ("together", &bench.parallel)].map(|(name, time)| {
        let (lower, others) = spread(time);
        let delays = time.lower_quartile / POWER_UP_TIME.as_nanos() as f64;
        vec![name.to_owned(), lower, others, format!("{delays:.1}")]
    });
    let title = format!("{POWER_UP_CPUS} CPUs, power-up 20 ms");
    push_table(&mut text, &[&title, "time, lower quartile", "(min, median, upper)", "delays"], &rows);
    let ran = format!(
        "{} runs of each on {}. Instructions are those of all CPUs together, and are counted in one run. QEMU answers in no \
         instruction: what is counted of its own is the loop around the call, and what the CPUs execute until one notices the other.",
        bench.runs, bench.qemu
    );
    text.push_str(&format!("\n{}\n", wrap(&ran, 0, width)));
    text
}

fn spread(time: &Spread) -> (String, String) {
    let [minimum, median, upper] = [time.minimum, time.median, time.upper_quartile].map(milliseconds);
    (milliseconds(time.lower_quartile), format!("{minimum}, {median}, {upper}"))
}
