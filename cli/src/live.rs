//! Shows how far a boot is while it runs: on a terminal a view that follows the console's text and is gone when the run is over.
//! Elsewhere, in pipes and under CI, only the console's text is printed.
//!
//! [`progress`] knows how far the boot is, this module draws it. Between the first kick and the last arrival an image says
//! nothing, so that its figures are honest; what became of each CPU fills in when the records come.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reveille_trace_format::{PROMPT, Record};

use crate::console::ConsoleSink;
use progress::Progress;

pub mod progress;

/// How often the clock of the view moves. More often would take time from the machine that is watched.
const TICK: Duration = Duration::from_millis(200);
/// The width of the view where the terminal does not tell its own.
const WIDTH: usize = 80;

/// Prints the console's text, with the view below it.
pub struct Live<P: FnMut(&str)> {
    bar: ProgressBar,
    progress: Progress,
    print: P,
    width: usize,
}

impl<P: FnMut(&str)> Live<P> {
    /// A view on the standard error output, if that and the standard output are terminals on which one can draw. `print` prints
    /// a line of the console.
    #[must_use]
    pub fn new(print: P) -> Self {
        let terminals = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if terminals && !dumb && !is_set("CI") {
            let width = terminal_size::terminal_size_of(std::io::stderr());
            let width = width.map_or(WIDTH, |(width, _)| usize::from(width.0));
            Self::on(ProgressDrawTarget::stderr_with_hz(10), width, print)
        } else {
            Self::on(ProgressDrawTarget::hidden(), WIDTH, print)
        }
    }

    /// A view of that width.
    fn on(target: ProgressDrawTarget, width: usize, print: P) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let live = Self { bar, progress: Progress::default(), print, width };
        if !live.bar.is_hidden() {
            live.bar.enable_steady_tick(TICK);
            live.show();
        }
        live
    }

    fn show(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_message(self.progress.draw(self.width));
        }
    }
}

impl<P: FnMut(&str)> ConsoleSink for Live<P> {
    fn text(&mut self, line: &str) {
        self.progress.text(line);
        self.bar.suspend(|| (self.print)(line));
        self.show();
    }

    fn record(&mut self, record: &Record<String>) {
        self.progress.record(record);
        self.show();
    }
}

impl<P: FnMut(&str)> Drop for Live<P> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Prints the console's text and its prompts as they come, and nothing else: for a machine that is talked to.
pub struct Plain<P: FnMut(&str)> {
    print: P,
}

impl<P: FnMut(&str)> Plain<P> {
    /// `print` prints text as it stands.
    pub const fn new(print: P) -> Self {
        Self { print }
    }
}

impl<P: FnMut(&str)> ConsoleSink for Plain<P> {
    fn text(&mut self, line: &str) {
        (self.print)(&format!("{line}\n"));
    }

    fn prompt(&mut self) {
        (self.print)(PROMPT);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use indicatif::{InMemoryTerm, TermLike};
    use reveille_trace_format::Outcome;

    use super::*;

    fn cpu(index: u32, outcome: Outcome) -> Record<String> {
        Record::Cpu {
            index,
            hw_id: u64::from(index),
            possible: true,
            present: true,
            online: true,
            active: true,
            outcome,
            reason: None,
            lost_events: 0,
        }
    }

    #[test]
    fn the_view_follows_the_text_and_leaves_nothing_behind() {
        let terminal = InMemoryTerm::new(24, 80);
        let print = |line: &str| terminal.write_line(line).unwrap();
        let mut live = Live::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())), 80, print);
        assert!(terminal.contents().contains("QEMU starts"), "{}", terminal.contents());
        live.text("Bringing up secondary CPUs: 4 present, parallel");
        live.bar.force_draw();
        let shown = terminal.contents();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "Bringing up secondary CPUs: 4 present, parallel");
        assert!(lines[1].contains("CPUs come up"), "{shown}");
        live.record(&cpu(0, Outcome::Online));
        live.record(&cpu(1, Outcome::TimedOut));
        live.bar.force_draw();
        assert!(terminal.contents().contains("●✕"), "{}", terminal.contents());
        drop(live);
        assert_eq!(terminal.contents(), "Bringing up secondary CPUs: 4 present, parallel");
    }

    #[test]
    fn without_a_terminal_only_the_text_is_printed() {
        let lines = RefCell::new(Vec::new());
        let mut live =
            Live::on(ProgressDrawTarget::hidden(), 80, |line: &str| lines.borrow_mut().push(line.to_owned()));
        live.text("one");
        live.record(&cpu(0, Outcome::Online));
        live.text("two");
        drop(live);
        assert_eq!(lines.into_inner(), ["one", "two"]);
    }
}
