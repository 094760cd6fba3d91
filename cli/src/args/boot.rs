//! The arguments of `reveille boot`, and what is booted on what, which `soak` takes too. What they ask of the simulation is in
//! `simulation`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ViewArguments, seconds};
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
use crate::stack::Stack;

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
    /// hypervisor's own commands: guest list|start|stop|reset|vcpus, cpu list|on|off, help, exit. With Linux or several guests above it the
    /// end of the input ends nothing.
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
pub(super) fn ask(options: &mut BootOptions, words: &str) {
    let append = options.append.take().unwrap_or_default();
    let is_guests = !options.stack.has_hypervisor() || launch::split(&append).1.is_some();
    let words = if is_guests { words.to_owned() } else { format!("-- {words}") };
    options.append = Some([append, words].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" "));
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::tests::read;
    use super::super::{Action, Arguments};
    use super::*;

    fn options(line: &str) -> BootOptions {
        match read(line) {
            Ok(Action::Boot(arguments)) => arguments.boot.options().unwrap(),
            other => panic!("{other:?}"),
        }
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
}
