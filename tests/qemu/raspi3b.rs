//! QEMU's Raspberry Pi 3B: real pens, no PSCI, no GIC, the console at a mini UART. And what preparing and booting a CPU starts, by
//! QEMU's own log of what each CPU executes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use object::{Object, ObjectSymbol};
use reveille_cli::boot::BootOptions;
use reveille_cli::fetch;
use reveille_cli::machine::Description;
use reveille_cli::report::Outcome;
use reveille_system_tests::devicetree::{self, cpu, set};
use reveille_system_tests::{Stand, raspi3b};

use crate::{Test, spin_table};

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("row_40_the_raspberry_pi_brings_four_cpus_up_from_its_pens", boots),
    ("row_26_its_cpus_come_and_go", soak),
    ("row_54_its_cpu_that_waits_for_another_word_is_named", dead),
    ("without_a_prepare_its_cpus_stay_in_firmwares_pen", |stand| starts(stand, "nosmp", &[], &[])),
    ("prepare_lets_its_cpus_into_our_pen", |stand| starts(stand, "maxcpus=1", &[1, 2, 3], &[])),
    ("boot_lets_one_of_its_cpus_out_of_our_pen", |stand| starts(stand, "maxcpus=2", &[1, 2, 3], &[1])),
    ("row_44_one_prepare_lets_all_in_that_share_a_word_and_boot_one_out", shared_word),
];

/// Those that take long, or fetch much.
pub const LONG_TESTS: &[(&str, Test)] = &[("the_raspberry_pi_boots_with_debians_devicetree_too", debians_devicetree)];

/// Where QEMU puts the image on this board.
const KERNEL: u64 = 0x20_0000;

fn boots(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&raspi3b("")?)?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == Some(2), "the board enters at EL2")
}

fn soak(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&raspi3b("reveille.soak=50")?)?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.proofs.iter().any(|proof| proof.name == "soak" && proof.passed), "the soak should pass")
}

/// The devicetree that Linux has for this board, in which devices lie behind a bridge, the word of each CPU where it is, and much else.
fn debians_devicetree(stand: &Stand) -> Result<(), String> {
    let archive = fetch::debian_devicetrees().map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder.path()).args([
        "--wildcards",
        "--transform=s:.*/::",
        "*/broadcom/bcm2837-rpi-3-b.dtb",
    ]);
    let tar = tar.output().map_err(|error| error.to_string())?;
    let devicetree = folder.path().join("bcm2837-rpi-3-b.dtb");
    if !devicetree.is_file() {
        return Err(String::from_utf8_lossy(&tar.stderr).into_owned());
    }
    let options = BootOptions { devicetree: Some(devicetree), ..raspi3b("reveille.soak=50")? };
    stand.boot(&options)?.expect_all_online(4).map(|_| ())
}

/// The devicetree names a word that CPU 2 does not look at.
fn dead(stand: &Stand) -> Result<(), String> {
    let options = raspi3b("")?;
    let Description::Devicetree(make) = options.machine.description else {
        return Err("the board has a devicetree of its own".into());
    };
    let bytes = make();
    let fdt = Fdt::new(&bytes).map_err(|error| error.to_string())?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    set(cpu(&mut tree, "cpu@2"), "cpu-release-addr", &0xf8_u64.to_be_bytes());
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let devicetree = Some(devicetree::write(&tree, folder.path())?);
    let booted = stand.boot(&BootOptions { devicetree, deadline: Some(Duration::from_secs(3)), ..options })?;
    let problems = booted.problems()?;
    booted.expect(problems.len() == 1 && problems[0].contains("CPU 2 "), "CPU 2 is named")?;
    let report = booted.report()?;
    booted.expect(report.cpus[2].outcome == Outcome::TimedOut, "it never arrived")?;
    booted.expect(report.masks.online == [0, 1, 3], "the others are online")?;
    booted.expect(report.proofs.iter().all(|proof| proof.passed), "and work")
}

/// Boots with `append`: `penned` are those CPUs which enter our pen, and `started` those that leave it for the kernel.
fn starts(stand: &Stand, append: &str, penned: &[u32], started: &[u32]) -> Result<(), String> {
    let log = Log::new(stand, KERNEL)?;
    let mut options = raspi3b(append)?;
    options.qemu_arguments = log.qemu_arguments();
    stand.boot(&options)?.expect_all_online(started.len() as u32 + 1)?;
    log.expect(penned, started)
}

/// Only CPU 1 is known to the kernel, and three wait for its word.
fn shared_word(stand: &Stand) -> Result<(), String> {
    let log = Log::new(stand, spin_table::KERNEL)?;
    let booted = spin_table::boot_with_shared_word(stand, "nr_cpus=2", log.qemu_arguments())?;
    booted.expect_all_online(2)?;
    log.expect(&[1, 2, 3], &[1])
}

/// QEMU's log of which CPUs begin to execute the pen, and what comes behind it.
struct Log {
    folder: tempfile::TempDir,
    pen: u64,
    startup: u64,
}

impl Log {
    /// One for the kernel's image at `base`.
    fn new(stand: &Stand, base: u64) -> Result<Self, String> {
        let elf = &stand.image().elf;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = |name| symbol(elf, name).map(|address| base + address);
        Ok(Self { folder, pen: address("reveille_holding_pen")?, startup: address("reveille_secondary_startup")? })
    }

    fn qemu_arguments(&self) -> Vec<String> {
        let file = self.folder.path().join("log").display().to_string();
        let filter = format!("{:#x}+4,{:#x}+4", self.pen, self.startup);
        ["-d", "exec,nochain", "-dfilter", &filter, "-D", &file].map(str::to_owned).to_vec()
    }

    fn expect(&self, penned: &[u32], started: &[u32]) -> Result<(), String> {
        let file = self.folder.path().join("log");
        let log = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let found = [self.pen, self.startup].map(|address| executing(&log, address));
        let expected = [penned, started].map(|cpus| cpus.iter().copied().collect::<BTreeSet<_>>());
        if found == expected {
            Ok(())
        } else {
            Err(format!("in the pen and started should be {expected:?}, and are {found:?}:\n{log}"))
        }
    }
}

/// The CPUs that execute what lies at `address`, from lines such as `Trace 1: 0x7f24 [0000000000000000/0000000000200abc/61/0]`.
fn executing(log: &str, address: u64) -> BTreeSet<u32> {
    let address = format!("/{address:016x}/");
    let lines = log.lines().filter(|line| line.contains(&address));
    lines.filter_map(|line| line.strip_prefix("Trace ")?.split(':').next()?.parse().ok()).collect()
}

/// The address of a symbol of an ELF file.
fn symbol(elf: &Path, name: &str) -> Result<u64, String> {
    let bytes = std::fs::read(elf).map_err(|error| error.to_string())?;
    let object = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
    let symbol = object.symbols().find(|symbol| symbol.name() == Ok(name));
    symbol.map(|symbol| symbol.address()).ok_or_else(|| format!("the image has no {name}"))
}
