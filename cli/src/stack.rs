//! Which stages a machine runs, as the command line says it. A stage more is a variant of [`Stage`], its word and its place.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;
use crate::foreign;

/// What may stand in a stack.
const STAGES: &str = "a stage is firmware, loader, hypervisor, kernel, linux, xen, or the path of an arm64 Image";

/// What runs one after the other, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    stages: Vec<Stage>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Firmware of ours from the reset vector on, at the highest exception level: `firmware`.
    Firmware,
    /// A boot loader of ours, which checks the last stage and hands its CPUs over to it: `loader`. Behind the hypervisor it is a guest.
    Loader,
    /// The hypervisor of ours, at EL2; what runs behind it is its guest 0: `hypervisor`.
    Hypervisor,
    /// The last stage.
    System(System),
}

/// The last stage, which does not start another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum System {
    /// The reference kernel: `kernel`.
    #[default]
    Kernel,
    /// Linux, Debian's or another: `linux`, `linux=IMAGE`.
    Linux(Option<PathBuf>),
    /// Xen, Debian's or another, with Debian's Linux above it: `xen`, `xen=IMAGE`.
    Xen(Option<PathBuf>),
    /// An arm64 Image of which nothing is known, or behind a boot loader of ours an ELF file: its path.
    Image(PathBuf),
}

impl Stage {
    /// Stages run in the order of their places, and no two have the same. `is_guest` says that it runs behind a hypervisor.
    fn place(&self, is_guest: bool) -> u8 {
        match self {
            Self::Firmware => 0,
            Self::Loader if is_guest => 3,
            Self::Loader => 1,
            Self::Hypervisor => 2,
            Self::System(_) => 4,
        }
    }
}

impl System {
    /// Whether it is not ours, and says nothing by records.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        *self != Self::Kernel
    }

    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kernel => "kernel",
            Self::Linux(_) => "linux",
            Self::Xen(_) => "xen",
            Self::Image(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or("image"),
        }
    }

    /// The file that was given for it.
    #[must_use]
    pub fn given(&self) -> Option<&Path> {
        match self {
            Self::Kernel => None,
            Self::Linux(image) | Self::Xen(image) => image.as_deref(),
            Self::Image(path) => Some(path),
        }
    }
}

impl Stack {
    /// Firmware of ours, and `system` below it.
    #[must_use]
    pub fn firmware(system: System) -> Self {
        Self { stages: vec![Stage::Firmware, Stage::System(system)] }
    }

    /// Whether it begins with firmware of ours.
    #[must_use]
    pub fn has_firmware(&self) -> bool {
        self.stages.contains(&Stage::Firmware)
    }

    /// A boot loader of ours, and `system` behind it.
    #[must_use]
    pub fn loader(system: System) -> Self {
        Self { stages: vec![Stage::Loader, Stage::System(system)] }
    }

    /// Whether a boot loader of ours starts what runs on the machine.
    #[must_use]
    pub fn has_loader(&self) -> bool {
        self.machine_and_guest().0.contains(&Stage::Loader)
    }

    /// Whether a boot loader of ours starts what runs in the hypervisor's guest 0.
    #[must_use]
    pub fn has_guest_loader(&self) -> bool {
        self.machine_and_guest().1.contains(&Stage::Loader)
    }

    /// The stages up to the hypervisor, and those in its guest 0.
    fn machine_and_guest(&self) -> (&[Stage], &[Stage]) {
        let hypervisor = self.stages.iter().position(|stage| *stage == Stage::Hypervisor);
        self.stages.split_at(hypervisor.map_or(self.stages.len(), |place| place + 1))
    }

    /// Whether what runs last is a guest of the hypervisor of ours.
    #[must_use]
    pub fn has_hypervisor(&self) -> bool {
        self.stages.contains(&Stage::Hypervisor)
    }

    /// What runs last.
    #[must_use]
    pub fn system(&self) -> &System {
        const KERNEL: &System = &System::Kernel;
        self.stages
            .iter()
            .find_map(|stage| if let Stage::System(system) = stage { Some(system) } else { None })
            .unwrap_or(KERNEL)
    }

    /// Checks that the stages belong together, and that the files are there which they name.
    ///
    /// # Errors
    /// [`Error::StackOrder`], [`Error::Foreign`].
    pub fn check(&self) -> Result<(), Error> {
        let system = self.system();
        // A name of no stage is taken for a file's: that is what is wrong with it, whatever stands before it.
        let takes_elf = self.has_guest_loader() || self.has_loader() && !self.has_hypervisor();
        system.given().map_or(Ok(()), |path| foreign::image::check(path, takes_elf, STAGES))?;
        let refused = |problem| Err(Error::StackOrder { stack: self.clone(), problem });
        let (machine, guest) = self.machine_and_guest();
        let places = machine.iter().map(|stage| stage.place(false)).chain(guest.iter().map(|stage| stage.place(true)));
        if !places.is_sorted_by(|one, next| one < next) {
            return refused("its stages are not in the order in which they run");
        }
        if self.has_loader() && self.has_guest_loader() {
            return refused("it has two boot loaders");
        }
        if !matches!(self.stages.last(), Some(Stage::System(_))) {
            return refused("nothing runs last: add kernel, linux, xen, or the path of an arm64 Image");
        }
        if matches!(system, System::Xen(_)) && self.has_hypervisor() {
            return refused("a hypervisor is no guest of another");
        }
        if system.is_foreign() && !self.has_firmware() && !self.has_loader() && !self.has_hypervisor() {
            return refused("nothing tells what becomes of its CPUs: write firmware before it, or loader");
        }
        Ok(())
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self { stages: vec![Stage::System(System::Kernel)] }
    }
}

