//! The command line, and how its errors become one sentence each. The arguments of `bench` are in `bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::boot::BootOptions;
use crate::enable_method::EnableMethod;
use crate::error::Error;
use crate::fault::GivenFault;
use crate::foreign::launch;
use crate::guests::{Guest0, GuestSpec, GuestWish};
use crate::hand_over::HandOver;
use crate::image::ImageFormat;
use crate::machine::Machine;
use crate::pattern::Pattern;
use crate::payload_place::PayloadPlace;
use crate::policy::Policy;
use crate::simulation::{self, SimulationOptions};
use crate::stack::Stack;
pub use torture::TortureArguments;

mod torture;
pub use bench::BenchArguments;

mod bench;

/// Boots SMP stacks on QEMU and shows their CPUs coming up.
///
/// Without a subcommand: boot --tree, with 4 CPUs.
#[derive(Debug, Parser)]
#[command(name = "reveille", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Action>,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Boot the reference kernel and show its CPUs coming up
    Boot(BootCommand),
    /// Take CPUs down and bring them back, thousands of times, from all CPUs at once
    ///
    /// Meanwhile CPUs interrupt each other and work. Passes if every request came to what it asked for, every interrupt that was
    /// accepted was answered, every piece of work was done once, and all CPUs are there in the end; says how long the median and
    /// the slowest transition took.
    Soak(SoakArguments),
    /// Boot a kernel, anyone's, on firmware whose CPUs are dead, late or refused, and say what it makes of each
    ///
    /// Exits with 0 if it came up each time, whole or saying which CPUs it lacks; with 1 if it lost one silently, hung or crashed; and as
    /// boot does if it does not come up where nothing is wrong.
    Torture(TortureArguments),
    /// Show a saved report again
    Show(ShowArguments),
    /// Say what changed between two boots, from their saved reports
    ///
    /// Exits with 0 if every CPU and every proof came to the same, with 1 if not, and with 2 if a file is no report. Times, functions
    /// that were passed and the like are shown where they differ and make no difference to the exit code.
    Diff(DiffArguments),
    /// Measure the bring-up: instructions and time, beside what it could cost at the least
    Bench(BenchArguments),
    /// Check a board's devicetree: which CPUs would come up, and what is wrong with the others
    ///
    /// Without a file: that of the running machine. Exits with 0 if every CPU can come up, with 1 if something keeps one from it,
    /// and with 2 if a file is no devicetree.
    Inspect(InspectArguments),
    /// Say what the host has of what boots need, and what is missing
    ///
    /// Exits with 0 if nothing is missing that boots without --machine need, or those on the machine that is named; else with 3.
    Doctor(DoctorArguments),
}

/// The arguments of `reveille boot`.
#[derive(Debug, Args)]
pub struct BootCommand {
    /// What is booted, on what.
    #[command(flatten)]
    pub boot: BootArguments,
    /// With --machine sim: the seed of the interleaving [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl BootCommand {
    /// The simulation that they ask for; `None` for a machine that runs.
    ///
    /// # Errors
    /// [`Error::NotSimulated`] and [`Error::OnlySimulated`] for options of the one kind with the other, and those of
    /// [`SimulationOptions::check`].
    pub fn simulation(&self) -> Result<Option<SimulationOptions>, Error> {
        let Self { boot, seed } = self;
        if boot.machine != simulation::NAME {
            return seed.map_or(Ok(None), |_| Err(Error::OnlySimulated { option: "--seed" }));
        }
        let given = [
            ("--stack", boot.stack != Stack::default()),
            ("--enable-method", boot.enable_method != EnableMethod::default()),
            ("--hand-over", boot.hand_over.is_some()),
            ("--payload", boot.payload.is_some()),
            ("--guest", !boot.guest.is_empty()),
            ("--initrd", boot.initrd.is_some()),
            ("--ready", boot.ready.is_some()),
            ("--dtb", boot.dtb.is_some()),
            ("--interactive", boot.interactive),
            ("--timeout", boot.timeout.is_some()),
            ("--el", boot.el.is_some()),
            ("--gic", boot.gic.is_some()),
            ("--cpu-model", boot.cpu_model.is_some()),
            ("--format", boot.format.is_some()),
            ("--qemu-arg", !boot.qemu_arg.is_empty()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Error::NotSimulated { option });
        }
        let options = SimulationOptions {
            cpus: boot.cpus,
            policy: boot.policy,
            append: boot.append.clone(),
            deadline: boot.deadline,
            faults: boot.fault.iter().map(GivenFault::simulated).collect::<Result<_, _>>()?,
            seed: seed.unwrap_or_default(),
        };
        options.check()?;
        Ok(Some(options))
    }
}

