//! Sees to it that the host has what boots need: QEMU, a Rust toolchain for the images, a linker.
//!
//! [`plan`] decides what is to be done from facts alone, [`apt`] installs packages where that can be done, and this module
//! gathers the facts, asks where it must, and reports.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::interrupt;
use crate::machine::Architecture;
use crate::style::{self, paint};
use crate::toolchain::{self, Linker, StandardLibrary, Toolchain, on_path, output};
use plan::{Consent, Decision, Facts, Library, Need, PackageManager, Privilege, Step};

pub mod apt;
pub mod lock;
pub mod plan;

/// One lock for the whole machine, whoever runs and from whatever source tree.
const LOCK: &str = "/tmp/reveille-setup.lock";
const LOCKED_FOR: &str = "another set-up of this host";
/// How often a wait looks whether it was interrupted.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a host offers to boots of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// QEMU for the architecture.
    pub qemu: PathBuf,
    /// Builds images.
    pub toolchain: Toolchain,
    /// Links them.
    pub linker: Linker,
}

/// Why a host cannot boot anything.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `REVEILLE_SETUP` makes no sense.
    #[error("REVEILLE_SETUP is auto, ask or never, not '{0}'")]
    Consent(String),
    /// Something is missing, and may not or cannot be installed from here.
    #[error("{missing} {verb} missing, and {why}; this installs what is needed:\n{commands}", verb = if *.several { "are" } else { "is" })]
    Missing {
        /// What is missing.
        missing: String,
        /// Whether these are several things.
        several: bool,
        /// Why it is not installed.
        why: &'static str,
        /// How to do it by hand.
        commands: String,
    },
    /// An installation failed.
    #[error("setting this host up failed: {reason} (in: {command})")]
    Step {
        /// What was run.
        command: String,
        /// Why it failed.
        reason: String,
    },
    /// Everything was installed, and still something is not there.
    #[error("{0} cannot be found, although it was just installed")]
    StillMissing(String),
    /// The machine-wide lock cannot be had.
    #[error("cannot lock {LOCK}: {0}")]
    Lock(#[source] io::Error),
    /// Ended by Ctrl-C or a signal.
    #[error("interrupted")]
    Interrupted,
}

impl SetupError {
    /// What cannot be locked: what the wait for it ended by is no error of the lock.
    fn of_lock(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::Interrupted { Self::Interrupted } else { Self::Lock(error) }
    }
}

/// Whether to go on.
fn unless_interrupted() -> Result<(), SetupError> {
    if interrupt::requested() { Err(SetupError::Interrupted) } else { Ok(()) }
}

/// What of a host's tools was found.
struct Found {
    qemu: Option<PathBuf>,
    toolchain: Option<Toolchain>,
    linker: Option<Linker>,
}

impl Found {
    fn look(architecture: &Architecture) -> Self {
        let toolchain = toolchain::find(architecture.target);
        let linker = toolchain::find_linker(toolchain.as_ref());
        // One whose package was not unpacked to the end does not start.
        let qemu = on_path(architecture.qemu).filter(|qemu| output(Command::new(qemu).arg("--version")).is_some());
        Self { qemu, toolchain, linker }
    }

    fn missing(&self) -> Vec<Need> {
        let needs = [
            (self.qemu.is_none(), Need::Qemu),
            (self.toolchain.is_none(), Need::Toolchain),
            (self.linker.is_none(), Need::Linker),
        ];
        needs.into_iter().filter_map(|(missing, need)| missing.then_some(need)).collect()
    }

    fn host(self) -> Result<Host, Vec<Need>> {
        let missing = self.missing();
        match self {
            Self { qemu: Some(qemu), toolchain: Some(toolchain), linker: Some(linker) } => {
                Ok(Host { qemu, toolchain, linker })
            }
            _ => Err(missing),
        }
    }
}

