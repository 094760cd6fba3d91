//! What Linux is booted on, as data, and QEMU's arguments for each.

use std::path::Path;

use super::stopwatch::{TimedLinux, WORD};
use crate::boot::BootOptions;
use crate::error::Error;
use crate::guests::{self, GuestFiles};
use crate::image::{self, BuiltImage};
use crate::machine::MACHINES;
use crate::qemu::{self, Files};
use crate::setup::Host;
use crate::stack::Stack;

/// The CPU of all of them: the hypervisor of ours needs VHE.
const CPU_MODEL: &str = "cortex-a76";
/// The counter's frequency where time is measured: QEMU's own.
const TICKS_A_SECOND: u64 = 62_500_000;
/// How long a tick is then.
pub const NANOSECONDS_A_TICK: u64 = 1_000_000_000 / TICKS_A_SECOND;
/// Where instructions are counted: one tick each, with no idle time that depends on the host, and nothing from it that is random.
const COUNTED_TICKS_A_SECOND: u64 = 1_000_000_000;
const COUNTED: [&str; 6] =
    ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-machine", "dtb-randomness=off"];

/// What Linux runs on.
#[derive(Debug)]
pub struct Beneath {
    /// Its name in tables.
    pub name: &'static str,
    /// The stages.
    stack: &'static str,
    /// At which exception level the first of them begins.
    entry_level: u8,
    /// What the hypervisor is told.
    words: &'static str,
    /// QEMU's further arguments.
    further: &'static [&'static str],
    /// With how many CPUs its instructions can be counted.
    pub counted: &'static [u32],
}

/// All there are, what others are compared with first.
pub const BENEATH: &[Beneath] = &[
    Beneath { name: "bare, at EL1", stack: "linux", entry_level: 1, words: "", further: &[], counted: &[1, 4] },
    Beneath { name: "bare, at EL2", stack: "linux", entry_level: 2, words: "", further: &[], counted: &[1, 4] },
    Beneath { name: "ours", stack: "hypervisor,linux", entry_level: 2, words: "", further: &[], counted: &[1, 4] },
    Beneath {
        name: "Xen, vwfi=native",
        stack: "xen",
        entry_level: 2,
        words: "vwfi=native ",
        further: XEN_MEMORY,
        counted: XEN_COUNTED,
    },
    Beneath {
        name: "Xen as it comes",
        stack: "xen",
        entry_level: 2,
        words: "vwfi=trap ",
        further: XEN_MEMORY,
        counted: XEN_COUNTED,
    },
];

/// Xen keeps what it loads beside the memory that it gives to Linux, which is to lie in few pieces.
const XEN_MEMORY: &[&str] = &["-m", "2G"];
/// Xen polls for its CPUs without a pause, and QEMU runs one CPU at a time when it counts.
const XEN_COUNTED: &[u32] = &[1];

/// One of them, ready to boot.
pub struct Prepared {
    /// Which it is.
    pub beneath: &'static Beneath,
    stack: Stack,
    image: BuiltImage,
}

impl Prepared {
    /// Has at hand what it takes.
    ///
    /// # Errors
    /// An image cannot be built or fetched.
    pub fn new(host: &Host, beneath: &'static Beneath, linux: &TimedLinux) -> Result<Self, Error> {
        let Ok(stack) = beneath.stack.parse::<Stack>();
        let of_debian = image::build_for(host, &MACHINES[0], &stack, &[])?;
        let (timed, initrd) = (linux.image.clone(), Some(linux.initrd.clone()));
        let image = match of_debian.guest {
            None => BuiltImage { flat: timed, initrd, ..of_debian },
            Some(_) => BuiltImage { guest: Some(timed), initrd, ..of_debian },
        };
        Ok(Self { beneath, stack, image })
    }

    /// QEMU's arguments; `folder` takes what is for this run alone.
    ///
    /// # Errors
    /// QEMU does not say what its machine has, or a file cannot be written.
    pub fn arguments(&self, host: &Host, cpus: u32, is_counted: bool, folder: &Path) -> Result<Vec<String>, Error> {
        let options = self.options(cpus, is_counted);
        let mut files = Files::default();
        if self.stack.has_hypervisor() {
            let GuestFiles { devicetree, modules } = guests::files(host, &options, &self.image, folder)?;
            files = Files { devicetree: Some(devicetree), modules, ..files };
        }
        Ok(qemu::arguments(&options, &self.image, &files))
    }

    fn options(&self, cpus: u32, is_counted: bool) -> BootOptions {
        let frequency = if is_counted { COUNTED_TICKS_A_SECOND } else { TICKS_A_SECOND };
        let counted: &[&str] = if is_counted { &COUNTED } else { &[] };
        let is_bare = self.image.guest.is_none();
        BootOptions {
            machine: &MACHINES[0],
            stack: self.stack.clone(),
            cpus,
            append: Some(if is_bare { WORD.to_owned() } else { format!("{}-- {WORD}", self.beneath.words) }),
            entry_level: Some(self.beneath.entry_level),
            cpu_model: Some(format!("{CPU_MODEL},cntfrq={frequency}")),
            qemu_arguments: [self.beneath.further, counted].concat().into_iter().map(str::to_owned).collect(),
            ..BootOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(name: &str, is_counted: bool) -> String {
        let beneath = BENEATH.iter().find(|beneath| beneath.name == name).unwrap();
        let guest = (beneath.stack != "linux").then(|| "timed".into());
        let file = |name: &str| name.into();
        let image = BuiltImage {
            elf: file("first"),
            flat: file("first"),
            firmware: None,
            initrd: Some(file("initrd")),
            guest,
            loader: None,
            guest_loader: None,
        };
        let prepared = Prepared { beneath, stack: beneath.stack.parse().unwrap(), image };
        qemu::arguments(&prepared.options(4, is_counted), &prepared.image, &Files::default()).join(" ")
    }

    #[test]
    fn linux_has_the_same_cpus_and_the_same_stopwatch_on_all_of_them() {
        for beneath in BENEATH {
            let words = arguments(beneath.name, false);
            assert!(words.contains("-cpu cortex-a76,cntfrq=62500000 -smp 4 "), "{words}");
            let told_by_devicetree = beneath.stack.contains("hypervisor");
            assert_eq!(words.matches(WORD).count(), usize::from(!told_by_devicetree), "{words}");
            assert_eq!(words.contains("virtualization=on"), beneath.entry_level == 2, "{words}");
        }
        assert!(arguments("bare, at EL1", false).contains("-m 512M "));
    }

    #[test]
    fn xen_as_it_comes_traps_waits_and_the_other_does_not() {
        // The last word counts.
        assert!(arguments("Xen as it comes", false).contains("vwfi=native vwfi=trap "));
        assert!(!arguments("Xen, vwfi=native", false).contains("vwfi=trap"));
    }

    #[test]
    fn nothing_of_the_hosts_is_in_a_count() {
        let counted = arguments("ours", true);
        assert!(counted.contains("cntfrq=1000000000") && counted.ends_with(&COUNTED.join(" ")), "{counted}");
        assert!(!arguments("ours", false).contains("-icount"));
    }
}
