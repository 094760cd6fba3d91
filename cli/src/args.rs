//! The command line, and how its errors become one sentence each. The arguments of the larger subcommands are in files of their own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use bench::BenchArguments;
pub use boot::{BootArguments, BootCommand};
pub use soak::SoakArguments;
pub use torture::TortureArguments;

mod bench;
mod boot;
mod simulation;
mod soak;
mod torture;

/// Boots SMP stacks on QEMU and shows their CPUs coming up.
///
/// Without a subcommand: boot --tree, with 4 CPUs.
#[derive(Debug, Parser)]
#[command(name = "reveille", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Action>,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Boot the reference kernel and show its CPUs coming up
    Boot(BootCommand),
    /// Take CPUs down and bring them back, thousands of times, from all CPUs at once
    ///
    /// Meanwhile CPUs interrupt each other and work. Passes if every request came to what it asked for, every interrupt that was
    /// accepted was answered, every piece of work was done once, and all CPUs are there in the end; says how long the median and
    /// the slowest transition took.
    Soak(SoakArguments),
    /// Boot a kernel, anyone's, on firmware whose CPUs are dead, late or refused, and say what it makes of each
    ///
    /// Exits with 0 if it came up each time, whole or saying which CPUs it lacks; with 1 if it lost one silently, hung or crashed; and as
    /// boot does if it does not come up where nothing is wrong.
    Torture(TortureArguments),
    /// Show a saved report again
    Show(ShowArguments),
    /// Say what changed between two boots, from their saved reports
    ///
    /// Exits with 0 if every CPU and every proof came to the same, with 1 if not, and with 2 if a file is no report. Times, functions
    /// that were passed and the like are shown where they differ and make no difference to the exit code.
    Diff(DiffArguments),
    /// Measure the bring-up: instructions and time, beside what it could cost at the least
    Bench(BenchArguments),
    /// Check a board's devicetree: which CPUs would come up, and what is wrong with the others
    ///
    /// Without a file: that of the running machine. Exits with 0 if every CPU can come up, with 1 if something keeps one from it,
    /// and with 2 if a file is no devicetree.
    Inspect(InspectArguments),
    /// Say what the host has of what boots need, and what is missing
    ///
    /// Exits with 0 if nothing is missing that boots without --machine need, or those on the machine that is named; else with 3.
    Doctor(DoctorArguments),
}

/// Which views of a report are asked for, beside its summary.
#[derive(Debug, Args)]
pub struct ViewArguments {
    /// Show the call tree of each CPU
    #[arg(long)]
    pub tree: bool,
    /// Draw the bring-up in time, as SVG, to this file
    #[arg(long, value_name = "FILE.svg")]
    pub timeline: Option<PathBuf>,
    /// Write the trace for ui.perfetto.dev and chrome://tracing to this file
    #[arg(long, value_name = "FILE.json")]
    pub perfetto: Option<PathBuf>,
}

/// The arguments of `reveille show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The report that boot --report saved
    #[arg(value_name = "REPORT.json")]
    pub report: PathBuf,
    /// What to show of it.
    #[command(flatten)]
    pub views: ViewArguments,
}

/// The arguments of `reveille diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The report of the earlier boot
    #[arg(value_name = "A.json")]
    pub before: PathBuf,
    /// The report of the later boot
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
    /// Times that differ by less are not shown
    #[arg(long, default_value_t = 50, value_name = "PERCENT")]
    pub threshold: u32,
}