/// Sees to it that the host has what boots of `architecture` need, and installs what is missing if it may. What is done, and
/// how much is fetched, is said on the standard error stream.
///
/// # Errors
/// [`SetupError`].
pub fn ensure(architecture: &Architecture) -> Result<Host, SetupError> {
    // A package that is being unpacked looks as if it were there.
    lock::wait_while_taken(Path::new(LOCK), LOCKED_FOR).map_err(SetupError::of_lock)?;
    if let Ok(host) = Found::look(architecture).host() {
        return Ok(host);
    }
    let consent = consent()?;
    let _lock = lock::take(Path::new(LOCK), LOCKED_FOR).map_err(SetupError::of_lock)?;
    // Another process may have installed it while this one waited.
    let missing = match Found::look(architecture).host() {
        Ok(host) => return Ok(host),
        Err(missing) => missing,
    };
    let (facts, lists) = gather(architecture, missing, consent);
    match plan::decide(&facts, architecture) {
        Decision::Nothing => {}
        // With lists of packages there might be a way.
        Decision::Refuse(why) => return Err(lists.err().unwrap_or_else(|| refusal(&facts, architecture, why))),
        Decision::Install { steps, ask } => {
            let unknown = |step: &Step| matches!(step, Step::Apt(packages) if apt::price(packages).is_none());
            if steps.iter().any(unknown) {
                lists?;
            }
            announce(&facts, architecture, &steps);
            if ask && !confirmed()? {
                return Err(refusal(&facts, architecture, "you said no"));
            }
            for step in &steps {
                unless_interrupted()?;
                perform(step, facts.privilege)?;
            }
            unless_interrupted()?;
        }
    }
    Found::look(architecture)
        .host()
        .map_err(|missing| SetupError::StillMissing(plan::names(&missing, architecture).join(" and ")))
}

/// Says a line on the standard error stream. That nobody can hear it is no reason to stop.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What `REVEILLE_SETUP` allows: by itself, to ask on a terminal and to go ahead without one.
fn consent() -> Result<Consent, SetupError> {
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let wish = std::env::var_os("REVEILLE_SETUP").map(|wish| wish.to_string_lossy().into_owned());
    plan::consent(wish.as_deref(), terminal).map_err(SetupError::Consent)
}

/// What is known about the host, and whether its lists of packages could be refreshed, if they had to be.
fn gather(architecture: &Architecture, missing: Vec<Need>, consent: Consent) -> (Facts, Result<(), SetupError>) {
    let manager = PackageManager::ALL.into_iter().find(|manager| on_path(manager.program()).is_some());
    let mut facts = Facts {
        manager,
        privilege: privilege(),
        rustup: on_path("rustup").is_some(),
        rust_source_packages: false,
        package_lists: true,
        consent,
        missing,
    };
    let mut refreshed = Ok(());
    if manager == Some(PackageManager::Apt) {
        let wanted = plan::packages(&Facts { rust_source_packages: true, ..facts.clone() }, architecture);
        facts.package_lists = apt::price(&wanted).is_some();
        // On a fresh machine there are none.
        if facts.may_install() && !facts.package_lists {
            tell("reveille: refreshing the lists of packages");
            refreshed = apt::update(facts.privilege);
            facts.package_lists = apt::price(&wanted).is_some();
        }
        facts.rust_source_packages = apt::price(plan::APT_RUST_PACKAGES).is_some();
    }
    (facts, refreshed)
}

