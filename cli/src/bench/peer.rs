//! Other systems on the same QEMU, unmodified: their phase is taken from their console. `kinds` has them as data, and
//! `watch` reads the console.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::subjects::Counting;
use super::{BenchError, per_cpu};
use crate::console::Line;
use crate::error::Error;
use crate::machine::Machine;
use crate::qemu::{self, Ending};
use crate::toolchain::on_path;
use kinds::{Board, KINDS, Kind, Source};
use watch::Watch;

mod kinds;
mod watch;

/// How long a peer may take to show its phase, and how much longer for each CPU: on a busy host, with few cores.
const LIMIT: Duration = Duration::from_secs(60);
const LIMIT_PER_CPU: Duration = Duration::from_secs(2);

/// A system that someone wants to see measured: `linux`, `linux=IMAGE`, `xen`, `xen=IMAGE`, `lk=IMAGE`. Which one it is depends on
/// the machine.
#[derive(Clone, Debug)]
pub struct PeerRequest {
    name: &'static str,
    /// `None`: the one that is fetched.
    image: Option<PathBuf>,
}

impl FromStr for PeerRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, image) = match text.split_once('=') {
            Some((name, image)) => (name, Some(PathBuf::from(image))),
            None => (text, None),
        };
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("it is one of {}, each also with =IMAGE", names(KINDS.iter())))?;
        Ok(Self { name: kind.name, image })
    }
}

/// Their names, each once.
fn names(kinds: impl Iterator<Item = &'static Kind>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for kind in kinds {
        if !names.contains(&kind.name) {
            names.push(kind.name);
        }
    }
    names.join(", ")
}

/// Whether QEMU can make anything of an image, so that nobody waits for one of which it cannot.
fn check(image: &Path, board: &Board) -> Result<(), String> {
    let path = image.display();
    if !image.is_file() {
        return Err(format!("there is no file {path}"));
    }
    let mut begin = Vec::new();
    let read = File::open(image).and_then(|file| file.take(64).read_to_end(&mut begin));
    read.map_err(|error| format!("{path} cannot be read: {error}"))?;
    let is = |(place, bytes): &(usize, &[u8])| begin.get(*place..).is_some_and(|rest| rest.starts_with(bytes));
    if board.images.iter().any(is) {
        Ok(())
    } else {
        Err(format!("{path} is no kernel that QEMU boots on {}", board.architecture.name))
    }
}

impl PeerRequest {
    /// Checks that there is such a system beside ours on `machine`, and that the image that was given can be one.
    ///
    /// # Errors
    /// [`BenchError::NoPeer`].
    pub fn check(&self, machine: &Machine) -> Result<(), BenchError> {
        self.kind(machine).map(drop)
    }

    fn kind(&self, machine: &Machine) -> Result<&'static Kind, BenchError> {
        let refused = |problem| BenchError::NoPeer { peer: self.name.to_owned(), machine: machine.name, problem };
        let kind = Kind::beside(machine).find(|kind| kind.name == self.name);
        let kind = kind.ok_or_else(|| refused(format!("it is one of {} there", names(Kind::beside(machine)))))?;
        match (&self.image, &kind.source) {
            (None, Source::Given(what)) => Err(format!("it has to be given as {}=IMAGE: {what}", self.name)),
            (None, Source::Fetched(_)) => Ok(kind),
            (Some(path), _) => check(path, kind.board).map(|()| kind),
        }
        .map_err(refused)
    }

    /// Fetches the image where none was given, and looks for QEMU, so that no measurement has to wait for either.
    ///
    /// # Errors
    /// Those of [`Self::check`], and [`BenchError::Peer`].
    pub fn prepare(&self, machine: &Machine) -> Result<Peer, BenchError> {
        let kind = self.kind(machine)?;
        let Kind { name, board, source, .. } = kind;
        let qemu = on_path(board.architecture.qemu).ok_or_else(|| {
            let (qemu, package) = (board.architecture.qemu, board.architecture.qemu_packages.apt);
            BenchError::Peer(format!("{name} runs on {qemu}, which is not there (Debian's package is {package})"))
        })?;
        let image = match (&self.image, source) {
            (Some(image), _) => image.clone(),
            (None, Source::Fetched(fetch)) => fetch().map_err(|error| BenchError::Peer(error.to_string()))?,
            (None, Source::Given(what)) => return Err(BenchError::Peer(format!("{name} needs an image: {what}"))),
        };
        Ok(Peer { name: (*name).to_owned(), kind, qemu, image })
    }
}

