//! The machines that can be booted, and their architectures, as data. A board more is an entry in [`MACHINES`].

use crate::error::Error;
use crate::image::{self, ImageKind};

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
};

/// A machine that QEMU can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// What the command calls it.
    pub name: &'static str,
    /// The image that boots on it.
    pub image: &'static ImageKind,
    /// What QEMU calls it, with its properties.
    pub qemu_machine: &'static str,
    /// The property that makes it enter images at EL2, where it can.
    pub entry_level_2: Option<&'static str>,
    /// The versions of the GIC that it can be asked for.
    pub gics: &'static [Gic],
    /// The CPU model where none is asked for.
    pub cpu_model: &'static str,
    /// Memory, as QEMU writes it.
    pub memory: &'static str,
    /// The most CPUs it takes.
    pub max_cpus: u32,
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
pub static MACHINES: &[Machine] = &[Machine {
    name: "virt",
    image: &image::KERNEL,
    qemu_machine: "virt,gic-version=3",
    entry_level_2: Some("virtualization=on"),
    gics: &[
        Gic { version: 2, property: "gic-version=2", max_cpus: 8 },
        Gic { version: 3, property: "gic-version=3", max_cpus: 512 },
    ],
    cpu_model: "cortex-a57",
    memory: "512M",
    max_cpus: 512,
}];

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
        if (1..=self.max_cpus).contains(&cpus) {
            Ok(())
        } else {
            Err(Error::CpuCount { machine: self.name, asked: cpus, limit: self.max_cpus })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_found_by_name() {
        assert_eq!(Machine::find("virt").unwrap().max_cpus, 512);
        let error = Machine::find("toaster").unwrap_err().to_string();
        assert_eq!(error, "unknown machine 'toaster' (there is: virt)");
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
    }
}