fn privilege() -> Privilege {
    if output(Command::new("id").arg("-u")).is_some_and(|user| user.trim() == "0") {
        Privilege::Root
    } else if output(Command::new("sudo").args(["-n", "true"])).is_some() {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

fn refusal(facts: &Facts, architecture: &Architecture, why: &'static str) -> SetupError {
    SetupError::Missing {
        missing: plan::names(&facts.missing, architecture).join(" and "),
        several: facts.missing.len() > 1,
        why,
        commands: by_hand(facts, architecture),
    }
}

/// The commands that install what is missing, a line each.
fn by_hand(facts: &Facts, architecture: &Architecture) -> String {
    plan::commands(facts, architecture).iter().map(|command| format!("  {command}")).collect::<Vec<_>>().join("\n")
}

/// Says what is going to be installed, and how much that is.
fn announce(facts: &Facts, architecture: &Architecture, steps: &[Step]) {
    let mut text = format!("reveille: this host lacks {}\n", plan::names(&facts.missing, architecture).join(" and "));
    for step in steps {
        match step {
            Step::Apt(packages) => {
                let _ = write!(text, "reveille: installing the packages {}", packages.join(", "));
                if let Some(price) = apt::price(packages) {
                    let _ = write!(text, ": {price}");
                }
                text.push('\n');
            }
            Step::Rustup(library) => {
                let what = match library {
                    Library::Target(target) => format!("the Rust target {target}"),
                    Library::Source => "the sources of Rust's standard library".to_owned(),
                };
                let _ = writeln!(text, "reveille: adding {what} with rustup, which shows how much it fetches");
            }
        }
    }
    tell(text.trim_end());
}

fn confirmed() -> Result<bool, SetupError> {
    let _ = write!(io::stderr(), "Go ahead? [Y/n] ").and_then(|()| io::stderr().flush());
    // In a thread of its own, since an interrupt does not end a read.
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let said = io::stdin().read_line(&mut line).is_ok_and(|length| length > 0).then_some(line);
        // Nobody waits any more if there was an interrupt.
        let _ = sender.send(said);
    });
    loop {
        match answer.recv_timeout(PATIENCE) {
            Ok(said) => {
                let yes = |line: String| matches!(line.trim().to_lowercase().as_str(), "" | "y" | "yes");
                return Ok(said.is_some_and(yes));
            }
            Err(RecvTimeoutError::Timeout) => unless_interrupted()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
    }
}

fn perform(step: &Step, privilege: Privilege) -> Result<(), SetupError> {
    match step {
        Step::Apt(packages) => apt::install(packages, privilege),
        Step::Rustup(library) => {
            let mut command = Command::new("rustup");
            toolchain::clean_environment(&mut command, true);
            apt::run(command.args(library.arguments()))
        }
    }
}

/// What `reveille doctor` says.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// A line for each thing that boots need, and what to do about those that are missing.
    pub text: String,
    /// Nothing is missing.
    pub healthy: bool,
}

/// Says what the host has of what boots of `architecture` need, and what is missing. Changes nothing.
#[must_use]
pub fn diagnose(architecture: &Architecture) -> Diagnosis {
    let found = Found::look(architecture);
    let first_line = |program: &Path| {
        let text = output(Command::new(program).arg("--version")).unwrap_or_default();
        format!("{}, {}", program.display(), text.lines().next().unwrap_or("which does not tell its version"))
    };
    let qemu = found.qemu.as_deref().map(first_line);
    let toolchain = found.toolchain.as_ref().map(|toolchain| {
        let core = match toolchain.standard_library {
            StandardLibrary::Installed => "with the target installed",
            StandardLibrary::FromSource => "which builds the target's core from source",
        };
        format!("{}, Rust {} {core}", toolchain.sysroot.display(), toolchain.release)
    });
    let linker = found.linker.as_ref().map(|linker| match linker {
        Linker::Bundled => "rust-lld of the toolchain".to_owned(),
        Linker::Program(program) => first_line(program),
    });
    let mut text = String::new();
    for (need, tool) in [(Need::Qemu, qemu), (Need::Toolchain, toolchain), (Need::Linker, linker)] {
        let state =
            tool.map_or_else(|| paint(style::BAD, "missing"), |tool| format!("{} {tool}", paint(style::GOOD, "ok")));
        let _ = writeln!(text, "{:<14} {state}", need.title());
    }
    let missing = found.missing();
    let healthy = missing.is_empty();
    if !healthy {
        let (facts, _) = gather(architecture, missing, Consent::Never);
        let _ = writeln!(text, "\nThis installs what is missing:\n{}", by_hand(&facts, architecture));
    }
    Diagnosis { text, healthy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let error = SetupError::Missing {
            missing: "qemu-system-aarch64".into(),
            several: false,
            why: "REVEILLE_SETUP is never",
            commands: "  apt-get install x".into(),
        };
        let expected = "qemu-system-aarch64 is missing, and REVEILLE_SETUP is never; this installs what is needed:\n  \
                        apt-get install x";
        assert_eq!(error.to_string(), expected);
    }
}
