//! Says how far a bench is: on a terminal in one line that is gone at the end, elsewhere in a line now and then.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::setup::tell;

/// Where there is no terminal, how long to say nothing after a line.
const PAUSE: Duration = Duration::from_secs(10);

/// Hears what a bench does.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    said: Option<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        // On the standard error stream; hidden where that is no terminal.
        Self { bar: ProgressBar::new_spinner(), said: None }
    }
}

impl Progress {
    /// Says what is being done.
    pub fn say(&mut self, what: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(what.to_owned());
            self.bar.tick();
        } else if self.is_due(Instant::now()) {
            tell(what);
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= PAUSE);
        if due {
            self.said = Some(now);
        }
        due
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How long `rounds` take after `done` of them took `elapsed`, in words for the end of a sentence; nothing before the first.
#[must_use]
pub fn left(elapsed: Duration, done: u32, rounds: u32) -> String {
    if done == 0 {
        return String::new();
    }
    let seconds = (elapsed / done * rounds.saturating_sub(done)).as_secs_f64();
    if seconds < 90.0 {
        format!(", about {seconds:.0} s to go")
    } else {
        format!(", about {:.0} min to go", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_judged_by_the_rounds_that_are_done() {
        assert_eq!(left(Duration::ZERO, 0, 31), "");
        assert_eq!(left(Duration::from_secs(4), 2, 31), ", about 58 s to go");
        assert_eq!(left(Duration::from_secs(60), 1, 31), ", about 30 min to go");
        assert_eq!(left(Duration::from_secs(60), 31, 31), ", about 0 s to go");
    }

    #[test]
    fn a_log_is_not_filled_with_rounds() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        let due: Vec<u64> = (0..25).filter(|&second| progress.is_due(start + Duration::from_secs(second))).collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
