//! One boot from beginning to end, for the command and for other programs. `options` is what can be asked for, `heard` what the machine says
//! meanwhile, and what that comes to.
//!
//! ```no_run
//! use reveille_cli::boot::{self, BootOptions};
//! use reveille_cli::console::Silent;
//! use reveille_cli::{image, setup};
//!
//! # fn main() -> Result<(), reveille_cli::error::Error> {
//! let options = BootOptions { cpus: 8, ..BootOptions::default() };
//! let host = setup::ensure(options.machine.architecture())?;
//! let image = image::build_for(&host, options.machine, &options.stack, &[])?;
//! let run = boot::run(&host, &image, &options, &mut Silent)?;
//! println!("{:?}: {:?}", run.verdict, run.report);
//! # Ok(())
//! # }
//! ```

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::console::{Console, ConsoleSink};
use crate::environment;
use crate::error::Error;
use crate::fetch::cache::digest;
use crate::guests::{GuestFiles, files as guest_files};
pub use crate::image::ImageFormat;
use crate::image::{self, BuiltImage};
use crate::keyboard::Keyboard;
use crate::machine::Description;
use crate::payload_place::PayloadPlace;
use crate::qemu::{self, Ending, Files, Finished};
use crate::report::Report;
use crate::setup::Host;
use crate::verdict::Verdict;
use heard::Heard;
pub use options::BootOptions;
pub(crate) use payload::Payload;

mod guests;
mod heard;
mod options;
mod payload;

/// How long firmware may take to write what it was called for, when nothing else happens.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long one may take that waits for a person: longer than anybody does.
const CONVERSATION_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a boot came to.
#[derive(Clone, Debug)]
pub struct BootRun {
    /// How it went.
    pub verdict: Verdict,
    /// What the image reported; `None` if it never began.
    pub report: Option<Report>,
    /// The text on the console.
    pub console: Console,
    /// QEMU's own messages.
    pub qemu_messages: String,
    /// QEMU and its arguments, as a shell takes them.
    pub command_line: String,
    /// How long QEMU ran.
    pub duration: Duration,
}

/// Boots `image` and judges how it went. The console's text goes to `sink` as it comes.
///
/// # Errors
/// An [`Error`] if the machine could not be started as asked; what goes wrong on a machine that runs is in the verdict.
pub fn run(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    run_with(host, image, options, None, sink)
}

/// The same, with what comes from `keyboard` typed at the console. Without [`BootOptions::timeout`] it may take any time. The kernel
/// takes commands if its command line says `reveille.console=1`.
///
/// # Errors
/// Those of [`run`].
pub fn converse(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    keyboard: Keyboard,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    run_with(host, image, options, Some(keyboard), sink)
}

