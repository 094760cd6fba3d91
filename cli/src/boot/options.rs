//! What to boot and how, and what can be said against it before anything is built or started.

use std::path::PathBuf;
use std::time::Duration;

use reveille_sim::fault::{FirmwareFault, FirmwareFaultKind};

use crate::enable_method::EnableMethod;
use crate::error::Error;
use crate::foreign::launch;
use crate::guests::{Guest0, GuestSpec};
use crate::hand_over::HandOver;
use crate::image::ImageFormat;
use crate::machine::{Description, MACHINES, Machine};
use crate::pattern::Pattern;
use crate::payload_place::PayloadPlace;
use crate::policy::Policy;
use crate::stack::Stack;
use crate::{devicetree, environment, qemu};

/// Those of QEMU's models of 64-bit processors that lack Virtualization Host Extensions.
const WITHOUT_VHE: [&str; 4] = ["cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72"];
/// How long a run may take where nobody says, with few CPUs.
const LIMIT: Duration = Duration::from_secs(60);

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
        self.check_what_is_for_one_role()?;
        self.check_faults()?;
        let without = |option| Err(self.without(option));
        let system = self.stack.system();
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
        self.guests.iter().try_for_each(|guest| guest.check(self.cpus))?;
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

    /// Refuses what is for a stage of ours that the stack has not.
    fn check_what_is_for_one_role(&self) -> Result<(), Error> {
        let without = |option| Err(self.without(option));
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
            if self.format.is_some() && self.stack.system().is_foreign() && !self.stack.has_hypervisor() {
                return without("--format");
            }
        } else if self.payload.is_some() {
            return without("--payload");
        }
        if self.hand_over.is_some() && !self.stack.has_loader() && !self.stack.has_guest_loader() {
            return without("--hand-over");
        }
        Ok(())
    }

    /// Refuses faults of CPUs that are not there, and those that the firmware has with another enable method only.
    fn check_faults(&self) -> Result<(), Error> {
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
        Ok(())
    }

    fn without(&self, option: &'static str) -> Error {
        Error::StackWithout { stack: self.stack.clone(), option }
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
}