/// What is booted, and on what.
#[derive(Debug, Args)]
pub struct BootArguments {
    /// The machine to boot on: virt, raspi3b, or malta with MIPS CPUs; sim simulates one, on which no image runs and no time is measured
    #[arg(long, default_value = "virt", value_name = "NAME")]
    pub machine: String,
    /// The stages to boot: kernel; or firmware and behind a comma kernel, linux, xen (Debian's are fetched), linux=IMAGE, xen=IMAGE, or
    /// the path of an arm64 Image: our firmware runs at EL3 and answers their PSCI calls. A loader before the rest, behind the firmware or
    /// in its place, checks it on all CPUs and hands them over, and takes the path of an ELF file too; with hypervisor before the last stage, that is its guest 0, which may begin with a loader
    #[arg(long, default_value_t = Stack::default(), value_name = "STAGES")]
    pub stack: Stack,
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub cpus: u32,
    /// How many CPUs may be on their way up at once: parallel, serial, or a count
    #[arg(long, default_value_t = Policy::Parallel, value_name = "parallel|serial|K")]
    pub policy: Policy,
    /// What is wrong with a CPU, such as cpu2:late:200ms, cpu1:dead or all:power-up:20ms, on --machine sim or as the firmware of
    /// --stack firmware,... has it (may be repeated)
    #[arg(long, value_name = "CPU:FAULT")]
    pub fault: Vec<GivenFault>,
    /// How the firmware of --stack firmware,... has CPUs started
    #[arg(long, value_enum, default_value_t = EnableMethod::Psci)]
    pub enable_method: EnableMethod,
    /// How the boot loader of --stack loader,... hands its CPUs over: switched off, where there is PSCI, or in a pen
    #[arg(long, value_enum)]
    pub hand_over: Option<HandOver>,
    /// Where the boot loader of --stack loader,... finds what it is to start: in QEMU's fw_cfg, or in memory, as one archive [default: fw-cfg]
    #[arg(long, value_enum)]
    pub payload: Option<PayloadPlace>,
    /// With hypervisor in --stack: another guest, such as linux:vcpus=2,memory=256M, where pin=0-1 binds its vCPUs to these CPUs, and behind
    /// ",append=" stands what is added to its kernel's command line; or what guest 0 has, such as 0:vcpus=2,memory=1G (may be repeated)
    #[arg(long, value_name = "SYSTEM|0:vcpus=N,memory=NM,pin=CPUS")]
    pub guest: Vec<GuestWish>,
    /// Text to add to the kernel's command line, such as "maxcpus=2"; for what is above Xen or our hypervisor, behind " -- "
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// The initrd of a system that is not ours [default: one that says which CPUs are online, and switches the machine off]
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// What such a system prints when it is up, which ends the run [default: it switches the machine off]
    #[arg(long, value_name = "REGEX")]
    pub ready: Option<Pattern>,
    /// Boot with this devicetree instead of QEMU's own
    #[arg(long, value_name = "FILE")]
    pub dtb: Option<PathBuf>,
    /// What to show of the boot.
    #[command(flatten)]
    pub views: ViewArguments,
    /// Take commands when the CPUs are up: cpu on|off|state|list, steps, ipi, trace, help, exit
    ///
    /// They are read from the standard input, a line each; at its end the run ends. There is no time limit unless --timeout says so. With
    /// hypervisor in --stack lines go to guest 0; one with Ctrl-A three times switches to the next guest, and behind the last one to the
    /// hypervisor's own commands: guest list|start|stop|reset|vcpus, help, exit.
    #[arg(long)]
    pub interactive: bool,
    /// Write the report, as JSON, to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// End the run after this time [default: 60, and more with many CPUs]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// How long the kernel waits for CPUs
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub deadline: Option<Duration>,
    /// The exception level at which the kernel is entered [default: 1, where the machine has a choice]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub el: Option<u8>,
    /// The version of Arm's interrupt controller [default: the machine's usual one]
    #[arg(long, value_name = "2|3", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub gic: Option<u8>,
    /// The CPU model [default: the machine's usual one]
    #[arg(long, value_name = "NAME")]
    pub cpu_model: Option<String>,
    /// Which of the kernel's files to boot [default: image, where the machine has a choice]
    #[arg(long, value_enum)]
    pub format: Option<ImageFormat>,
    /// A further argument for QEMU (may be repeated)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub qemu_arg: Vec<String>,
}