/// The arguments of `reveille inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The devicetrees, flattened [default: /sys/firmware/fdt]
    #[arg(value_name = "FILE.dtb")]
    pub files: Vec<PathBuf>,
    /// The id of the CPU that boots: the affinity fields of its MPIDR_EL1 [default: what the file says, else its first CPU]
    #[arg(long, value_name = "ID", value_parser = hw_id)]
    pub boot_cpu: Option<u64>,
    /// Print the result as JSON (docs/inspect.schema.json)
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `reveille doctor`.
#[derive(Debug, Default, Args)]
pub struct DoctorArguments {
    /// Only what boots on this machine need [default: what each needs]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}

/// Why there is nothing to do with a command line: what to print, and whether it was asked for (`--help`, `--version`).
#[derive(Debug)]
pub struct NoAction {
    /// The text.
    pub text: String,
    /// It is help that was asked for, not an error.
    pub asked_for: bool,
}

impl Arguments {
    /// Reads a command line.
    ///
    /// # Errors
    /// [`NoAction`].
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, NoAction> {
        Self::try_parse_from(words).map_err(|error| {
            let asked_for = !error.use_stderr();
            let text = if asked_for { error.render().ansi().to_string() } else { one_sentence(&error.to_string()) };
            NoAction { text, asked_for }
        })
    }

    /// The action, where none is named the one that shows most.
    #[must_use]
    pub fn action(self) -> Action {
        self.command.unwrap_or_else(|| {
            let words = ["reveille", "boot", "--tree"].map(OsString::from);
            Self::read(words)
                .ok()
                .and_then(|arguments| arguments.command)
                .unwrap_or(Action::Doctor(DoctorArguments::default()))
        })
    }
}

/// A time in seconds, with or without a fraction. More than a week is a slip of the finger.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    const LONGEST: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it is a number of seconds above 0, and at most a week"),
    }
}

/// A CPU's id, in hexadecimal with `0x`, or decimal.
fn hw_id(text: &str) -> Result<u64, &'static str> {
    let id = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    id.map_err(|_| "it is a number, such as 0x100")
}

/// The complaint in one of clap's messages, without the usage, and with its tips in the same sentence.
fn one_sentence(message: &str) -> String {
    let complaint = message.strip_prefix("error: ").unwrap_or(message);
    let end = complaint.find("\n\nUsage:").or_else(|| complaint.find("\n\nFor more information"));
    let complaint = complaint[..end.unwrap_or(complaint.len())].replace("\n\n  tip: ", "; ").replace("\n  tip: ", "; ");
    let words: Vec<&str> = complaint.split_whitespace().collect();
    format!("{} (see reveille --help)", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::BootOptions;

    pub(super) fn read(line: &str) -> Result<Action, NoAction> {
        Arguments::read(line.split(' ').map(OsString::from)).map(Arguments::action)
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_four_cpus_boot_and_show_their_tree() {
        let Ok(Action::Boot(arguments)) = read("reveille") else { panic!("no boot") };
        assert!(arguments.boot.views.tree);
        assert_eq!(arguments.boot.options().unwrap(), BootOptions::default());
        assert_eq!(arguments.simulation().unwrap(), None, "nothing is simulated unasked");
    }

    #[test]
    fn a_tip_ends_the_sentence() {
        let refused = read("reveille boot --hand-ovr off").unwrap_err().text;
        let expected = "unexpected argument '--hand-ovr' found; a similar argument exists: '--hand-over'";
        assert!(refused.starts_with(expected), "{refused}");
    }

    #[test]
    fn bad_values_are_refused_in_one_line() {
        for line in [
            "--cpus many",
            "--cpus -1",
            "--cpus 4294967296",
            "--policy 0",
            "--policy fast",
            "--timeout 0",
            "--timeout -1",
            "--timeout nan",
            "--timeout inf",
            "--deadline 1e300",
            "--el 3",
            "--gic 1",
            "--format srec",
            "--frobnicate",
        ] {
            let refused = read(&format!("reveille boot {line}")).expect_err(line);
            assert!(!refused.asked_for, "{line}");
            assert_eq!(refused.text.lines().count(), 1, "{}", refused.text);
            assert!(!refused.text.contains("Usage"), "{}", refused.text);
        }
    }

    #[test]
    fn help_is_no_error() {
        assert!(read("reveille --help").is_err_and(|help| help.asked_for && help.text.contains("doctor")));
    }
}
