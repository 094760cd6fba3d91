//! The few text styles that the command uses, each with one meaning. They reach terminals only: everything is printed with
//! `anstream`, which takes them out elsewhere and where `NO_COLOR` is set.

use anstyle::{AnsiColor, Style};

/// What went as it should.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// What matters less than its surroundings.
pub const FAINT: Style = Style::new().dimmed();
/// Headings.
pub const HEADING: Style = Style::new().bold();

/// `text` in `style`.
#[must_use]
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
