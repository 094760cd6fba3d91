//! Other systems on the same QEMU, unmodified: their phase is taken from their console.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::{BenchError, counting, per_cpu};
use crate::console::Line;
use crate::error::Error;
use crate::fetch;
use crate::machine::Machine;
use crate::qemu;
use crate::setup::Host;

/// How long a peer may run: it is ended when it has shown its phase and does not end by itself.
const LIMIT: Duration = Duration::from_secs(300);

/// A system whose console shows when it brings CPUs up.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    /// Its name on the command line.
    name: &'static str,
    /// What the line says with which the phase begins, and that with which it ends.
    begin: &'static str,
    end: &'static str,
    /// Whether its lines bear times; if not, the time at which the host sees them counts.
    time_stamps: bool,
    machine_properties: &'static str,
    command_line: &'static str,
    /// Whether it reads its command line only with the module of a first guest beside it. Any image does: it is not started
    /// before the phase is over.
    wants_guest: bool,
    max_cpus: u32,
    /// What it also does in that time.
    note: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "linux",
        begin: "smp: Bringing up secondary CPUs",
        end: "smp: Brought up",
        time_stamps: true,
        machine_properties: "",
        // There is nothing to mount: it panics when all is over, and that ends the run.
        command_line: "console=ttyAMA0 panic=-1 printk.time=1",
        wants_guest: false,
        max_cpus: 512,
        note: "by the time stamps of its console; also prints two lines a CPU, checks features and errata, starts its \
               hotplug threads on each, and waits for one CPU after the other",
    },
    Kind {
        name: "xen",
        begin: "Bringing up CPU1",
        end: "Brought up",
        time_stamps: true,
        machine_properties: ",virtualization=on",
        command_line: "console=dtuart console_timestamps=boot noreboot=no",
        wants_guest: true,
        max_cpus: 128,
        note: "by the time stamps of its console; also prints for each CPU, checks features and errata, sets stage 2 up, and \
               waits for one CPU after the other",
    },
    Kind {
        name: "lk",
        begin: "FDT: found",
        end: "secondary CPU",
        time_stamps: false,
        machine_properties: "",
        command_line: "",
        wants_guest: false,
        max_cpus: 8,
        note: "by the times at which the host sees its lines; also prints for each CPU and starts its threads on it",
    },
];

/// A peer and its image.
#[derive(Clone, Debug)]
pub struct Peer {
    kind: &'static Kind,
    /// `None`: Debian's, fetched when it is needed.
    image: Option<PathBuf>,
}

/// `linux`, `linux=IMAGE`, `xen=IMAGE`, `lk=IMAGE`.
impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, image) = match text.split_once('=') {
            Some((name, image)) => (name, Some(PathBuf::from(image))),
            None => (text, None),
        };
        let known = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("it is one of {}, with =IMAGE", known()))?;
        match &image {
            None if kind.name != "linux" => Err(format!("{name} needs an image: {name}=IMAGE")),
            Some(path) if !path.is_file() => Err(format!("there is no file {}", path.display())),
            _ => Ok(Self { kind, image }),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)
    }
}

impl Peer {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The most CPUs that it is asked for.
    #[must_use]
    pub fn max_cpus(&self) -> u32 {
        self.kind.max_cpus
    }