fn run_with(
    host: &Host,
    image: &BuiltImage,
    options: &BootOptions,
    keyboard: Option<Keyboard>,
    sink: &mut dyn ConsoleSink,
) -> Result<BootRun, Error> {
    options.check()?;
    let folder = tempfile::tempdir().map_err(|source| Error::FirmwareLog { source })?;
    let files = files_for(host, options, image, folder.path())?;
    let arguments = qemu::arguments(options, image, &files);
    let command_line = shell_line(&host.qemu.to_string_lossy(), &arguments);
    let mut heard = Heard::new(sink, options.ready.as_ref());
    let start = Instant::now();
    let mut limit = options.limit();
    let finished = match keyboard {
        Some(keyboard) => {
            limit = options.timeout.unwrap_or(CONVERSATION_LIMIT);
            qemu::converse(&host.qemu, &arguments, limit, keyboard, |line| heard.take(line))?
        }
        None => qemu::run_until(&host.qemu, &arguments, limit, |line| {
            heard.take(line);
            if heard.is_ready() {
                // What firmware has not written yet, it writes within this time.
                std::thread::sleep(LAST_WORDS);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?,
    };
    let duration = start.elapsed();
    if heard.is_silent() {
        refused(&finished)?;
    }
    let firmware_log = files.firmware_log.as_deref();
    let (verdict, report, console) = heard.conclude(options, image, &finished, limit, firmware_log);
    Ok(BootRun { verdict, report, console, qemu_messages: finished.messages, command_line, duration })
}

/// The files to boot with: what was asked for, and what the machine needs, which is written beside the image. `folder` takes what
/// is for this run alone.
fn files_for(host: &Host, options: &BootOptions, image: &BuiltImage, folder: &Path) -> Result<Files, Error> {
    let machine = options.machine;
    // A boot loader puts guest 0 into memory and into the devicetree itself.
    let is_written = options.stack.has_hypervisor() && !options.stack.has_loader();
    let guests = is_written.then(|| guest_files(host, options, image, folder)).transpose()?;
    let GuestFiles { devicetree: with_guests, modules } = guests.unwrap_or_default();
    let beside = |name: String, bytes: &[u8]| {
        let path = image.flat.with_file_name(name);
        image::replace(&path, bytes).map(|()| path)
    };
    let devicetree = match (&options.devicetree, &machine.description) {
        _ if is_written => Some(with_guests),
        (Some(devicetree), _) => Some(devicetree.clone()),
        (None, Description::Devicetree(make)) => Some(beside(format!("{}.dtb", machine.name), &make())?),
        (None, Description::Qemu | Description::Firmware) => None,
    };
    let environment = match &machine.firmware {
        // Boots at the same time may have different ones, and a boot that failed can be repeated.
        Some(_) => {
            let environment = environment::of(&qemu::kernel_command_line(options))?;
            Some(beside(format!("{}-{}.env", machine.name, &digest(&environment)[..16]), &environment)?)
        }
        None => None,
    };
    let firmware_log = options.stack.has_firmware().then(|| folder.join("firmware.log"));
    let mut files = Files { devicetree, environment, firmware_log, modules, ..Files::default() };
    if image.loader.is_some() {
        let payload = Payload::of_stack(options, image);
        match options.payload.unwrap_or_default() {
            PayloadPlace::FwCfg => files.payload = payload.files(folder)?,
            PayloadPlace::Memory => files.archive = Some(payload.archive(folder)?),
        }
    }
    Ok(files)
}

/// Whether a QEMU that showed nothing never started its machine: then it exits with 1 and says why.
fn refused(finished: &Finished) -> Result<(), Error> {
    let complaint = finished.messages.lines().rfind(|line| line.starts_with("qemu") && !line.contains("warning:"));
    match (finished.ending, complaint) {
        (Ending::Exited(Some(1)), Some(complaint)) => {
            let message = complaint.split_once(": ").map_or(complaint, |(_, message)| message);
            Err(Error::QemuRefused { message: message.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A command line that a shell reads back as these words.
fn shell_line(program: &str, arguments: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./,=:+@".contains(&byte))
    };
    let quote = |word: &str| if plain(word) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    words.map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_quoted_for_the_shell() {
        let arguments = ["-append".to_owned(), "a b".to_owned(), "it's".to_owned(), String::new()];
        assert_eq!(shell_line("qemu", &arguments), r"qemu -append 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_qemu_that_never_started_is_told_from_a_machine_that_died() {
        let finished =
            |code, messages: &str| Finished { ending: Ending::Exited(Some(code)), messages: messages.into() };
        let refusal = "qemu-system-aarch64: warning: odd\nqemu-system-aarch64: unable to find CPU model 'x'\n";
        let error = refused(&finished(1, refusal)).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused to start: unable to find CPU model 'x'");
        assert!(refused(&finished(1, "qemu-system-aarch64: warning: odd\n")).is_ok());
        assert!(refused(&finished(1, "")).is_ok());
        assert!(refused(&finished(101, refusal)).is_ok());
    }
}
