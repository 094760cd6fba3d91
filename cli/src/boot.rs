//! One boot from beginning to end, for the command and for other programs. `heard` is what the machine says meanwhile, and what that
//! comes to.
//!
//! ```no_run
//! use reveille_cli::boot::{self, BootOptions};
//! use reveille_cli::console::Silent;
//! use reveille_cli::{image, setup};
//!
//! # fn main() -> Result<(), reveille_cli::error::Error> {
//! let options = BootOptions { cpus: 8, ..BootOptions::default() };
//! let host = setup::ensure(options.machine.architecture())?;
//! let image = image::build_for(&host, options.machine, &options.stack, &[])?;
//! let run = boot::run(&host, &image, &options, &mut Silent)?;
//! println!("{:?}: {:?}", run.verdict, run.report);
//! # Ok(())
//! # }
//! ```

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reveille_sim::fault::{FirmwareFault, FirmwareFaultKind};

use crate::console::{Console, ConsoleSink};
use crate::enable_method::EnableMethod;
use crate::error::Error;
use crate::fetch::cache::digest;
use crate::foreign::{self, launch};
use crate::guests::{Guest0, GuestFiles, GuestSpec, files as guest_files};
use crate::hand_over::HandOver;
pub use crate::image::ImageFormat;
use crate::image::{self, BuiltImage};
use crate::keyboard::Keyboard;
use crate::machine::{Description, MACHINES, Machine};
use crate::pattern::Pattern;
use crate::payload_place::PayloadPlace;
use crate::policy::Policy;
use crate::qemu::{self, Ending, Files, Finished};
use crate::report::Report;
use crate::setup::Host;
use crate::stack::Stack;
use crate::verdict::Verdict;
use heard::Heard;
pub(crate) use payload::Payload;

mod guests;
mod heard;
mod payload;
use crate::{devicetree, environment};

/// Those of QEMU's models of 64-bit processors that lack Virtualization Host Extensions.
const WITHOUT_VHE: [&str; 4] = ["cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72"];
/// How long a run may take where nobody says, with few CPUs.
const LIMIT: Duration = Duration::from_secs(60);
/// How long firmware may take to write what it was called for, when nothing else happens.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long one may take that waits for a person: longer than anybody does.
const CONVERSATION_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What to boot, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOptions {
    /// The machine.
    pub machine: &'static Machine,
    /// The stages that it runs.
    pub stack: Stack,
    /// How many CPUs QEMU gives it.
    pub cpus: u32,
    /// How many CPUs may be on their way up at once.
    pub policy: Policy,
    /// What is wrong with CPUs, as firmware of ours has it.
    pub faults: Vec<FirmwareFault>,
    /// How firmware of ours has CPUs started.
    pub enable_method: EnableMethod,
    /// How a boot loader of ours hands its CPUs over; without one, it decides.
    pub hand_over: Option<HandOver>,
    /// Where a boot loader of ours finds what it is to start; without one, in fw_cfg.
    pub payload: Option<PayloadPlace>,
    /// What guest 0 of the hypervisor of ours has, which is the last stage of the stack.
    pub guest_0: Guest0,
    /// What the hypervisor of ours runs beside the last stage of the stack.
    pub guests: Vec<GuestSpec>,
    /// Text to add to the kernel's command line.
    pub append: Option<String>,
    /// The initrd of a system that is not ours.
    pub initrd: Option<PathBuf>,
    /// What such a system prints when it is up, which ends the run; without it, it has to switch the machine off.
    pub ready: Option<Pattern>,
    /// A devicetree to boot with instead of QEMU's own.
    pub devicetree: Option<PathBuf>,
    /// How long the run may take; without one, [`BootOptions::limit`] decides.
    pub timeout: Option<Duration>,
    /// How long the kernel waits for CPUs; without one, it decides.
    pub deadline: Option<Duration>,
    /// The exception level at which the image is entered, 1 or 2, where it is not the machine's usual one.
    pub entry_level: Option<u8>,
    /// The version of the GIC, where it is not the machine's usual one.
    pub gic: Option<u8>,
    /// The CPU model, where it is not the machine's usual one.
    pub cpu_model: Option<String>,
    /// Which of the image's files is booted, where it is not the one that the machine usually takes.
    pub format: Option<ImageFormat>,
    /// Further arguments for QEMU.
    pub qemu_arguments: Vec<String>,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self {
            machine: &MACHINES[0],
            stack: Stack::default(),
            cpus: 4,
            policy: Policy::default(),
            faults: Vec::new(),
            enable_method: EnableMethod::default(),
            hand_over: None,
            payload: None,
            guest_0: Guest0::default(),
            guests: Vec::new(),
            append: None,
            initrd: None,
            ready: None,
            devicetree: None,
            timeout: None,
            deadline: None,
            entry_level: None,
            gic: None,
            cpu_model: None,
            format: None,
            qemu_arguments: Vec::new(),
        }
    }
}

