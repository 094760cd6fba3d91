//! The rows, in an order in which what one leaves behind is what the next begins with: all CPUs but the boot CPU are off, but for those
//! that the last rows spend.

mod functions;
mod hostile;
mod life;
mod starting;

use alloc::format;
use alloc::string::String;

use reveille_runtime::report;

use crate::caller::Machine;

/// What a row came to: what was seen, or what was seen instead.
type Verdict = Result<String, String>;
type Row = (&'static str, fn(&Machine) -> Verdict);

/// Runs all rows, or what hostile callers try, and tells of each. Whether all hold.
pub fn run(machine: &Machine, cycles: u32, hostile: bool) -> bool {
    let mut all = true;
    let mut tell = |name: &str, verdict: Verdict| {
        all &= verdict.is_ok();
        let detail = verdict.as_ref().unwrap_or_else(|detail| detail);
        report::proof(name, verdict.is_ok(), detail);
    };
    if hostile {
        hostile::ROWS.iter().for_each(|(name, row)| tell(name, row(machine)));
        return all;
    }
    for (name, row) in functions::ROWS.iter().chain(starting::ROWS) {
        tell(name, row(machine));
    }
    tell("row_28_off_and_on", life::cycles(machine, cycles));
    for (name, row) in life::ROWS {
        tell(name, row(machine));
    }
    all
}

/// Holds a call's answer against the codes that are allowed.
fn answers(what: &str, answer: i64, allowed: &[i64]) -> Verdict {
    if allowed.contains(&answer) {
        Ok(format!("{what}: {answer}"))
    } else {
        Err(format!("{what} answers {answer}, not {}", allowed[0]))
    }
}

/// The last of several verdicts, or the first that fails.
fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().try_fold(String::new(), |_, verdict| verdict)
}
