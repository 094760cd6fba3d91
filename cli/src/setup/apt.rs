//! Installs packages with apt, says before how much that is, and shows its progress on the standard error stream.

use std::io;
use std::process::{Command, Stdio};

use super::SetupError;
use super::plan::Privilege;
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
/// [`SetupError::Step`].
pub fn update(privilege: Privilege) -> Result<(), SetupError> {
    run(apt_get(privilege).args(["-qq", "update"]))
}

/// Installs `packages`, with refreshed lists if those at hand do not do.
///
/// # Errors
/// [`SetupError::Step`].
pub fn install(packages: &[&str], privilege: Privilege) -> Result<(), SetupError> {
    let install =
        || run(apt_get(privilege).args(["-y", "--no-install-recommends", "--no-remove", "install"]).args(packages));
    install().or_else(|_| {
        eprintln!("reveille: trying again with fresh lists of packages");
        update(privilege)?;
        install()
    })
}

fn apt_get(privilege: Privilege) -> Command {
    let mut command = match privilege {
        Privilege::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env"]);
            command
        }
        Privilege::Root | Privilege::None => Command::new("env"),
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

/// Runs a step, with its output on the standard error stream.
///
/// # Errors
/// [`SetupError::Step`].
pub fn run(command: &mut Command) -> Result<(), SetupError> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).status();
    let reason = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let command = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    Err(SetupError::Step { command, reason })
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
        let command = apt_get(Privilege::Sudo);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(command.get_program(), "sudo");
        assert!(words.starts_with(&["-n".into(), "env".into(), "DEBIAN_FRONTEND=noninteractive".into()]));
    }
}
