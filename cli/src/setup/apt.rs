//! Installs packages with apt, says before how much that is, and shows its progress on the standard error stream.

use std::io::{self, BufRead, BufReader};
use std::iter;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::plan::Privilege;
use super::{SetupError, tell, unless_interrupted};
use crate::toolchain::output;

/// What an installation needs, as apt says it: how much to fetch, and how much disk it takes. `None` if apt cannot install these
/// packages without removing others, or does not know them.
#[must_use]
pub fn price(packages: &[&str]) -> Option<String> {
    // Only printing: without it, apt installs what needs no further package, even if told to answer no.
    let options = ["--print-uris", "--no-install-recommends", "--no-remove", "install"];
    let text = output(Command::new("apt-get").env("LC_ALL", "C").args(options).args(packages))?;
    Some(read_price(&text))
}

fn read_price(text: &str) -> String {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    // "Need to get 1 MB of archives." or, if some were fetched before, "Need to get 1 MB/3 MB of archives."
    let archives = line("Need to get ").and_then(|rest| rest.split_once(" of archives")).map(|(size, _)| size);
    let disk = line("After this operation, ").and_then(|rest| rest.split_once(" of additional")).map(|(size, _)| size);
    let parts = [archives.map(|size| format!("{size} to fetch")), disk.map(|size| format!("{size} on disk"))];
    match parts.into_iter().flatten().collect::<Vec<_>>().join(", ") {
        parts if parts.is_empty() => "nothing to fetch".into(),
        parts => parts,
    }
}

/// Refreshes the lists of packages.
///
/// # Errors
/// [`SetupError::Step`], also if only some of them cannot be had.
pub fn update(privilege: Privilege) -> Result<(), SetupError> {
    let command = &mut as_root("apt-get", privilege);
    command.args(OPTIONS).args(["-qq", "update"]);
    let said = run_and_listen(command)?;
    // apt is content with lists that it could not fetch.
    if said.contains("Failed to fetch") { Err(step(command, reason(&said))) } else { Ok(()) }
}

/// Installs `packages`. If that fails, once more, with fresh lists, and after what an earlier installation has left undone.
///
/// # Errors
/// [`SetupError::Step`].
pub fn install(packages: &[&str], privilege: Privilege) -> Result<(), SetupError> {
    let install = |options: &[&str]| {
        let mut command = as_root("apt-get", privilege);
        command.args(OPTIONS).args(["-y", "--no-install-recommends", "--no-remove"]).args(options);
        run_and_listen(command.arg("install").args(packages))
    };
    let Err(first) = install(&[]) else { return Ok(()) };
    // From a terminal, the interrupt ends apt as well.
    unless_interrupted()?;
    let because = |cause: &str| matches!(&first, SetupError::Step { reason, .. } if reason.contains(cause));
    if because(FULL) {
        return Err(first);
    }
    if because("dpkg --configure -a") {
        tell("reveille: finishing an installation that was interrupted");
        run_and_listen(as_root("dpkg", privilege).args(["--configure", "-a"]))?;
    }
    tell("reveille: trying again with fresh lists of packages");
    // Lists that cannot be had need not be those that matter, unless there is no network at all.
    if update(privilege).is_err() && because(OFFLINE) {
        return Err(first);
    }
    install(&["--fix-broken"]).map(drop)
}

/// For every apt-get: to wait for another, to leave dpkg's complaints among its own, and to give up on a server that falls silent.
/// Timeouts add up over packages; so it is rather the whole step that is tried again.
pub const OPTIONS: &[&str] = &[
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Acquire::Retries=0",
    "-o",
    "Acquire::http::Timeout=10",
    "-o",
    "Acquire::https::Timeout=10",
];

/// That nobody is asked, and that complaints can be read.
const ENVIRONMENT: &[&str] = &["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"];

fn as_root(program: &str, privilege: Privilege) -> Command {
    let mut command = match privilege {
        Privilege::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env"]);
            command
        }
        Privilege::Root | Privilege::None => Command::new("env"),
    };
    command.args(ENVIRONMENT).arg(program);
    command
}

/// Runs a step, with its output on the standard error stream.
///
/// # Errors
/// [`SetupError::Step`].
pub fn run(command: &mut Command) -> Result<(), SetupError> {
    match command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(step(command, status.to_string())),
        Err(error) => Err(step(command, error.to_string())),
    }
}

/// Runs a step of apt's or dpkg's, with its output on the standard error stream; returns its complaints.
fn run_and_listen(command: &mut Command) -> Result<String, SetupError> {
    command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| step(command, error.to_string()))?;
    let (sender, complaints) = mpsc::channel();
    let pipe = child.stderr.take();
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n').map_while(Result::ok)) {
            let line = String::from_utf8_lossy(&line).into_owned();
            tell(&line);
            // Nobody may listen any more; the line is shown all the same.
            let _ = sender.send(line);
        }
    });
    let status = child.wait().map_err(|error| step(command, error.to_string()))?;
    // What a package has started may keep the pipe open.
    let said: Vec<String> = iter::from_fn(|| complaints.recv_timeout(LAST_WORDS).ok()).collect();
    let said = said.join("\n");
    match (status.success(), said.is_empty()) {
        (true, _) => Ok(said),
        (false, true) => Err(step(command, status.to_string())),
        (false, false) => Err(step(command, reason(&said))),
    }
}

