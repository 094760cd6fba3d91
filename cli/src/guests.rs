//! What runs above the hypervisor of ours: its guests, and what the machine's devicetree says of them (Xen's boot protocol, which the
//! crate `guest-config` reads and writes).
//!
//! QEMU writes its devicetree itself, so it is asked for that first, unless someone gave another; with the guests added it is given back.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use guest_config::{GUEST_0, Guest, Module, Pins, write};

use crate::boot::{BootOptions, Payload};
use crate::devicetree;
use crate::error::Error;
use crate::foreign::{self, launch};
use crate::image::{self, BuiltImage};
use crate::qemu;
use crate::setup::Host;
use crate::stack::System;

/// The memory of guest 0, in MiB, and of another guest where nothing is said.
const GUEST_0_MEMORY: u64 = 512;
const GUEST_MEMORY: u64 = 256;
/// What the machine has beside that of its guests, in MiB: the hypervisor, and what guests begin with.
const OTHER_MEMORY: u64 = 512;
/// From where on QEMU puts what guests begin with: clear of the hypervisor and of the devicetree.
const MODULES: u64 = 0x5000_0000;
/// To how much they are aligned, in bytes.
const ALIGNMENT: u64 = 2 << 20;
/// The most vCPUs that the hypervisor gives a guest.
const MAX_VCPUS: u32 = 64;
/// The most memory of a guest, in MiB: what its addresses have room for is less.
const MOST_MEMORY: u64 = 1 << 20;

/// A guest beside guest 0, as the command line asks for it: `linux:vcpus=2,memory=256M,append=quiet maxcpus=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// What runs in it.
    pub system: System,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Its memory, in MiB.
    pub memory: u64,
    /// The CPUs that its vCPUs are bound to, vCPU 0's first; empty if they run anywhere.
    pub pins: Vec<u16>,
    /// Text to add to its kernel's command line.
    pub append: Option<String>,
}

/// What guest 0 has, where the command line says so: `0:vcpus=2,memory=256M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guest0 {
    /// How many vCPUs; without, as many as the machine has CPUs.
    pub vcpus: Option<u32>,
    /// Its memory, in MiB.
    pub memory: Option<u64>,
}

/// What is asked for of a guest: of guest 0, or of one beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestWish {
    /// What guest 0 has, which runs the last stage of the stack.
    Guest0(Guest0),
    /// Another guest.
    Further(GuestSpec),
}

/// What guest 0 is called among wishes.
const ZERO: &str = "0";
/// What may be asked for of it.
const OF_GUEST_0: &str = "guest 0 takes vcpus=N and memory=NM";

impl FromStr for GuestWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            (ZERO, sizes) => {
                let wishes = || sizes.split(',');
                if wishes().any(|wish| wish.starts_with("pin=")) {
                    return Err(format!("{OF_GUEST_0} (dom0_vcpus_pin in --append binds its vCPUs)"));
                }
                if wishes().any(|wish| wish.starts_with("append=")) {
                    return Err(format!("{OF_GUEST_0} (what stands in --append behind \" -- \" is for its kernel)"));
                }
                let Sizes { vcpus, memory, .. } = Sizes::read(sizes)?;
                Ok(Self::Guest0(Guest0 { vcpus, memory }))
            }
            _ => text.parse().map(Self::Further),
        }
    }
}

/// What may be said of any guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sizes {
    vcpus: Option<u32>,
    memory: Option<u64>,
    /// The CPUs of its vCPUs, if they are bound.
    pins: Vec<u16>,
}

impl Sizes {
    /// Reads `vcpus=2,memory=256M`.
    fn read(text: &str) -> Result<Self, String> {
        let mut sizes = Self::default();
        for wish in text.split(',').filter(|wish| !wish.is_empty()) {
            let number = |text: &str| text.parse().ok().filter(|&number: &u64| number > 0);
            match wish.split_once('=') {
                Some(("vcpus", count)) => {
                    let count = number(count).filter(|&count| count <= u64::from(MAX_VCPUS));
                    sizes.vcpus = Some(count.ok_or(format!("vcpus is a number from 1 to {MAX_VCPUS}"))? as u32);
                }
                Some(("memory", size)) => {
                    let mebibytes = size.strip_suffix('M').and_then(number);
                    let size = mebibytes.or_else(|| size.strip_suffix('G').and_then(number)?.checked_mul(1024));
                    let even = size.filter(|size| size.is_multiple_of(2) && *size <= MOST_MEMORY);
                    let wanted = "memory is an even number of MiB, such as 256M, or a number of GiB, such as 1G, and at most 1024G";
                    sizes.memory = Some(even.ok_or(wanted)?);
                }
                Some(("pin", cpus)) => sizes.pins = pins(cpus).ok_or("pin is a list of CPUs, such as 0-1 or 3+1")?,
                _ => return Err(format!("{wish} is none of vcpus=N, memory=NM, pin=CPUS and append=WORDS")),
            }
        }
        Ok(sizes)
    }
}