impl BootOptions {
    /// Checks what can be checked before anything is built or started.
    ///
    /// # Errors
    /// [`Error::CpuCount`], [`Error::EntryLevel`], [`Error::NoEntryLevels`], [`Error::Format`], [`Error::NoFormats`],
    /// [`Error::NoCpuModels`], [`Error::NoSuchGic`], [`Error::GicCpuCount`], [`Error::NoStack`], [`Error::StackWithout`],
    /// [`Error::NotDescribed`], [`Error::CommandLine`], [`Error::Devicetree`].
    pub fn check(&self) -> Result<(), Error> {
        let machine = self.machine;
        machine.check_cpus(self.cpus)?;
        machine.entry_property(self.entry_level)?;
        machine.check_format(self.format)?;
        if self.cpu_model.is_some() && !machine.takes_cpu_models {
            return Err(Error::NoCpuModels { machine: machine.name });
        }
        if let Some(version) = self.gic {
            let limit = machine.gic(version)?.max_cpus;
            if self.cpus > limit {
                return Err(Error::GicCpuCount { version, asked: self.cpus, limit });
            }
        }
        self.stack.check()?;
        machine.secure_firmware(&self.stack, self.gic, self.format)?;
        self.check_stages()?;
        if matches!(machine.description, Description::Firmware) {
            self.check_not_described()?;
        }
        if machine.firmware.is_some() {
            environment::of(&qemu::kernel_command_line(self))?;
        }
        self.devicetree.as_deref().map_or(Ok(()), devicetree::check)
    }

    /// Refuses what means nothing to the stages.
    fn check_stages(&self) -> Result<(), Error> {
        let without = |option| Err(Error::StackWithout { stack: self.stack.clone(), option });
        let system = self.stack.system();
        if !self.stack.has_firmware() {
            if !self.faults.is_empty() {
                return Err(Error::OnlyMisbehaving { option: "--fault" });
            }
            if self.enable_method != EnableMethod::default() {
                return Err(Error::OnlyFirmware { option: "--enable-method" });
            }
        }
        if self.stack.has_hypervisor() {
            self.check_vhe()?;
        } else if !self.guests.is_empty() || self.guest_0 != Guest0::default() {
            return Err(Error::OnlyGuests { option: "--guest" });
        }
        if self.stack.has_loader() {
            if self.machine.secure_firmware.is_none() {
                return Err(Error::NoStack { machine: self.machine.name, stack: self.stack.clone() });
            }
            // What the loader is given in one form or the other is an image of ours.
            if self.format.is_some() && system.is_foreign() && !self.stack.has_hypervisor() {
                return without("--format");
            }
        } else if self.payload.is_some() {
            return without("--payload");
        }
        if self.hand_over.is_some() && !self.stack.has_loader() && !self.stack.has_guest_loader() {
            return without("--hand-over");
        }
        let is_there = |fault: &&FirmwareFault| fault.cpu.is_none_or(|cpu| cpu < self.cpus as usize);
        if let Some(fault) = self.faults.iter().find(|fault| !is_there(fault)) {
            return Err(Error::NoSuchCpu { fault: fault.to_string(), last: self.cpus.saturating_sub(1) });
        }
        if self.enable_method == EnableMethod::SpinTable
            && let Some(fault) = self.faults.iter().find(|fault| fault.kind != FirmwareFaultKind::Dead)
        {
            return Err(Error::FaultElsewhere {
                fault: fault.to_string(),
                place: "the firmware with --enable-method spin-table",
            });
        }
        let ours = [("--deadline", self.deadline.is_some()), ("--policy", self.policy != Policy::default())];
        let initrd = ("--initrd", self.initrd.is_some());
        let ready = ("--ready", self.ready.is_some());
        let meaningless = match (self.stack.has_hypervisor(), system.is_foreign()) {
            (true, true) => vec![("--gic", self.gic == Some(2))],
            (true, false) => vec![initrd, ready, ("--gic", self.gic == Some(2))],
            (false, true) => ours.to_vec(),
            (false, false) => vec![initrd, ready],
        };
        if let Some((option, _)) = meaningless.into_iter().find(|(_, given)| *given) {
            return without(option);
        }
        if self.stack.has_loader() && !self.guests.is_empty() {
            return without("--guest");
        }
        let mut given = self.guests.iter().filter_map(|guest| guest.system.given());
        given.try_for_each(|path| foreign::image::check(path, false))?;
        if self.stack.has_hypervisor() && self.machine.secure_firmware.is_none() {
            return Err(Error::NoStack { machine: self.machine.name, stack: self.stack.clone() });
        }
        if let Some(initrd) = self.initrd.as_deref().filter(|initrd| !initrd.is_file()) {
            return Err(Error::Foreign { problem: format!("there is no initrd {}", initrd.display()) });
        }
        match (launch::entry_level(&self.stack), self.entry_level) {
            (Some(only), Some(level)) if level != only => without("--el"),
            _ => Ok(()),
        }
    }

