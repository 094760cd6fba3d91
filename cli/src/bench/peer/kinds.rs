//! The systems that can be measured, as data. What their lines are is read off their consoles. A system more, on whatever
//! machine, is an entry in [`KINDS`].

use std::path::PathBuf;

use crate::fetch::{self, FetchError};
use crate::machine::{ARM64, Architecture, MIPS, Machine};

/// A system whose console shows when it brings CPUs up.
#[derive(Debug)]
pub struct Kind {
    /// Its name on the command line.
    pub name: &'static str,
    /// The machine of ours beside which it is measured: a name may be that of one system a machine.
    pub beside: &'static str,
    /// In what it differs from ours that figures must not be read without.
    pub differs: Option<&'static str>,
    /// What it runs on.
    pub board: &'static Board,
    /// Its command line.
    pub command_line: &'static str,
    /// The device that gives it a guest, where it reads its command line only beside one.
    pub guest: Option<&'static str>,
    /// The most CPUs that it takes.
    pub max_cpus: u32,
    /// Where its image comes from.
    pub source: Source,
    /// What the line says with which the phase begins.
    pub begin: &'static str,
    /// What the line says with which it ends.
    pub end: &'static str,
    /// Whether there is one such line, which names the number of CPUs, or one for each CPU but the first.
    pub ends: Ends,
    /// Whether its lines bear times; if not, the time at which the host sees them counts.
    pub time_stamps: bool,
    /// Whether its instructions can be counted.
    pub counts: bool,
    /// How it is measured.
    pub measured: &'static str,
    /// What it also does in that time.
    pub also: &'static str,
}

/// A machine of QEMU's that systems run on. It need not be one that our images boot on.
#[derive(Debug)]
pub struct Board {
    /// Its instruction set, and with that which QEMU.
    pub architecture: &'static Architecture,
    /// What QEMU calls it, with its properties.
    pub machine: &'static str,
    /// The CPU model.
    pub cpu_model: &'static str,
    /// Memory, as QEMU writes it.
    pub memory: &'static str,
    /// QEMU's options for devices that it would have by itself, and is to do without.
    pub without: &'static [&'static str],
    /// What QEMU takes there as a kernel, by some bytes and their place.
    pub images: &'static [(usize, &'static [u8])],
}

/// Where the image of a system comes from if none is given.
#[derive(Debug)]
pub enum Source {
    /// It is fetched.
    Fetched(fn() -> Result<PathBuf, FetchError>),
    /// It cannot be fetched: someone has to give it. This says what to give.
    Given(&'static str),
}

/// How a system says that its CPUs are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// In one line, with their number.
    Once,
    /// In one line for each CPU but the first.
    ForEachCpu,
}

impl Kind {
    /// Those that are measured beside ours on `machine`.
    pub fn beside(machine: &Machine) -> impl Iterator<Item = &'static Self> {
        KINDS.iter().filter(|kind| kind.beside == machine.name)
    }
}

/// The machine that our own kernel is measured on.
const VIRT: Board = Board {
    architecture: &ARM64,
    machine: "virt,gic-version=3",
    cpu_model: "cortex-a57",
    memory: "512M",
    without: &[],
    // ELF, Image, compressed, compressed with a loader of its own.
    images: &[(0, b"\x7fELF"), (56, b"ARM\x64"), (0, b"\x1f\x8b"), (4, b"zimg")],
};

/// The board of our machine with other CPUs: two virtual processing elements of one core, since QEMU has no model with several cores
/// that Debian's kernel can start.
const MALTA_34K: Board = Board {
    architecture: &MIPS,
    machine: "malta",
    cpu_model: "34Kf",
    memory: "256M",
    without: &["-vga"],
    // An ELF file's type and machine: a program, for little-endian MIPS.
    images: &[(16, b"\x02\x00\x08\x00")],
};

/// All that are known.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "linux",
        beside: "virt",
        differs: None,
        board: &VIRT,
        // There is nothing to mount. Should it panic before its CPUs are up, that ends the run.
        command_line: "console=ttyAMA0 panic=-1 printk.time=1",
        guest: None,
        max_cpus: 512,
        source: Source::Fetched(fetch::debian_linux),
        begin: "smp: Bringing up secondary CPUs",
        end: "smp: Brought up",
        ends: Ends::Once,
        time_stamps: true,
        counts: true,
        measured: "by the time stamps of its console",
        also: "prints two lines a CPU, checks features and errata, starts its hotplug threads on each CPU, and waits for one \
               CPU after the other",
    },
    Kind {
        name: "xen",
        beside: "virt",
        differs: None,
        board: &Board { machine: "virt,gic-version=3,virtualization=on", ..VIRT },
        command_line: "console=dtuart console_timestamps=boot",
        // Clear of Xen and of the devicetree, which QEMU puts at 128 MiB.
        guest: Some("guest-loader,addr=0x4c000000,bootargs=none"),
        max_cpus: 128,
        source: Source::Fetched(fetch::debian_xen),
        begin: "Bringing up CPU1",
        end: "Brought up",
        ends: Ends::Once,
        time_stamps: true,
        // Under -icount every poll takes QEMU's slice of 100 ms.
        counts: false,
        measured: "by the time stamps of its console (not counted: it polls for each CPU without a pause)",
        also: "prints up to three lines a CPU, checks features and errata, times its atomics, gives each CPU its scheduler and \
               idle vCPU, and waits for one CPU after the other",
    },
    Kind {
        name: "lk",
        beside: "virt",
        differs: None,
        board: &Board { machine: "virt,gic-version=2", ..VIRT },
        command_line: "",
        guest: None,
        max_cpus: 8,
        source: Source::Given(
            "no package has one; LK's own sources make it by `make qemu-virt-arm64-test`, as \
             build-qemu-virt-arm64-test/lk.elf",
        ),
        begin: "ARM: starting cpu",
        end: "secondary cpu",
        ends: Ends::ForEachCpu,
        time_stamps: false,
        counts: false,
        measured: "by the times at which the host sees its lines (not counted: these bear no times)",
        also: "prints two lines a CPU, and starts its threads on each",
    },
    Kind {
        name: "linux",
        beside: "malta",
        differs: Some("34Kf, started by MT"),
        board: &MALTA_34K,
        command_line: "console=ttyS0 panic=-1 printk.time=1",
        guest: None,
        max_cpus: 2,
        source: Source::Fetched(fetch::debian_mips_linux),
        begin: "smp: Bringing up secondary CPUs",
        end: "smp: Brought up",
        ends: Ends::Once,
        time_stamps: true,
        // It takes the rate of Count from the real-time clock, which goes by the host's time: its seconds would be none of QEMU's.
        counts: false,
        measured: "on another CPU model, 34Kf instead of P5600, whose two CPUs are virtual processing elements of one core, and by \
                   another mechanism: it starts the second by the instructions of the MT extension (smp-mt), without firmware; by \
                   the time stamps of its console (not counted: it measures its clock by one that counted instructions do not drive)",
        also: "prints five lines, checks the new CPU's features, times its delay loop on it, brings its Count in line with the \
               first one's, and starts its hotplug threads there",
    },
];