impl FromStr for GuestSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (system, sizes) = text.split_once(':').unwrap_or((text, ""));
        let Ok(system) = system.parse();
        if matches!(system, System::Xen(_)) {
            return Err("a hypervisor is no guest of another".into());
        }
        // Behind it everything is the guest's, commas too.
        let (sizes, append) = match sizes.split_once("append=") {
            Some((sizes, append)) if sizes.is_empty() || sizes.ends_with(',') => (sizes, Some(append.to_owned())),
            _ => (sizes, None),
        };
        let Sizes { vcpus, memory, pins } = Sizes::read(sizes)?;
        let vcpus = vcpus.unwrap_or(1);
        if !pins.is_empty() && pins.len() != vcpus as usize {
            return Err(format!("pin names {} CPUs for {vcpus} vCPUs", pins.len()));
        }
        Ok(Self { system, vcpus, memory: memory.unwrap_or(GUEST_MEMORY), pins, append })
    }
}

impl GuestSpec {
    /// Checks that what it begins with is there, and on a machine with so many CPUs those that its vCPUs are bound to.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Guests`].
    pub fn check(&self, cpus: u32) -> Result<(), Error> {
        let known = "a guest is kernel, linux, or the path of an arm64 Image";
        self.system.given().map_or(Ok(()), |path| foreign::image::check(path, false, known))?;
        let missing = self.pins.iter().find(|&&cpu| u32::from(cpu) >= cpus);
        missing.map_or(Ok(()), |cpu| {
            Err(problem(format!("{self} binds a vCPU to CPU {cpu}, and the machine has {cpus} CPUs")))
        })
    }
}

/// The CPUs of a list such as `0-1` or `3+1`.
fn pins(text: &str) -> Option<Vec<u16>> {
    let mut cpus = Vec::new();
    for range in text.split('+') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if last < first {
            return None;
        }
        cpus.extend((first..=last).take(Pins::MOST));
    }
    Some(cpus)
}

impl fmt::Display for GuestSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:vcpus={},memory={}M", self.system, self.vcpus, self.memory)?;
        for (place, cpu) in self.pins.iter().enumerate() {
            write!(formatter, "{}{cpu}", if place == 0 { ",pin=" } else { "+" })?;
        }
        self.append.as_ref().map_or(Ok(()), |append| write!(formatter, ",append={append}"))
    }
}

impl Guest0 {
    /// How many vCPUs it has on a machine with so many CPUs.
    #[must_use]
    pub fn vcpus_on(self, cpus: u32) -> u32 {
        self.vcpus.unwrap_or(cpus).min(MAX_VCPUS)
    }

    /// Its memory, in MiB.
    #[must_use]
    pub fn mebibytes(self) -> u64 {
        self.memory.unwrap_or(GUEST_0_MEMORY)
    }

    /// What the hypervisor's command line says of it, where nobody writes its node.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        let vcpus = self.vcpus.map(|vcpus| format!("dom0_max_vcpus={vcpus}"));
        vcpus.into_iter().chain(self.memory.map(|memory| format!("dom0_mem={memory}M"))).collect()
    }
}

/// The memory of a machine with these guests beside guest 0, as QEMU writes it.
#[must_use]
pub fn machine_memory(guest_0: Guest0, guests: &[GuestSpec]) -> String {
    let further: u64 = guests.iter().map(|guest| guest.memory).sum();
    format!("{}M", guest_0.mebibytes() + OTHER_MEMORY + further)
}

/// What QEMU is given for the guests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestFiles {
    /// The machine's devicetree.
    pub devicetree: PathBuf,
    /// What is where in memory.
    pub modules: Vec<(PathBuf, u64)>,
}

/// Where modules lie: each file once.
#[derive(Default)]
struct Modules {
    placed: BTreeMap<PathBuf, Module>,
    end: u64,
}

impl Modules {
    fn place(&mut self, file: &Path) -> Result<Module, Error> {
        if let Some(module) = self.placed.get(file) {
            return Ok(*module);
        }
        let size = fs::metadata(file).map_err(|error| problem(format!("{}: {error}", file.display())))?.len();
        let module = Module { address: self.end.max(MODULES), size };
        self.end = (module.address + size).next_multiple_of(ALIGNMENT);
        self.placed.insert(file.to_owned(), module);
        Ok(module)
    }
}