/// Gives peers of one kind names that tell them apart: `linux 1`, `linux 2`, in the order in which they were asked for.
pub fn tell_apart(peers: &mut [Peer]) {
    let kinds: Vec<&str> = peers.iter().map(|peer| peer.kind.name).collect();
    for (position, peer) in peers.iter_mut().enumerate() {
        let alike = |kinds: &[&str]| kinds.iter().filter(|kind| **kind == peer.kind.name).count();
        if alike(&kinds) > 1 {
            peer.name = format!("{} {}", peer.kind.name, alike(&kinds[..=position]));
        }
    }
}

/// A system that can be measured.
#[derive(Clone, Debug)]
pub struct Peer {
    name: String,
    kind: &'static Kind,
    qemu: PathBuf,
    image: PathBuf,
}

impl Peer {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is not asked to bring up so many CPUs, the one that boots included, if it is not.
    #[must_use]
    pub fn refusal(&self, cpus: u32) -> Option<String> {
        let Kind { name, max_cpus, .. } = self.kind;
        let takes = (2..=*max_cpus).contains(&cpus);
        let range = if *max_cpus == 2 { "2".to_owned() } else { format!("2 to {max_cpus}") };
        (!takes).then(|| format!("{name} is not measured with {cpus} CPUs: it is measured with {range}"))
    }

