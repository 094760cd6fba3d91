//! Takes a machine's console apart: lines of text for people, and the records of [`reveille_trace_format`] between them.

use std::collections::VecDeque;

use reveille_trace_format::{PROMPT, RECORD_SEPARATOR, Record, decode};

/// A line longer than this is handed on in pieces, so that a machine which never ends its line costs no memory.
const LONGEST_LINE: usize = 64 << 10;
/// How many bytes of text are kept; beyond, the oldest lines go.
const KEPT: usize = 16 << 20;

/// One line of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Text, without its end of line.
    Text(String),
    /// A record.
    Record(Record<String>),
    /// A record of the guest with this number, one of several: they have their lines marked so by the hypervisor.
    GuestRecord(u32, Record<String>),
    /// [`PROMPT`]: what is typed now goes on behind it.
    Prompt,
}

/// Gets a console's lines as they come.
pub trait ConsoleSink {
    /// A line of text.
    fn text(&mut self, line: &str);

    /// A record. Most have no use for it before the report is whole.
    fn record(&mut self, record: &Record<String>) {
        let _ = record;
    }

    /// The machine waits for a command.
    fn prompt(&mut self) {}
}

/// Shows nothing: for those who read the console of the finished run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl ConsoleSink for Silent {
    fn text(&mut self, _line: &str) {}
}

/// Cuts a stream of bytes into [`Line`]s.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    /// The mark in front of the record that is pending.
    mark: Option<u32>,
}

impl Splitter {
    /// Takes `bytes` and returns the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut lines);
            } else {
                // A record begins a line of its own, even in the middle of a text that another CPU was printing.
                if byte == RECORD_SEPARATOR as u8 && !self.pending.is_empty() {
                    match guest_of(&self.pending) {
                        Some((guest, b"")) => {
                            self.pending.clear();
                            self.mark = Some(guest);
                        }
                        _ => self.end_line(&mut lines),
                    }
                }
                self.pending.push(byte);
                if self.pending == PROMPT.as_bytes() {
                    self.pending.clear();
                    lines.push(Line::Prompt);
                }
                if self.pending.len() >= LONGEST_LINE {
                    self.end_line(&mut lines);
                }
            }
        }
        lines
    }

    /// The stream has ended: returns what had no end of line.
    pub fn finish(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        if !self.pending.is_empty() {
            self.end_line(&mut lines);
        }
        lines
    }

    fn end_line(&mut self, lines: &mut Vec<Line>) {
        let bytes = std::mem::take(&mut self.pending);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\r');
        lines.push(match (decode(text), self.mark.take()) {
            (Some(record), None) => Line::Record(record),
            (Some(record), Some(guest)) => Line::GuestRecord(guest, record),
            (None, mark) => {
                let mark = mark.map_or(String::new(), |guest| format!("(d{guest}) "));
                Line::Text(mark + text.trim_start_matches(RECORD_SEPARATOR))
            }
        });
    }
}

/// The guest of which a hypervisor of ours marks a line to be, where there are several, and what it says: `(d1) what it says`.
#[must_use]
pub fn guest_of(line: &[u8]) -> Option<(u32, &[u8])> {
    let line = line.strip_prefix(b"(d")?;
    let end = line.iter().position(|byte| *byte == b')')?;
    let number = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    Some((number, line[end + 1..].strip_prefix(b" ")?))
}

/// The text of a console, kept for whoever asks when the run is over.
#[derive(Clone, Debug, Default)]
pub struct Console {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Console {
    /// Adds a line.
    pub fn push(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > KEPT {
            self.bytes -= self.lines.pop_front().map_or(self.bytes, |line| line.len() + 1);
        }
    }

    /// Every line that was kept.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.lines.iter().map(String::as_str)
    }

    /// The last `count` lines.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines().skip(self.lines.len().saturating_sub(count))
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "\x1e{\"done\":{\"asked\":1,\"online\":1,\"prepare_ns\":0,\"bringup_ns\":0,\"passed\":true}}";

    fn text(line: &str) -> Line {
        Line::Text(line.into())
    }

    fn done() -> Line {
        Line::Record(Record::Done { asked: 1, online: 1, prepare_ns: 0, bringup_ns: 0, passed: true })
    }

    #[test]
    fn lines_survive_any_cut_of_the_stream() {
        let stream = format!("hello\r\n{DONE}\r\n\nworld");
        for size in 1..stream.len() {
            let mut splitter = Splitter::default();
            let mut lines: Vec<Line> = stream.as_bytes().chunks(size).flat_map(|bytes| splitter.push(bytes)).collect();
            lines.extend(splitter.finish());
            assert_eq!(lines, [text("hello"), done(), text(""), text("world")], "{size}");
        }
    }

    #[test]
    fn a_record_in_the_middle_of_a_text_line_is_read() {
        let lines = Splitter::default().push(format!("half a{DONE}\n line\n").as_bytes());
        assert_eq!(lines, [text("half a"), done(), text(" line")]);
    }

    #[test]
    fn a_record_of_one_of_several_guests_says_whose_it_is() {
        let Line::Record(record) = done() else { panic!() };
        let lines =
            Splitter::default().push(format!("(d1) {DONE}\n(d1) \n{DONE}\n(d12) \x1e{{\n(d1) a{DONE}\n").as_bytes());
        let expected = [Line::GuestRecord(1, record), text("(d1) "), done(), text("(d12) {"), text("(d1) a"), done()];
        assert_eq!(lines, expected);
        assert_eq!(guest_of(b"(d0) [ 0.1] x"), Some((0, &b"[ 0.1] x"[..])));
        for line in ["(d0)x", "(dx) x", "(d0", "d0) x"] {
            assert_eq!(guest_of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_prompt_is_seen_before_its_line_ends_and_only_at_the_beginning_of_one() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"ready\nreveille> "), [text("ready"), Line::Prompt]);
        assert_eq!(splitter.push(b"steps\r\nno reveille> \n"), [text("steps"), text("no reveille> ")]);
        assert_eq!(splitter.finish(), []);
    }

    #[test]
    fn what_a_dying_image_leaves_behind_is_text() {
        let mut splitter = Splitter::default();
        assert_eq!(
            splitter.push(b"\x1e{\"event\":{\"cpu\":1,\n\xff\xfe\n"),
            [text("{\"event\":{\"cpu\":1,"), text("\u{fffd}\u{fffd}")]
        );
        assert_eq!(splitter.push(b"\x1e{\"don"), []);
        assert_eq!(splitter.finish(), [text("{\"don")]);
        assert_eq!(splitter.finish(), []);
    }

    #[test]
    fn a_line_without_end_is_handed_on_in_pieces() {
        let lines = Splitter::default().push(&vec![b'x'; 3 * LONGEST_LINE + 1]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let mut console = Console::default();
        let long = "x".repeat(KEPT / 4);
        for _ in 0..8 {
            console.push(&long);
        }
        console.push("end");
        assert_eq!(console.lines().len(), 4);
        assert_eq!(console.last(1).collect::<Vec<_>>(), ["end"]);
        assert_eq!(console.last(100).count(), 4);
    }
}