fn problem(problem: String) -> Error {
    Error::Guests { problem }
}

/// Makes what QEMU is given for the guests of `options`, in `folder`. `image` is the hypervisor's, with what guest 0 runs.
///
/// # Errors
/// QEMU does not say what its machine has, or a file cannot be had.
pub fn files(host: &Host, options: &BootOptions, image: &BuiltImage, folder: &Path) -> Result<GuestFiles, Error> {
    let mut modules = Modules::default();
    let (kernel, ramdisk, words) = guest_0(options, image, folder)?;
    let kernel = modules.place(&kernel)?;
    let ramdisk = ramdisk.map(|file| modules.place(&file)).transpose()?;
    let mut guests = vec![Guest {
        name: GUEST_0,
        vcpus: options.guest_0.vcpus_on(options.cpus) as usize,
        memory: options.guest_0.mebibytes() << 10,
        kernel,
        ramdisk,
        bootargs: &words,
        vpl011: true,
        spis: None,
        pins: Pins::NONE,
    }];
    let names: Vec<String> = (1..=options.guests.len()).map(|number| format!("guest{number}")).collect();
    let bootargs: Vec<String> =
        options.guests.iter().map(|guest| launch::command_line(&guest.system, guest.append.as_deref())).collect();
    for ((spec, name), bootargs) in options.guests.iter().zip(&names).zip(&bootargs) {
        let image = image::of_system(host, options.machine, &spec.system)?;
        let mut pins = Pins::NONE;
        spec.pins.iter().enumerate().for_each(|(vcpu, &cpu)| _ = pins.set(vcpu, cpu.into()));
        guests.push(Guest {
            name,
            vcpus: spec.vcpus as usize,
            memory: spec.memory << 10,
            kernel: modules.place(&image.flat)?,
            ramdisk: image.initrd.as_deref().map(|file| modules.place(file)).transpose()?,
            bootargs,
            vpl011: true,
            spis: None,
            pins,
        });
    }
    let bytes = match &options.devicetree {
        Some(given) => devicetree::read(given)?,
        None => {
            let machine = folder.join("machine.dtb");
            qemu::dump_devicetree(&host.qemu, options, &machine)?;
            devicetree::read(&machine)?
        }
    };
    let fdt = Fdt::new(&bytes).map_err(|error| problem(format!("the machine's devicetree: {error}")))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    write(&mut tree, &qemu::hypervisor_command_line(options), &guests);
    let devicetree = folder.join("guests.dtb");
    fs::write(&devicetree, tree.to_dtb()).map_err(|error| problem(format!("{}: {error}", devicetree.display())))?;
    Ok(GuestFiles { devicetree, modules: modules.placed.into_iter().map(|(file, it)| (file, it.address)).collect() })
}

