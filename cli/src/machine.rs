//! The machines that can be booted, and their architectures, as data. A board more is an entry in [`MACHINES`].

mod malta;
mod raspi3b;

use std::ops::RangeInclusive;

use crate::error::Error;
use crate::image::{self, ImageFormat, ImageKind};
use crate::stack::Stack;
use malta::MALTA;

/// An instruction set, and what the host needs for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name for people.
    pub name: &'static str,
    /// The Rust target of its images.
    pub target: &'static str,
    /// The QEMU program that emulates it.
    pub qemu: &'static str,
    /// The package with [`Self::qemu`], by package manager.
    pub qemu_packages: QemuPackages,
    /// Whether there is a standard library to install for the target; if not, it is always built from source.
    pub prebuilt_library: bool,
}

/// What the package with an architecture's QEMU is called.
#[derive(Debug, PartialEq, Eq)]
pub struct QemuPackages {
    /// In Debian and its descendants.
    pub apt: &'static str,
    /// In Fedora.
    pub dnf: &'static str,
    /// In Arch Linux.
    pub pacman: &'static str,
    /// In Homebrew.
    pub brew: &'static str,
}

/// 64-bit Arm.
pub static ARM64: Architecture = Architecture {
    name: "arm64",
    target: "aarch64-unknown-none-softfloat",
    qemu: "qemu-system-aarch64",
    qemu_packages: QemuPackages {
        apt: "qemu-system-arm",
        dnf: "qemu-system-aarch64-core",
        pacman: "qemu-system-aarch64",
        brew: "qemu",
    },
    prebuilt_library: true,
};

/// 32-bit MIPS, little-endian.
pub static MIPS: Architecture = Architecture {
    name: "MIPS",
    target: "mipsel-unknown-none",
    qemu: "qemu-system-mipsel",
    qemu_packages: QemuPackages {
        apt: "qemu-system-mips",
        dnf: "qemu-system-mips-core",
        pacman: "qemu-system-mips",
        brew: "qemu",
    },
    // The target is of Rust's third tier.
    prebuilt_library: false,
};

/// Every instruction set there is; plain boots need the first.
pub static ARCHITECTURES: [&Architecture; 2] = [&ARM64, &MIPS];

/// A machine that QEMU can be. Its name tells it from all others.
#[derive(Debug)]
pub struct Machine {
    /// What the command calls it.
    pub name: &'static str,
    /// The image that boots on it.
    pub image: &'static ImageKind,
    /// What QEMU calls it, with its properties.
    pub qemu_machine: &'static str,
    /// The firmware of ours that boots the image; without it, QEMU does.
    pub firmware: Option<Firmware>,
    /// The firmware of ours that can boot the image in QEMU's place, where that is asked for.
    pub secure_firmware: Option<SecureFirmware>,
    /// At which exception levels it enters images.
    pub entry_level: EntryLevel,
    /// Which of an image's files it takes, the usual one first; none where there is no choice.
    pub formats: &'static [ImageFormat],
    /// The versions of the GIC that it can be asked for.
    pub gics: &'static [Gic],
    /// The CPU model where none is asked for.
    pub cpu_model: &'static str,
    /// Whether it can have other CPU models.
    pub takes_cpu_models: bool,
    /// Memory, as QEMU writes it.
    pub memory: &'static str,
    /// How many CPUs it takes.
    pub cpus: RangeInclusive<u32>,
    /// QEMU's options for devices that it would have by itself, and is to do without.
    pub without: &'static [&'static str],
    /// What becomes of its serial ports, in QEMU's order: the console is `stdio`.
    pub serial: &'static [&'static str],
    /// Where the image learns what the machine has.
    pub description: Description,
    /// Whether its CPUs wait in pens until they are started.
    pub has_pens: bool,
}

/// Firmware of ours, and where it finds what it boots.
#[derive(Debug)]
pub struct Firmware {
    /// Its image.
    pub image: &'static ImageKind,
    /// The physical address at which QEMU puts the image that it boots, an ELF file.
    pub image_address: u64,
    /// The physical address at which QEMU puts its environment: the [`environment`](crate::environment) module writes it.
    pub environment_address: u64,
}

/// Firmware of ours that QEMU hands over to what it is told to boot, and that calls nobody above it.
#[derive(Debug)]
pub struct SecureFirmware {
    /// Its image.
    pub image: &'static ImageKind,
    /// The properties of QEMU's machine with which it begins at the reset vector, at EL3.
    pub properties: &'static str,
    /// The only version of the GIC that it drives.
    pub gic: u8,
    /// The only file of an image that it takes.
    pub format: ImageFormat,
}

/// Where an image learns what a machine has.
#[derive(Debug)]
pub enum Description {
    /// From QEMU's devicetree, or from another one; QEMU has ACPI's tables as well.
    Qemu,
    /// From a devicetree that this makes, since QEMU has none of its own; or from another one.
    Devicetree(fn() -> Vec<u8>),
    /// From its firmware, which it asks.
    Firmware,
}