    /// In what it differs from ours that its figures must not be read without.
    #[must_use]
    pub fn differs(&self) -> Option<&'static str> {
        self.kind.differs
    }

    /// Which image it is, how it was measured, and what else it does in that time.
    #[must_use]
    pub fn note(&self) -> String {
        let image = self.image.file_name().unwrap_or_default().to_string_lossy();
        format!("{image}, {}; in that time it also {}", self.kind.measured, self.kind.also)
    }

    /// Boots it once: nanoseconds of its phase.
    ///
    /// # Errors
    /// [`Error`], also if its console did not show the phase.
    pub fn phase(&self, cpus: u32) -> Result<u64, Error> {
        self.boot(cpus, &[])
    }

    /// Whether its instructions can be counted.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.kind.counts
    }

    /// Boots it once with QEMU counting: instructions of its phase for each CPU that it brings up.
    ///
    /// # Errors
    /// As [`Self::phase`].
    pub fn count(&self, cpus: u32, counting: &Counting) -> Result<f64, Error> {
        Ok(per_cpu(self.boot(cpus, &counting.arguments)?, cpus))
    }

    fn boot(&self, cpus: u32, further: &[&str]) -> Result<u64, Error> {
        let (start, limit) = (Instant::now(), LIMIT + cpus * LIMIT_PER_CPU);
        let mut watch = Watch::new(self.kind, cpus);
        let finished = qemu::run_until(&self.qemu, &self.arguments(cpus, further), limit, |line| match line {
            Line::Text(text) => watch.see(&text, start.elapsed()),
            Line::Record(_) | Line::GuestRecord(..) | Line::Prompt => ControlFlow::Continue(()),
        })?;
        watch.phase().map_err(|mut what| {
            if finished.ending == Ending::TimedOut {
                what.push_str(&format!("; it was ended after {} s", limit.as_secs()));
            }
            if let Some(said) = finished.messages.lines().rfind(|line| !line.contains("warning:")) {
                what.push_str(&format!("; {said}"));
            }
            BenchError::Run { subject: self.kind.name.to_owned(), cpus, what }.into()
        })
    }

    fn arguments(&self, cpus: u32, further: &[&str]) -> Vec<String> {
        let Kind { board, command_line, guest, .. } = self.kind;
        let (image, cpus) = (self.image.to_string_lossy(), cpus.to_string());
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&["-machine", board.machine, "-cpu", board.cpu_model, "-smp", &cpus, "-m", board.memory]);
        add(&["-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot"]);
        board.without.iter().for_each(|device| add(&[device, "none"]));
        add(&["-kernel", &image, "-append", command_line]);
        if let Some(guest) = guest {
            // The guest is never started: any file will do. A comma in a property's value is written twice.
            add(&["-device", &format!("{guest},kernel={}", image.replace(',', ",,"))]);
        }
        add(further);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(machine: &str, text: &str) -> Result<(), String> {
        let machine = Machine::find(machine).map_err(|error| error.to_string())?;
        text.parse::<PeerRequest>()?.check(machine).map_err(|error| error.to_string())
    }

    fn refused(text: &str) -> String {
        on("virt", text).unwrap_err()
    }

    #[test]
    fn peers_are_named_with_their_image() {
        assert!(on("virt", "linux").is_ok() && on("virt", "xen").is_ok());
        assert!(refused("bsd=x").contains("one of linux, xen, lk, each"), "{}", refused("bsd=x"));
        assert_eq!(
            refused("linux=/no/such"),
            "there is no --peer linux on the machine virt: there is no file /no/such"
        );
        assert!(refused("xen=").ends_with(": there is no file "));
    }

    #[test]
    fn each_machine_has_its_own_peers() {
        assert!(on("malta", "linux").is_ok());
        let expected = "there is no --peer xen on the machine malta: it is one of linux there";
        assert_eq!(on("malta", "xen").unwrap_err(), expected);
    }

    #[test]
    fn who_asks_for_lk_without_an_image_is_told_where_one_comes_from() {
        let refused = refused("lk");
        assert!(refused.ends_with("lk.elf") && refused.contains("it has to be given as lk=IMAGE: "), "{refused}");
        assert!(refused.contains("qemu-virt-arm64-test"), "{refused}");
    }

    #[test]
    fn an_image_that_qemu_cannot_boot_is_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        let mut image = [0; 64];
        image[56..60].copy_from_slice(b"ARM\x64");
        let elf_for_mips = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\x00\x08\x00";
        let table = [
            ("virt", "lk", &image[..], true),
            ("virt", "lk", b"\x7fELF\x02", true),
            ("virt", "lk", b"", false),
            ("virt", "lk", b"# a script", false),
            ("virt", "lk", &image[1..], false),
            ("malta", "linux", elf_for_mips, true),
            ("malta", "linux", &elf_for_mips[..19], false),
            ("malta", "linux", &image[..], false),
        ];
        for (machine, name, content, is_kernel) in table {
            std::fs::write(&file, content).unwrap();
            let peer = on(machine, &format!("{name}={}", file.display()));
            assert_eq!(peer.is_ok(), is_kernel, "{content:?}");
            assert!(peer.err().is_none_or(|error| error.contains("is no kernel that QEMU boots on ")), "{content:?}");
        }
        assert!(refused(&format!("lk={}", folder.path().display())).contains("there is no file"));
    }

    fn xen() -> Peer {
        let kind = KINDS.iter().find(|kind| kind.name == "xen").unwrap();
        Peer { name: "xen".into(), kind, qemu: "qemu".into(), image: "a,b/xen-4.17".into() }
    }

    #[test]
    fn peers_of_one_kind_are_numbered_and_others_are_not() {
        let lk = Peer { name: "lk".into(), kind: KINDS.iter().find(|kind| kind.name == "lk").unwrap(), ..xen() };
        let mut peers = [xen(), lk, xen()];
        tell_apart(&mut peers);
        assert_eq!(peers.each_ref().map(Peer::name), ["xen 1", "lk", "xen 2"]);
    }

    #[test]
    fn a_peer_takes_from_two_cpus_to_its_own_limit() {
        assert_eq!([1, 2, 128, 129].map(|cpus| xen().refusal(cpus).is_none()), [false, true, true, false]);
        assert_eq!(xen().refusal(256).unwrap(), "xen is not measured with 256 CPUs: it is measured with 2 to 128");
    }

    #[test]
    fn xen_has_a_guest_beside_it_in_whatever_folder_it_lies() {
        let arguments = xen().arguments(4, &[]);
        let device = arguments.iter().position(|argument| argument == "-device").unwrap() + 1;
        assert!(arguments[device].ends_with(",kernel=a,,b/xen-4.17"), "{arguments:?}");
        assert!(arguments.contains(&"a,b/xen-4.17".to_owned()), "{arguments:?}");
    }

    #[test]
    fn a_note_says_which_image_it_was_and_what_else_it_did() {
        assert!(xen().note().starts_with("xen-4.17, by the time stamps of its console"), "{}", xen().note());
        for kind in KINDS {
            let peer = Peer { kind, ..xen() };
            assert!(peer.note().contains("in that time it also "), "{}", peer.note());
            let is_another_model = kind.differs.is_some();
            assert_eq!(peer.note().contains("another CPU model"), is_another_model, "{}", peer.note());
        }
    }
}