    /// Refuses a processor that QEMU emulates without what the hypervisor runs on.
    fn check_vhe(&self) -> Result<(), Error> {
        let without = self.cpu_model.as_deref().filter(|model| {
            // What follows are properties.
            let name = model.split(',').next().unwrap_or_default();
            WITHOUT_VHE.contains(&name)
        });
        without.map_or(Ok(()), |model| Err(Error::NoVhe { model: model.to_owned() }))
    }

    /// Refuses what would describe a machine that only its firmware describes.
    fn check_not_described(&self) -> Result<(), Error> {
        let machine = self.machine.name;
        if self.devicetree.is_some() {
            return Err(Error::NotDescribed { machine, what: "devicetree", option: "--dtb" });
        }
        let mut words = self.append.iter().flat_map(|append| append.split_ascii_whitespace());
        if words.any(|word| word.starts_with("acpi=")) {
            return Err(Error::NotDescribed { machine, what: "ACPI", option: "acpi=" });
        }
        Ok(())
    }

    /// Whether what runs shows [`PROMPT`](reveille_trace_format::PROMPT) whenever it waits for a line: the kernel does, alone on its console.
    #[must_use]
    pub fn prompts(&self) -> bool {
        !self.stack.system().is_foreign() && self.guests.is_empty()
    }

    /// How long the run may take: what was asked for, or a time that grows with the CPUs and with the kernel's own deadline.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.timeout
            .unwrap_or_else(|| LIMIT + Duration::from_millis(250) * self.cpus + self.deadline.unwrap_or(Duration::ZERO))
    }
}

/// What a boot came to.
#[derive(Clone, Debug)]
pub struct BootRun {
    /// How it went.
    pub verdict: Verdict,
    /// What the image reported; `None` if it never began.
    pub report: Option<Report>,
    /// The text on the console.
    pub console: Console,
    /// QEMU's own messages.
    pub qemu_messages: String,
    /// QEMU and its arguments, as a shell takes them.
    pub command_line: String,
    /// How long QEMU ran.
    pub duration: Duration,
}

/// Boots `image` and judges how it went. The console's text goes to `sink` as it comes.
///
/// # Errors
/// An [`Error`] if the machine could not be started as asked; what goes wrong on a machine that runs is in the verdict.
pub fn run(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    run_with(host, image, options, None, sink)
}

/// The same, with what comes from `keyboard` typed at the console. Without [`BootOptions::timeout`] it may take any time. The kernel
/// takes commands if its command line says `reveille.console=1`.
///
/// # Errors
/// Those of [`run`].
pub fn converse(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    keyboard: Keyboard,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    run_with(host, image, options, Some(keyboard), sink)
}