/// At which exception levels a machine enters images.
#[derive(Debug, PartialEq, Eq)]
pub enum EntryLevel {
    /// At EL1, or at EL2 with this property.
    Either {
        /// The property of QEMU's machine.
        level_2: &'static str,
    },
    /// Always at this one.
    Only(u8),
    /// It has none.
    None,
}

/// A version of Arm's interrupt controller that a machine can have.
#[derive(Debug, PartialEq, Eq)]
pub struct Gic {
    /// The version.
    pub version: u8,
    /// The property that gives it to QEMU's machine.
    pub property: &'static str,
    /// The most CPUs that it serves.
    pub max_cpus: u32,
}

/// Every machine there is; the first is the one that is booted where none is named.
pub static MACHINES: &[Machine] = &[VIRT, RASPI3B, MALTA];

const VIRT: Machine = Machine {
    name: "virt",
    image: &image::KERNEL,
    qemu_machine: "virt,gic-version=3",
    firmware: None,
    secure_firmware: Some(SecureFirmware {
        image: &image::FIRMWARE,
        properties: "secure=on",
        gic: 3,
        format: ImageFormat::Image,
    }),
    entry_level: EntryLevel::Either { level_2: "virtualization=on" },
    formats: &[ImageFormat::Image, ImageFormat::Elf],
    gics: &[
        Gic { version: 2, property: "gic-version=2", max_cpus: 8 },
        Gic { version: 3, property: "gic-version=3", max_cpus: 512 },
    ],
    cpu_model: "cortex-a57",
    takes_cpu_models: true,
    memory: "512M",
    cpus: 1..=512,
    without: &[],
    serial: &["stdio"],
    description: Description::Qemu,
    has_pens: false,
};

/// The Raspberry Pi 3B: four CPUs by spin-table, the console at the second serial port.
const RASPI3B: Machine = Machine {
    name: "raspi3b",
    image: &image::KERNEL,
    qemu_machine: "raspi3b",
    firmware: None,
    secure_firmware: None,
    entry_level: EntryLevel::Only(2),
    // An ELF file is entered on all CPUs at once, at EL3.
    formats: &[ImageFormat::Image],
    gics: &[],
    cpu_model: "cortex-a53",
    takes_cpu_models: false,
    memory: "1G",
    cpus: 4..=4,
    without: &[],
    serial: &["null", "stdio"],
    description: Description::Devicetree(raspi3b::devicetree),
    has_pens: true,
};

impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Machine {}