/// How long to listen to a program that has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The error of a command, which is shown without what matters to programs only.
fn step(command: &Command, reason: String) -> SetupError {
    let words = iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy());
    let matters = |word: &str| word != "env" && !ENVIRONMENT.contains(&word) && !OPTIONS.contains(&word);
    let command = words.filter(|word| matters(word)).collect::<Vec<_>>().join(" ");
    SetupError::Step { command, reason }
}

/// What is said of a full disk, and of a network that is not there.
const FULL: &str = "the disk is full";
const OFFLINE: &str = "packages cannot be downloaded";

/// Why apt, dpkg or the host failed, in words for people, from their English `complaints`.
#[must_use]
pub fn reason(complaints: &str) -> String {
    const NO_ROOM: &[&str] = &["No space left on device", "enough free space"];
    const NO_NETWORK: &[&str] = &[
        "Failed to fetch",
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Unable to connect",
    ];
    let line_with = |parts: &[&str]| {
        // What a server does not have, old lists are to blame for.
        let mut lines = complaints.lines().filter(|line| !line.contains(" 404 "));
        lines.find(|line| parts.iter().any(|part| line.contains(part)))
    };
    let errors = || complaints.lines().filter(|line| line.starts_with("E:"));
    let plain = |line: &str| line.trim_start_matches("E: ").trim_start_matches("W: ").trim().to_owned();
    if let Some(line) = line_with(NO_ROOM) {
        return format!("{FULL}; make room and run this again: {}", plain(line));
    }
    if let Some(line) = line_with(NO_NETWORK) {
        return format!("{OFFLINE}; run this again when the network is there: {}", plain(line));
    }
    let line = errors().next().or_else(|| complaints.lines().rfind(|line| !line.trim().is_empty()));
    line.map_or_else(|| "it did not say why".into(), plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_is_read_from_what_apt_says() {
        let text = "1 newly installed\nNeed to get 13.3 MB of archives.\n\
                    After this operation, 57.5 MB of additional disk space will be used.\n'http://x' x 1 MD5Sum:0\n";
        assert_eq!(read_price(text), "13.3 MB to fetch, 57.5 MB on disk");
        let cached = "Need to get 0 B/13.3 MB of archives.\n";
        assert_eq!(read_price(cached), "0 B/13.3 MB to fetch");
        assert_eq!(read_price("0 upgraded, 0 newly installed\n"), "nothing to fetch");
    }

    #[test]
    fn a_step_that_fails_is_named_with_its_reason() {
        let error = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 7") && error.contains('7'), "{error}");
        let error = run(&mut Command::new("/no/such/program")).unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }

    #[test]
    fn nobody_is_asked() {
        let command = as_root("apt-get", Privilege::Sudo);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(command.get_program(), "sudo");
        assert!(words.starts_with(&["-n".into(), "env".into(), "DEBIAN_FRONTEND=noninteractive".into()]));
        let SetupError::Step { command, .. } = step(&command, String::new()) else { unreachable!() };
        assert_eq!(command, "sudo -n apt-get");
    }

    #[test]
    fn reasons_are_told_in_words_for_people() {
        let table = [
            (
                "E: Failed to fetch http://x/y.deb  Connection failed\nE: Unable to fetch some archives, maybe run update\n",
                "packages cannot be downloaded; run this again when the network is there: \
                 Failed to fetch http://x/y.deb  Connection failed",
            ),
            (
                "W: Failed to fetch http://x/InRelease  Temporary failure resolving 'x'\n",
                "packages cannot be downloaded; run this again when the network is there: \
                 Failed to fetch http://x/InRelease  Temporary failure resolving 'x'",
            ),
            (
                "E: You don't have enough free space in /var/cache/apt/archives/.\n",
                "the disk is full; make room and run this again: \
                 You don't have enough free space in /var/cache/apt/archives/.",
            ),
            (
                "dpkg: error processing archive x.deb\n cannot copy: write failed (No space left on device)\nE: Sub-process\n",
                "the disk is full; make room and run this again: \
                 cannot copy: write failed (No space left on device)",
            ),
            ("E: Failed to fetch http://x/y.deb  404  Not Found\n", "Failed to fetch http://x/y.deb  404  Not Found"),
            ("W: old\nE: Unable to locate package x\nE: second\n", "Unable to locate package x"),
            ("tar: broken\n\n", "tar: broken"),
            ("", "it did not say why"),
        ];
        for (complaints, expected) in table {
            assert_eq!(reason(complaints), expected);
        }
    }

    #[test]
    fn complaints_are_heard_from_what_fails_and_from_what_does_not() {
        let shell = |script: &str| run_and_listen(Command::new("sh").args(["-c", script]));
        assert_eq!(shell("echo W: hm >&2; echo no complaint").unwrap(), "W: hm");
        let error = shell("echo E: broken >&2; exit 100").unwrap_err().to_string();
        assert!(error.contains("broken (in: sh -c"), "{error}");
        let error = shell("exit 100").unwrap_err().to_string();
        assert!(error.contains("100"), "{error}");
        // A server that a package starts outlives apt, and holds the pipe.
        shell("sleep 5 & echo W: started >&2").unwrap();
    }
}