fn run_with(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    keyboard: Option<Keyboard>,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    options.check()?;
    let folder = tempfile::tempdir().map_err(|source| Error::FirmwareLog { source })?;
    let files = files_for(host, options, image, folder.path())?;
    let arguments = qemu::arguments(options, image, &files);
    let command_line = shell_line(&host.qemu.to_string_lossy(), &arguments);
    let mut heard = Heard::new(sink, options.ready.as_ref());
    let start = Instant::now();
    let mut limit = options.limit();
    let finished = match keyboard {
        Some(keyboard) => {
            limit = options.timeout.unwrap_or(CONVERSATION_LIMIT);
            qemu::converse(&host.qemu, &arguments, limit, keyboard, |line| heard.take(line))?
        }
        None => qemu::run_until(&host.qemu, &arguments, limit, |line| {
            heard.take(line);
            if heard.is_ready() {
                // What firmware has not written yet, it writes within this time.
                std::thread::sleep(LAST_WORDS);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?,
    };
    let duration = start.elapsed();
    if heard.is_silent() {
        refused(&finished)?;
    }
    let firmware_log = files.firmware_log.as_deref();
    let (verdict, report, console) = heard.conclude(options, image, &finished, limit, firmware_log);
    Ok(BootRun { verdict, report, console, qemu_messages: finished.messages, command_line, duration })
}

/// The files to boot with: what was asked for, and what the machine needs, which is written beside the image. `folder` takes what
/// is for this run alone.
fn files_for(host: &Host, options: &BootOptions, image: &BuiltImage, folder: &Path) -> Result<Files, Error> {
    let machine = options.machine;
    // A boot loader puts guest 0 into memory and into the devicetree itself.
    let is_written = options.stack.has_hypervisor() && !options.stack.has_loader();
    let guests = is_written.then(|| guest_files(host, options, image, folder)).transpose()?;
    let GuestFiles { devicetree: with_guests, modules } = guests.unwrap_or_default();
    let beside = |name: String, bytes: &[u8]| {
        let path = image.flat.with_file_name(name);
        image::replace(&path, bytes).map(|()| path)
    };
    let devicetree = match (&options.devicetree, &machine.description) {
        _ if is_written => Some(with_guests),
        (Some(devicetree), _) => Some(devicetree.clone()),
        (None, Description::Devicetree(make)) => Some(beside(format!("{}.dtb", machine.name), &make())?),
        (None, Description::Qemu | Description::Firmware) => None,
    };
    let environment = match &machine.firmware {
        // Boots at the same time may have different ones, and a boot that failed can be repeated.
        Some(_) => {
            let environment = environment::of(&qemu::kernel_command_line(options))?;
            Some(beside(format!("{}-{}.env", machine.name, &digest(&environment)[..16]), &environment)?)
        }
        None => None,
    };
    let firmware_log = options.stack.has_firmware().then(|| folder.join("firmware.log"));
    let mut files = Files { devicetree, environment, firmware_log, modules, ..Files::default() };
    if image.loader.is_some() {
        let payload = Payload::of_stack(options, image);
        match options.payload.unwrap_or_default() {
            PayloadPlace::FwCfg => files.payload = payload.files(folder)?,
            PayloadPlace::Memory => files.archive = Some(payload.archive(folder)?),
        }
    }
    Ok(files)
}

/// Whether a QEMU that showed nothing never started its machine: then it exits with 1 and says why.
fn refused(finished: &Finished) -> Result<(), Error> {
    let complaint = finished.messages.lines().rfind(|line| line.starts_with("qemu") && !line.contains("warning:"));
    match (finished.ending, complaint) {
        (Ending::Exited(Some(1)), Some(complaint)) => {
            let message = complaint.split_once(": ").map_or(complaint, |(_, message)| message);
            Err(Error::QemuRefused { message: message.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A command line that a shell reads back as these words.
fn shell_line(program: &str, arguments: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./,=:+@".contains(&byte))
    };
    let quote = |word: &str| if plain(word) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    words.map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_cpus_and_deadline_unless_it_is_given() {
        let four = BootOptions::default();
        let many = BootOptions { cpus: 512, ..four.clone() };
        let patient = BootOptions { deadline: Some(Duration::from_secs(100)), ..four.clone() };
        let hasty = BootOptions { timeout: Some(Duration::from_secs(1)), ..many.clone() };
        assert!(four.limit() >= LIMIT);
        assert!(many.limit() > four.limit());
        assert!(patient.limit() > Duration::from_secs(100));
        assert_eq!(hasty.limit(), Duration::from_secs(1));
    }

    #[test]
    fn impossible_boots_are_refused_before_anything_starts() {
        let options = BootOptions::default();
        assert!(options.check().is_ok());
        assert!(BootOptions { cpus: 0, ..options.clone() }.check().is_err());
        assert!(BootOptions { entry_level: Some(3), ..options.clone() }.check().is_err());
        assert!(BootOptions { cpus: 8, gic: Some(2), ..options.clone() }.check().is_ok());
        assert!(BootOptions { cpus: 9, gic: Some(2), ..options.clone() }.check().is_err());
        assert!(BootOptions { devicetree: Some("/no/such.dtb".into()), ..options }.check().is_err());
        let board = BootOptions { machine: &MACHINES[1], ..BootOptions::default() };
        assert!(board.check().is_ok());
        assert!(BootOptions { format: Some(ImageFormat::Elf), ..board.clone() }.check().is_err());
        assert!(BootOptions { cpu_model: Some("max".into()), ..board }.check().is_err());
    }

    #[test]
    fn what_a_hypervisor_takes_is_refused_without_one_and_a_processor_without_vhe_with_it() {
        let Ok(hypervisor) = "hypervisor,kernel".parse::<Stack>();
        let guests: Vec<GuestSpec> = vec!["linux".parse().unwrap()];
        let plain = BootOptions { guests, ..BootOptions::default() };
        let sentence = "--guest is for stacks with a hypervisor, such as --stack hypervisor,linux";
        assert_eq!(plain.check().unwrap_err().to_string(), sentence);
        assert!(BootOptions { stack: hypervisor.clone(), ..plain }.check().is_ok());
        let on = |model: &str, stack: &Stack| {
            BootOptions { stack: stack.clone(), cpu_model: Some(model.into()), ..BootOptions::default() }.check()
        };
        for model in ["cortex-a57", "cortex-a72,pmu=off"] {
            let refused = on(model, &hypervisor).unwrap_err().to_string();
            assert!(refused.contains("Virtualization Host Extensions") && refused.contains(model), "{refused}");
            assert!(on(model, &Stack::default()).is_ok());
        }
        assert!(on("cortex-a76", &hypervisor).is_ok() && on("max", &hypervisor).is_ok());
    }

    #[test]
    fn what_means_nothing_on_a_machine_that_its_firmware_describes_is_refused_in_a_sentence() {
        let malta = BootOptions { machine: Machine::find("malta").unwrap(), cpus: 16, ..BootOptions::default() };
        assert!(malta.check().is_ok());
        let append = |words: &str| BootOptions { append: Some(words.into()), ..malta.clone() };
        assert!(append("maxcpus=2 nosuch.acpi=on").check().is_ok());
        let table = [
            (BootOptions { cpus: 17, ..malta.clone() }, "the machine malta takes 1 to 16 CPUs, not 17"),
            (BootOptions { gic: Some(3), ..malta.clone() }, "the machine malta cannot have a GICv3"),
            (
                BootOptions { devicetree: Some("x.dtb".into()), ..malta.clone() },
                "the machine malta has no devicetree, so --dtb means nothing there",
            ),
            (append("maxcpus=2 acpi=on"), "the machine malta has no ACPI, so acpi= means nothing there"),
            (append("a\nb"), "the kernel's command line cannot be handed over: it has a line break in it"),
            (
                BootOptions { cpu_model: Some("I6400".into()), ..malta.clone() },
                "the machine malta cannot have another CPU model",
            ),
        ];
        for (options, sentence) in table {
            assert_eq!(options.check().unwrap_err().to_string(), sentence);
        }
    }

    #[test]
    fn command_lines_are_quoted_for_the_shell() {
        let arguments = ["-append".to_owned(), "a b".to_owned(), "it's".to_owned(), String::new()];
        assert_eq!(shell_line("qemu", &arguments), r"qemu -append 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_qemu_that_never_started_is_told_from_a_machine_that_died() {
        let finished =
            |code, messages: &str| Finished { ending: Ending::Exited(Some(code)), messages: messages.into() };
        let refusal = "qemu-system-aarch64: warning: odd\nqemu-system-aarch64: unable to find CPU model 'x'\n";
        let error = refused(&finished(1, refusal)).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused to start: unable to find CPU model 'x'");
        assert!(refused(&finished(1, "qemu-system-aarch64: warning: odd\n")).is_ok());
        assert!(refused(&finished(1, "")).is_ok());
        assert!(refused(&finished(101, refusal)).is_ok());
    }
}