impl From<System> for Stack {
    fn from(system: System) -> Self {
        Self { stages: vec![Stage::System(system)] }
    }
}

impl FromStr for System {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, image) = match text.split_once('=') {
            Some((name, image)) => (name, Some(PathBuf::from(image))),
            None => (text, None),
        };
        Ok(match name {
            "kernel" if image.is_none() => Self::Kernel,
            "linux" => Self::Linux(image),
            "xen" => Self::Xen(image),
            _ => Self::Image(text.into()),
        })
    }
}

impl FromStr for Stack {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut stages = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            // What comes last may be a path with commas in it.
            let (word, behind) = match text.split_once(',') {
                Some((word, behind)) if is_stage(word) => (word, Some(behind)),
                _ => (text, None),
            };
            stages.push(match word {
                "firmware" => Stage::Firmware,
                "loader" => Stage::Loader,
                "hypervisor" => Stage::Hypervisor,
                system => Stage::System(system.parse()?),
            });
            rest = behind;
        }
        Ok(Self { stages })
    }
}

/// Whether a word of a stack names a stage, and not a file.
fn is_stage(word: &str) -> bool {
    ["firmware", "loader", "hypervisor", "kernel", "linux", "xen"].contains(&word)
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linux(Some(image)) => write!(formatter, "linux={}", image.display()),
            Self::Xen(Some(image)) => write!(formatter, "xen={}", image.display()),
            Self::Image(path) => path.display().fmt(formatter),
            known => formatter.write_str(known.name()),
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, stage) in self.stages.iter().enumerate() {
            formatter.write_str(if number > 0 { "," } else { "" })?;
            match stage {
                Stage::Firmware => formatter.write_str("firmware")?,
                Stage::Loader => formatter.write_str("loader")?,
                Stage::Hypervisor => formatter.write_str("hypervisor")?,
                Stage::System(system) => system.fmt(formatter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(text: &str) -> Stack {
        let Ok(stack) = text.parse();
        stack
    }

    fn refused(text: &str) -> String {
        stack(text).check().unwrap_err().to_string()
    }

    #[test]
    fn stacks_read_back_as_they_are_written() {
        for text in [
            "kernel",
            "firmware,kernel",
            "firmware,linux",
            "firmware,linux=a,b/Image",
            "firmware,./c,d",
            "firmware,xen",
            "loader,kernel",
            "firmware,loader,linux",
            "hypervisor,kernel",
            "firmware,hypervisor,linux",
            "hypervisor,loader,linux",
        ] {
            assert_eq!(stack(text).to_string(), text);
        }
        assert_eq!(stack("firmware,linux=x").system(), &System::Linux(Some("x".into())));
        assert_eq!(stack("firmware,a/b").system().name(), "b");
    }

    #[test]
    fn a_loader_is_the_machines_or_guest_0s() {
        let loaders = |text| (stack(text).has_loader(), stack(text).has_guest_loader());
        assert_eq!(loaders("loader,kernel"), (true, false));
        assert_eq!(loaders("firmware,loader,hypervisor,linux"), (true, false));
        assert_eq!(loaders("hypervisor,loader,linux"), (false, true));
        assert_eq!(loaders("hypervisor,linux"), (false, false));
    }

    #[test]
    fn what_does_not_belong_together_is_refused_in_a_sentence() {
        assert!(stack("firmware,linux").check().is_ok() && Stack::default().check().is_ok());
        assert_eq!(
            refused("firmware"),
            "the stack firmware cannot be booted: nothing runs last: add kernel, linux, xen, or the path of an arm64 Image"
        );
        for order in ["kernel,firmware", "firmware,firmware,kernel", "firmware,linux,kernel", "loader,firmware,kernel"]
        {
            assert!(refused(order).contains("not in the order"), "{order}");
        }
        assert!(refused("linux").contains("write firmware before it, or loader"));
        assert!(stack("loader,linux").check().is_ok() && stack("loader,xen").check().is_ok());
        assert!(stack("hypervisor,linux").check().is_ok());
        assert!(stack("hypervisor,loader,linux").check().is_ok() && stack("loader,hypervisor,linux").check().is_ok());
        assert!(refused("loader,hypervisor,loader,linux").ends_with("it has two boot loaders"));
        assert!(refused("hypervisor,loader,loader,linux").contains("not in the order"));
        assert!(refused("hypervisor,firmware,kernel").contains("not in the order"));
        assert!(refused("hypervisor,xen").contains("no guest of another"));
    }

    #[test]
    fn a_word_that_is_no_stage_is_taken_for_a_file_that_is_not_there() {
        let expected = "there is no file kernl (a stage is firmware, loader, hypervisor, kernel, linux, xen, or the path of an arm64 Image)";
        assert_eq!(refused("firmware,kernl"), expected);
        assert_eq!(refused("kernl"), expected);
    }
}