/// The arguments of `reveille soak`.
#[derive(Debug, Args)]
pub struct SoakArguments {
    /// How many times a CPU is taken down and brought back
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub cycles: u32,
    /// What the choices of CPUs and requests begin with; the interleaving is the machine's
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// On what.
    #[command(flatten)]
    pub boot: BootArguments,
}

impl SoakArguments {
    /// What they ask for.
    ///
    /// # Errors
    /// Those of [`BootArguments::options`].
    pub fn options(&self) -> Result<BootOptions, Error> {
        let mut options = self.boot.options()?;
        if options.cpus < 2 {
            return Err(Error::NothingToSoak);
        }
        options.deadline.get_or_insert(PATIENCE);
        let timeout = options.limit() + TIME_PER_CYCLE * self.cycles;
        options.timeout = self.boot.timeout.or(Some(timeout));
        ask(&mut options, &format!("reveille.soak={} reveille.seed={}", self.cycles, self.seed));
        Ok(options)
    }
}

/// How long a request may take unless the user says: a busy host should not decide how a soak ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a cycle may take at the most, on a busy host.
const TIME_PER_CYCLE: Duration = Duration::from_millis(50);

/// Which views of a report are asked for, beside its summary.
#[derive(Debug, Args)]
pub struct ViewArguments {
    /// Show the call tree of each CPU
    #[arg(long)]
    pub tree: bool,
    /// Draw the bring-up in time, as SVG, to this file
    #[arg(long, value_name = "FILE.svg")]
    pub timeline: Option<PathBuf>,
    /// Write the trace for ui.perfetto.dev and chrome://tracing to this file
    #[arg(long, value_name = "FILE.json")]
    pub perfetto: Option<PathBuf>,
}

/// The arguments of `reveille show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The report that boot --report saved
    #[arg(value_name = "REPORT.json")]
    pub report: PathBuf,
    /// What to show of it.
    #[command(flatten)]
    pub views: ViewArguments,
}

/// The arguments of `reveille diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The report of the earlier boot
    #[arg(value_name = "A.json")]
    pub before: PathBuf,
    /// The report of the later boot
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
    /// Times that differ by less are not shown
    #[arg(long, default_value_t = 50, value_name = "PERCENT")]
    pub threshold: u32,
}