    /// How it was measured, and what else it does in that time.
    #[must_use]
    pub fn note(&self) -> &'static str {
        self.kind.note
    }

    /// Fetches the image where none was given, so that no measurement has to wait for it.
    ///
    /// # Errors
    /// [`BenchError::Peer`].
    pub fn prepare(&mut self) -> Result<(), BenchError> {
        if self.image.is_none() {
            self.image = Some(fetch::debian_linux().map_err(|error| BenchError::Peer(error.to_string()))?);
        }
        Ok(())
    }

    /// Boots it once: nanoseconds of its phase.
    ///
    /// # Errors
    /// [`Error`], also if its console did not show the phase.
    pub fn phase(&self, host: &Host, machine: &Machine, cpus: u32) -> Result<u64, Error> {
        self.boot(host, machine, cpus, machine.cpu_model, &[])
    }

    /// Boots it once with QEMU counting: instructions of its phase for each CPU that it brings up. `None` for a system whose
    /// console has no time stamps, and for one that waits seconds before it ends: that is some thousand million instructions.
    ///
    /// # Errors
    /// As [`Self::phase`].
    pub fn count(&self, host: &Host, machine: &Machine, cpus: u32) -> Result<Option<f64>, Error> {
        if !self.kind.time_stamps || self.kind.wants_guest {
            return Ok(None);
        }
        let (cpu_model, arguments) = counting(machine);
        Ok(Some(per_cpu(self.boot(host, machine, cpus, &cpu_model, &arguments)?, cpus)))
    }

    fn boot(
        &self,
        host: &Host,
        machine: &Machine,
        cpus: u32,
        cpu_model: &str,
        further: &[String],
    ) -> Result<u64, Error> {
        let image = self.image.as_ref().map(|image| image.to_string_lossy().into_owned()).unwrap_or_default();
        let qemu_machine = format!("{}{}", machine.qemu_machine, self.kind.machine_properties);
        let cpus_text = cpus.to_string();
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&["-machine", &qemu_machine, "-cpu", cpu_model, "-smp", &cpus_text, "-m", machine.memory]);
        add(&["-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot"]);
        add(&["-kernel", &image, "-append", self.kind.command_line]);
        if self.kind.wants_guest {
            // Clear of the devicetree, which QEMU puts at 128 MiB.
            add(&["-device", &format!("guest-loader,addr=0x49000000,kernel={image},bootargs=none")]);
        }
        arguments.extend(further.iter().cloned());
        let start = Instant::now();
        let mut watch = Watch::new(self.kind);
        qemu::run(&host.qemu, &arguments, LIMIT, |line| {
            if let Line::Text(text) = line {
                watch.see(&text, start.elapsed());
            }
        })?;
        watch.phase().ok_or_else(|| {
            let what = "its console does not show the beginning and the end of the bring-up".to_owned();
            BenchError::Run { subject: self.kind.name.to_owned(), cpus, what }.into()
        })
    }
}

/// Looks for a peer's phase on its console.
struct Watch {
    kind: &'static Kind,
    begin: Option<Duration>,
    end: Option<Duration>,
}

impl Watch {
    fn new(kind: &'static Kind) -> Self {
        Self { kind, begin: None, end: None }
    }

    fn see(&mut self, line: &str, seen: Duration) {
        let time = if self.kind.time_stamps { time_stamp(line) } else { Some(seen) };
        if line.contains(self.kind.begin) {
            self.begin = self.begin.or(time);
        }
        // The last such line counts: some systems have one for each CPU.
        if line.contains(self.kind.end) && self.begin.is_some() {
            self.end = time;
        }
    }

    fn phase(&self) -> Option<u64> {
        let phase = self.end?.checked_sub(self.begin?)?;
        u64::try_from(phase.as_nanos()).ok()
    }
}

/// The time in `[    0.123456]`, wherever it stands in a line.
fn time_stamp(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once('[')?;
    let (time, _) = rest.split_once(']')?;
    let seconds: f64 = time.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(name: &str, lines: &[(&str, u64)]) -> Option<u64> {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        let mut watch = Watch::new(kind);
        for (line, seen) in lines {
            watch.see(line, Duration::from_millis(*seen));
        }
        watch.phase()
    }

    #[test]
    fn linux_is_measured_by_its_time_stamps() {
        let lines = [
            ("[    0.012000] smp: Bringing up secondary CPUs ...", 1),
            ("[    0.020000] CPU1: Booted secondary processor", 2),
            ("[    0.030500] smp: Brought up 1 node, 4 CPUs", 900),
        ];
        assert_eq!(watch("linux", &lines), Some(18_500_000));
        assert_eq!(watch("linux", &lines[..2]), None);
        assert_eq!(watch("linux", &lines[1..]), None);
    }

    #[test]
    fn xen_has_its_time_stamps_behind_a_prefix() {
        let lines = [("(XEN) [    0.100000] Bringing up CPU1", 0), ("(XEN) [    0.300000] Brought up 4 CPUs", 0)];
        assert_eq!(watch("xen", &lines), Some(200_000_000));
    }

    #[test]
    fn lk_is_measured_by_the_host_up_to_its_last_cpu() {
        let lines = [("FDT: found", 5), ("secondary CPU 1", 8), ("secondary CPU 2", 12)];
        assert_eq!(watch("lk", &lines), Some(7_000_000));
    }

    #[test]
    fn peers_are_named_with_their_image() {
        assert!("linux".parse::<Peer>().is_ok());
        assert_eq!("xen".parse::<Peer>().unwrap_err(), "xen needs an image: xen=IMAGE");
        assert_eq!("bsd=x".parse::<Peer>().unwrap_err(), "it is one of linux, xen, lk, with =IMAGE");
        assert_eq!("linux=/no/such".parse::<Peer>().unwrap_err(), "there is no file /no/such");
    }
}