/// What guest 0 begins with: its kernel, its ramdisk and its command line. For a boot loader the ramdisk is the payload.
fn guest_0(
    options: &BootOptions,
    image: &BuiltImage,
    folder: &Path,
) -> Result<(PathBuf, Option<PathBuf>, String), Error> {
    if let Some(loader) = &image.guest_loader {
        let payload = Payload::of_guest(options, image).archive(folder)?;
        return Ok((loader.clone(), Some(payload), qemu::guest_loader_command_line(options)));
    }
    let words = launch::guest_command_line(options.stack.system(), options.append.as_deref());
    let kernel = image.guest.as_ref().unwrap_or(&image.flat).clone();
    Ok((kernel, options.initrd.as_ref().or(image.initrd.as_ref()).cloned(), words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_read_back_as_they_are_written() {
        let guest: GuestSpec = "linux:vcpus=2,memory=1G".parse().unwrap();
        assert_eq!(
            guest,
            GuestSpec { system: System::Linux(None), vcpus: 2, memory: 1024, pins: Vec::new(), append: None }
        );
        assert_eq!(guest.to_string().parse(), Ok(guest));
        let guest: GuestSpec = "linux:append=a,b vcpus=3".parse().unwrap();
        assert_eq!((guest.vcpus, guest.append.as_deref()), (1, Some("a,b vcpus=3")));
        assert_eq!(guest.to_string().parse(), Ok(guest));
        let guest: GuestSpec = "linux:vcpus=3,pin=0-1+3".parse().unwrap();
        assert_eq!(guest.pins, [0, 1, 3]);
        assert_eq!(guest.to_string().parse(), Ok(guest));
        let guest: GuestSpec = "kernel".parse().unwrap();
        assert_eq!((guest.vcpus, guest.memory), (1, GUEST_MEMORY));
    }

    #[test]
    fn what_is_wrong_with_a_guest_is_said_in_a_sentence() {
        const MEMORY: &str =
            "memory is an even number of MiB, such as 256M, or a number of GiB, such as 1G, and at most 1024G";
        for (text, sentence) in [
            ("linux:vcpus=0", "vcpus is a number from 1 to 64"),
            ("linux:vcpus=65", "vcpus is a number from 1 to 64"),
            ("linux:memory=17M", MEMORY),
            ("linux:memory=1K", MEMORY),
            ("linux:memory=256", MEMORY),
            ("linux:memory=18014398509481984G", MEMORY),
            ("linux:memory=1025G", MEMORY),
            ("linux:cpus=2", "cpus=2 is none of vcpus=N, memory=NM, pin=CPUS and append=WORDS"),
            ("linux:vcpus=2,pin=0", "pin names 1 CPUs for 2 vCPUs"),
            ("linux:pin=3-1", "pin is a list of CPUs, such as 0-1 or 3+1"),
            ("xen", "a hypervisor is no guest of another"),
        ] {
            assert_eq!(text.parse::<GuestSpec>().unwrap_err(), sentence, "{text}");
        }
    }

    #[test]
    fn a_guest_that_cannot_begin_is_refused_before_the_boot() {
        let refused = |text: &str| text.parse::<GuestSpec>().unwrap().check(4).map_err(|error| error.to_string());
        assert_eq!(refused("kernel:vcpus=2,pin=0+3"), Ok(()));
        let elsewhere = "kernel:vcpus=2,memory=256M,pin=0+4 binds a vCPU to CPU 4, and the machine has 4 CPUs";
        assert_eq!(refused("kernel:vcpus=2,pin=0+4"), Err(format!("the guests cannot be started: {elsewhere}")));
        let word = "there is no file 1 (a guest is kernel, linux, or the path of an arm64 Image)";
        assert_eq!(refused("1:vcpus=2"), Err(word.into()));
    }

    #[test]
    fn guest_0_is_refused_what_is_said_of_it_elsewhere() {
        let refused = |text: &str| text.parse::<GuestWish>().unwrap_err();
        assert!(refused("0:vcpus=2,pin=0-1").contains("dom0_vcpus_pin in --append"));
        assert!(refused("0:append=quiet").contains("what stands in --append behind"));
        assert!(refused("0:cpus=2").starts_with("cpus=2 is none of"));
    }

    #[test]
    fn guest_0_has_what_is_asked_for_and_the_rest_as_usual() {
        let guest_0 = |text: &str| match text.parse() {
            Ok(GuestWish::Guest0(guest_0)) => guest_0,
            other => panic!("{other:?}"),
        };
        let small = guest_0("0:vcpus=2,memory=256M");
        assert_eq!((small.vcpus_on(4), small.mebibytes()), (2, 256));
        assert_eq!(small.words(), ["dom0_max_vcpus=2", "dom0_mem=256M"]);
        let more = guest_0("0:vcpus=8");
        assert_eq!((more.vcpus_on(4), more.mebibytes()), (8, GUEST_0_MEMORY));
        let usual = guest_0("0");
        assert_eq!((usual.vcpus_on(4), usual.words()), (4, Vec::new()));
        assert!(matches!("linux:vcpus=2".parse(), Ok(GuestWish::Further(GuestSpec { vcpus: 2, .. }))));
        assert!("0:vcpus=0".parse::<GuestWish>().is_err() && "0:memory=1T".parse::<GuestWish>().is_err());
    }

    #[test]
    fn a_file_of_two_guests_lies_in_memory_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, vec![0; 3 << 20]).unwrap();
        fs::write(&other, [0]).unwrap();
        let mut modules = Modules::default();
        let first = modules.place(&one).unwrap();
        assert_eq!(first, Module { address: MODULES, size: 3 << 20 });
        assert_eq!(modules.place(&other).unwrap().address, MODULES + (4 << 20));
        assert_eq!(modules.place(&one).unwrap(), first);
    }

    #[test]
    fn a_machine_has_memory_for_all_its_guests() {
        let zero = Guest0::default();
        assert_eq!(machine_memory(zero, &[]), "1024M");
        assert_eq!(machine_memory(zero, &["linux:memory=512M".parse().unwrap()]), "1536M");
        assert_eq!(machine_memory(Guest0 { memory: Some(256), ..zero }, &[]), "768M");
    }
}