/// The arguments of `reveille inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The devicetrees, flattened [default: /sys/firmware/fdt]
    #[arg(value_name = "FILE.dtb")]
    pub files: Vec<PathBuf>,
    /// The id of the CPU that boots: the affinity fields of its MPIDR_EL1 [default: what the file says, else its first CPU]
    #[arg(long, value_name = "ID", value_parser = hw_id)]
    pub boot_cpu: Option<u64>,
    /// Print the result as JSON (docs/inspect.schema.json)
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `reveille doctor`.
#[derive(Debug, Default, Args)]
pub struct DoctorArguments {
    /// Only what boots on this machine need [default: what each needs]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}

/// Why there is nothing to do with a command line: what to print, and whether it was asked for (`--help`, `--version`).
#[derive(Debug)]
pub struct NoAction {
    /// The text.
    pub text: String,
    /// It is help that was asked for, not an error.
    pub asked_for: bool,
}

impl Arguments {
    /// Reads a command line.
    ///
    /// # Errors
    /// [`NoAction`].
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, NoAction> {
        Self::try_parse_from(words).map_err(|error| {
            let asked_for = !error.use_stderr();
            let text = if asked_for { error.render().ansi().to_string() } else { one_sentence(&error.to_string()) };
            NoAction { text, asked_for }
        })
    }

    /// The action, where none is named the one that shows most.
    #[must_use]
    pub fn action(self) -> Action {
        self.command.unwrap_or_else(|| {
            let words = ["reveille", "boot", "--tree"].map(OsString::from);
            Self::read(words)
                .ok()
                .and_then(|arguments| arguments.command)
                .unwrap_or(Action::Doctor(DoctorArguments::default()))
        })
    }
}

impl BootArguments {
    /// What they ask for.
    ///
    /// # Errors
    /// [`Error::UnknownMachine`], and those of [`BootOptions::check`].
    pub fn options(&self) -> Result<BootOptions, Error> {
        let mut options = BootOptions {
            machine: Machine::find(&self.machine)?,
            stack: self.stack.clone(),
            cpus: self.cpus,
            policy: self.policy,
            faults: self.fault.iter().map(GivenFault::firmware).collect::<Result<_, _>>()?,
            enable_method: self.enable_method,
            hand_over: self.hand_over,
            payload: self.payload,
            guest_0: self.guest_0(),
            guests: self.further_guests(),
            append: self.append.clone(),
            initrd: self.initrd.clone(),
            ready: self.ready.clone(),
            devicetree: self.dtb.clone(),
            timeout: self.timeout,
            deadline: self.deadline,
            entry_level: self.el,
            gic: self.gic,
            cpu_model: self.cpu_model.clone(),
            format: self.format,
            qemu_arguments: self.qemu_arg.clone(),
        };
        if self.interactive && options.stack.system().is_foreign() && !options.stack.has_hypervisor() {
            return Err(Error::StackWithout { stack: options.stack, option: "--interactive" });
        }
        if self.interactive && !options.stack.system().is_foreign() {
            ask(&mut options, "reveille.console=1");
        }
        options.check()?;
        Ok(options)
    }

    /// What guest 0 has: of several wishes for one thing the last counts.
    fn guest_0(&self) -> Guest0 {
        self.guest.iter().fold(Guest0::default(), |guest_0, wish| match wish {
            GuestWish::Guest0(wish) => {
                Guest0 { vcpus: wish.vcpus.or(guest_0.vcpus), memory: wish.memory.or(guest_0.memory) }
            }
            GuestWish::Further(_) => guest_0,
        })
    }

    fn further_guests(&self) -> Vec<GuestSpec> {
        let further = self.guest.iter().filter_map(|wish| match wish {
            GuestWish::Further(guest) => Some(guest.clone()),
            GuestWish::Guest0(_) => None,
        });
        further.collect()
    }
}

/// Adds words to the kernel's command line, which above a hypervisor is behind that of the hypervisor.
fn ask(options: &mut BootOptions, words: &str) {
    let append = options.append.take().unwrap_or_default();
    let is_guests = !options.stack.has_hypervisor() || launch::split(&append).1.is_some();
    let words = if is_guests { words.to_owned() } else { format!("-- {words}") };
    options.append = Some([append, words].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" "));
}

/// A time in seconds, with or without a fraction. More than a week is a slip of the finger.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    const LONGEST: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it is a number of seconds above 0, and at most a week"),
    }
}

/// A CPU's id, in hexadecimal with `0x`, or decimal.
fn hw_id(text: &str) -> Result<u64, &'static str> {
    let id = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    id.map_err(|_| "it is a number, such as 0x100")
}

