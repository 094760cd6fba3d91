//! Text in a picture: how wide it is, and where it breaks.

use unicode_width::UnicodeWidthChar;

pub use crate::report::read::clean;

/// The width of a character in a font of size 1. Monospaced fonts differ a little; this is the widest of the usual ones.
const CHARACTER: f64 = 0.62;

/// How wide `text` is.
#[must_use]
pub fn width(text: &str, size: f64) -> f64 {
    columns(text) as f64 * CHARACTER * size
}

/// How many characters of a font fit.
#[must_use]
pub fn fitting(width: f64, size: f64) -> usize {
    (width / (CHARACTER * size)).max(1.0) as usize
}

/// Breaks `text` into lines of at most `columns` columns, between words where it can.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for word in text.split(' ') {
        let length = self::columns(word);
        if taken > 0 && taken + 1 + length > columns {
            lines.push(String::new());
            taken = 0;
        } else if taken > 0 {
            push(&mut lines, ' ');
            taken += 1;
        }
        for character in word.chars() {
            let width = character.width().unwrap_or(0);
            if taken > 0 && taken + width > columns {
                lines.push(String::new());
                taken = 0;
            }
            push(&mut lines, character);
            taken += width;
        }
    }
    lines
}

fn push(lines: &mut [String], character: char) {
    if let Some(line) = lines.last_mut() {
        line.push(character);
    }
}

fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_break_anywhere() {
        assert_eq!(wrap("never arrived (firmware says ON)", 14), ["never arrived", "(firmware says", "ON)"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
    }

    #[test]
    fn nothing_is_lost_by_breaking() {
        let text = "arrived and got stuck in gic_starting_cpu (firmware says ON)";
        for columns in 1..80 {
            let lines = wrap(text, columns);
            assert!(lines.iter().all(|line| self::columns(line) <= columns), "{lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