impl Machine {
    /// Its instruction set.
    #[must_use]
    pub fn architecture(&self) -> &'static Architecture {
        self.image.architecture
    }

    /// The machine called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownMachine`].
    pub fn find(name: &str) -> Result<&'static Self, Error> {
        MACHINES.iter().find(|machine| machine.name == name).ok_or_else(|| Error::UnknownMachine {
            name: name.to_owned(),
            known: MACHINES.iter().map(|machine| machine.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// The GIC of this version.
    ///
    /// # Errors
    /// [`Error::NoSuchGic`].
    pub fn gic(&self, version: u8) -> Result<&'static Gic, Error> {
        let gic = self.gics.iter().find(|gic| gic.version == version);
        gic.ok_or(Error::NoSuchGic { machine: self.name, version })
    }

    /// Checks that the machine takes `cpus` CPUs.
    ///
    /// # Errors
    /// [`Error::CpuCount`].
    pub fn check_cpus(&self, cpus: u32) -> Result<(), Error> {
        if self.cpus.contains(&cpus) {
            Ok(())
        } else {
            Err(Error::CpuCount { machine: self.name, asked: cpus, range: self.cpus.clone() })
        }
    }

    /// Checks that the machine takes this file of an image, if one is asked for.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::NoFormats`].
    pub fn check_format(&self, format: Option<ImageFormat>) -> Result<(), Error> {
        match (format, self.formats) {
            (Some(_), []) => Err(Error::NoFormats { machine: self.name }),
            (Some(format), formats) if !formats.contains(&format) => {
                Err(Error::Format { machine: self.name, boots: formats[0] })
            }
            _ => Ok(()),
        }
    }

    /// The firmware of ours with which `stack` begins, if it is one with such; it drives this GIC and takes this file of an image.
    ///
    /// # Errors
    /// [`Error::NoStack`], [`Error::StackWithout`].
    pub fn secure_firmware(
        &self,
        stack: &Stack,
        gic: Option<u8>,
        format: Option<ImageFormat>,
    ) -> Result<Option<&SecureFirmware>, Error> {
        if !stack.has_firmware() {
            return Ok(None);
        }
        let refused = || Error::NoStack { machine: self.name, stack: stack.clone() };
        let firmware = self.secure_firmware.as_ref().ok_or_else(refused)?;
        if gic.is_some_and(|version| version != firmware.gic) {
            return Err(Error::StackWithout { stack: stack.clone(), option: "--gic" });
        }
        // A boot loader in between takes either.
        if format.is_some_and(|format| format != firmware.format) && !stack.has_loader() {
            return Err(Error::StackWithout { stack: stack.clone(), option: "--format" });
        }
        Ok(Some(firmware))
    }

    /// The property with which QEMU's machine enters images at `level`, or at its usual one; `None` where it needs none.
    ///
    /// # Errors
    /// [`Error::EntryLevel`], [`Error::NoEntryLevels`].
    pub fn entry_property(&self, level: Option<u8>) -> Result<Option<&'static str>, Error> {
        match (level, &self.entry_level) {
            (None, _) | (Some(1), EntryLevel::Either { .. }) => Ok(None),
            (Some(2), EntryLevel::Either { level_2 }) => Ok(Some(level_2)),
            (Some(level), EntryLevel::Only(only)) if level == *only => Ok(None),
            (Some(_), EntryLevel::None) => Err(Error::NoEntryLevels { machine: self.name }),
            (Some(level), _) => Err(Error::EntryLevel { machine: self.name, level }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::System;

    #[test]
    fn machines_are_found_by_name() {
        assert_eq!(Machine::find("virt").unwrap().cpus, 1..=512);
        let error = Machine::find("toaster").unwrap_err().to_string();
        assert_eq!(error, "unknown machine 'toaster' (there is: virt, raspi3b, malta)");
    }

    #[test]
    fn a_gic_is_found_by_its_version() {
        assert_eq!(MACHINES[0].gic(2).unwrap().max_cpus, 8);
        assert_eq!(MACHINES[0].gic(4).unwrap_err().to_string(), "the machine virt cannot have a GICv4");
    }

    #[test]
    fn a_machine_takes_one_to_its_most_cpus() {
        let machine = &MACHINES[0];
        assert!(machine.check_cpus(0).is_err());
        assert!(machine.check_cpus(1).is_ok());
        assert!(machine.check_cpus(512).is_ok());
        let error = machine.check_cpus(513).unwrap_err().to_string();
        assert_eq!(error, "the machine virt takes 1 to 512 CPUs, not 513");
        let error = RASPI3B.check_cpus(2).unwrap_err().to_string();
        assert_eq!(error, "the machine raspi3b has 4 CPUs, not 2");
    }

    #[test]
    fn a_machine_takes_the_files_that_it_can_boot() {
        assert!(VIRT.check_format(Some(ImageFormat::Elf)).is_ok());
        assert!([&VIRT, &RASPI3B, &MALTA].iter().all(|machine| machine.check_format(None).is_ok()));
        let error = RASPI3B.check_format(Some(ImageFormat::Elf)).unwrap_err().to_string();
        assert_eq!(error, "the machine raspi3b boots an Image only");
        let error = MALTA.check_format(Some(ImageFormat::Image)).unwrap_err().to_string();
        assert_eq!(error, "the machine malta boots one form of an image, so --format means nothing there");
    }

    #[test]
    fn a_stack_begins_with_firmware_where_there_is_some_that_takes_the_machine_as_asked() {
        let firmware = |stack, gic, format| VIRT.secure_firmware(stack, gic, format);
        let (alone, with_firmware) = (&Stack::default(), &Stack::firmware(System::Kernel));
        assert!(firmware(alone, Some(2), None).unwrap().is_none());
        let properties = firmware(with_firmware, Some(3), None).unwrap().map(|firmware| firmware.properties);
        assert_eq!(properties, Some("secure=on"));
        let error = firmware(with_firmware, Some(2), None).unwrap_err().to_string();
        assert_eq!(error, "with --stack firmware,kernel there is no choice of --gic");
        assert!(firmware(with_firmware, None, Some(ImageFormat::Elf)).is_err());
        let error = MALTA.secure_firmware(with_firmware, None, None).unwrap_err().to_string();
        assert_eq!(error, "the machine malta cannot boot the stack firmware,kernel");
    }

    #[test]
    fn what_images_need_of_the_host_is_known_for_every_machine() {
        assert_eq!(MACHINES[0].architecture(), ARCHITECTURES[0], "plain boots need the first");
        assert!(MACHINES.iter().all(|machine| ARCHITECTURES.contains(&machine.architecture())));
    }

    #[test]
    fn a_machine_enters_images_where_it_can() {
        assert_eq!(VIRT.entry_property(None).unwrap(), None);
        assert_eq!(VIRT.entry_property(Some(1)).unwrap(), None);
        assert_eq!(VIRT.entry_property(Some(2)).unwrap(), Some("virtualization=on"));
        assert_eq!(RASPI3B.entry_property(Some(2)).unwrap(), None);
        let error = RASPI3B.entry_property(Some(1)).unwrap_err().to_string();
        assert_eq!(error, "the machine raspi3b cannot enter an image at EL1");
        assert_eq!(MALTA.entry_property(None).unwrap(), None);
        let error = MALTA.entry_property(Some(1)).unwrap_err().to_string();
        assert_eq!(error, "the machine malta has no exception levels, so --el means nothing there");
    }
}