/// The complaint in one of clap's messages, without its advice.
fn one_sentence(message: &str) -> String {
    let complaint = message.strip_prefix("error: ").unwrap_or(message);
    let end = complaint.find("\n\nUsage:").or_else(|| complaint.find("\n\nFor more information"));
    let words: Vec<&str> = complaint[..end.unwrap_or(complaint.len())].split_whitespace().collect();
    format!("{} (see reveille --help)", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Action, NoAction> {
        Arguments::read(line.split(' ').map(OsString::from)).map(Arguments::action)
    }

    fn options(line: &str) -> BootOptions {
        match read(line) {
            Ok(Action::Boot(arguments)) => arguments.boot.options().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_four_cpus_boot_and_show_their_tree() {
        let Ok(Action::Boot(arguments)) = read("reveille") else { panic!("no boot") };
        assert!(arguments.boot.views.tree);
        assert_eq!(arguments.boot.options().unwrap(), BootOptions::default());
        assert_eq!(arguments.simulation().unwrap(), None, "nothing is simulated unasked");
    }

    #[test]
    fn options_are_taken_over() {
        let options = options(
            "reveille boot --cpus 8 --policy 3 --append -x --timeout 0.5 --deadline 2 --el 2 --format elf \
             --qemu-arg -icount --qemu-arg shift=0 --cpu-model max --gic 2",
        );
        let expected = BootOptions {
            cpus: 8,
            policy: "3".parse().unwrap(),
            append: Some("-x".into()),
            timeout: Some(Duration::from_millis(500)),
            deadline: Some(Duration::from_secs(2)),
            entry_level: Some(2),
            gic: Some(2),
            format: Some(ImageFormat::Elf),
            qemu_arguments: vec!["-icount".into(), "shift=0".into()],
            cpu_model: Some("max".into()),
            ..BootOptions::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn an_interactive_boot_asks_the_kernel_for_its_console() {
        let options = options("reveille boot --interactive --append nosuch");
        assert_eq!(options.append.as_deref(), Some("nosuch reveille.console=1"));
    }

    #[test]
    fn an_interactive_boot_asks_a_kernel_that_is_a_guest_behind_two_dashes_and_linux_not_at_all() {
        let append = |line: &str| options(&format!("reveille boot --interactive --stack {line}")).append;
        assert_eq!(append("hypervisor,kernel").as_deref(), Some("-- reveille.console=1"));
        assert_eq!(append("hypervisor,kernel --append a").as_deref(), Some("a -- reveille.console=1"));
        assert_eq!(append("hypervisor,linux"), None);
        let words = "reveille boot --interactive --stack hypervisor,kernel --append".split(' ').chain(["-- b"]);
        let Ok(Action::Boot(given)) = Arguments::read(words.map(OsString::from)).map(Arguments::action) else {
            panic!()
        };
        assert_eq!(given.boot.options().unwrap().append.as_deref(), Some("-- b reveille.console=1"));
    }

    #[test]
    fn guest_0_and_further_guests_are_told_apart() {
        let options = options(
            "reveille boot --stack hypervisor,linux --guest 0:vcpus=2 --guest kernel --guest 0:memory=1G --ready up",
        );
        assert_eq!(options.guest_0, Guest0 { vcpus: Some(2), memory: Some(1024) });
        assert_eq!(options.guests, ["kernel".parse().unwrap()]);
    }

    #[test]
    fn a_soak_is_a_boot_that_is_told_to_and_has_time_for_it() {
        let Ok(Action::Soak(arguments)) = read("reveille soak --cycles 30000 --seed 7 --cpus 8 --append nosuch") else {
            panic!("no soak")
        };
        let options = arguments.options().unwrap();
        assert_eq!(options.append.as_deref(), Some("nosuch reveille.soak=30000 reveille.seed=7"));
        assert!(options.cpus == 8 && options.limit() > Duration::from_secs(1_500));
        let Ok(Action::Soak(alone)) = read("reveille soak --cpus 1") else { panic!("no soak") };
        assert!(matches!(alone.options(), Err(Error::NothingToSoak)));
    }

    #[test]
    fn bad_values_are_refused_in_one_line() {
        for line in [
            "--cpus many",
            "--cpus -1",
            "--cpus 4294967296",
            "--policy 0",
            "--policy fast",
            "--timeout 0",
            "--timeout -1",
            "--timeout nan",
            "--timeout inf",
            "--deadline 1e300",
            "--el 3",
            "--gic 1",
            "--format srec",
            "--frobnicate",
        ] {
            let refused = read(&format!("reveille boot {line}")).expect_err(line);
            assert!(!refused.asked_for, "{line}");
            assert_eq!(refused.text.lines().count(), 1, "{}", refused.text);
            assert!(!refused.text.contains("Usage"), "{}", refused.text);
        }
    }

    fn simulation(line: &str) -> Result<Option<SimulationOptions>, Error> {
        match read(line) {
            Ok(Action::Boot(arguments)) => arguments.simulation(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_simulation_is_named_and_has_options_of_its_own() {
        let line =
            "reveille boot --machine sim --cpus 8 --seed 3 --fault cpu2:late:200ms --fault cpu1:dead --deadline 2";
        let expected = SimulationOptions {
            cpus: 8,
            deadline: Some(Duration::from_secs(2)),
            faults: ["cpu2:late:200ms", "cpu1:dead"].map(|fault| fault.parse().unwrap()).into(),
            seed: 3,
            ..SimulationOptions::default()
        };
        assert_eq!(simulation(line).unwrap(), Some(expected));
        for (line, option) in [
            ("--machine sim --gic 2", "--gic"),
            ("--machine sim --interactive", "--interactive"),
            ("--machine sim --format elf", "--format"),
            ("--machine sim --ready up", "--ready"),
            ("--seed 1", "--seed"),
        ] {
            let refused = simulation(&format!("reveille boot {line}")).unwrap_err().to_string();
            assert!(refused.contains(option), "{refused}");
        }
        assert!(read("reveille boot --machine sim --fault cpu1:sleepy").is_err());
    }

    #[test]
    fn what_only_some_stacks_take_is_refused_with_the_others() {
        let refused = |line: &str| match read(&format!("reveille boot {line}")) {
            Ok(Action::Boot(arguments)) => arguments.boot.options().unwrap_err().to_string(),
            other => panic!("{other:?}"),
        };
        let only = "is for --machine sim and for stacks that begin with firmware";
        assert_eq!(refused("--fault cpu1:dead"), format!("--fault {only}"));
        assert_eq!(
            refused("--enable-method spin-table"),
            "--enable-method is for stacks that begin with firmware, such as --stack firmware,kernel"
        );
        for (line, option) in [
            ("--stack firmware,linux --deadline 2", "--deadline"),
            ("--stack firmware,linux --policy serial", "--policy"),
            ("--stack firmware,linux --interactive", "--interactive"),
            ("--stack firmware,xen --el 1", "--el"),
            ("--stack firmware,kernel --initrd x", "--initrd"),
            ("--ready x", "--ready"),
            ("--stack hypervisor,kernel --ready x", "--ready"),
        ] {
            let refused = refused(line);
            assert!(refused.ends_with(&format!("there is no choice of {option}")), "{refused}");
        }
        assert!(refused("--guest 0:vcpus=2").starts_with("--guest is for stacks with a hypervisor"));
        assert!(refused("--stack firmware,linux --initrd /no/such").contains("there is no initrd /no/such"));
        assert!(refused("--stack firmware,kernel --fault cpu4:dead").contains("none of the CPUs that are started"));
        assert!(read("reveille boot --ready (").is_err_and(|refused| refused.text.lines().count() == 1));
    }

    #[test]
    fn help_is_no_error() {
        assert!(read("reveille --help").is_err_and(|help| help.asked_for && help.text.contains("doctor")));
    }
}
