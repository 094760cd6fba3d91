//! What is typed at a machine's console while it runs: lines, each handed over when the machine prompts for it, so that its UART
//! need not keep what it has no time for; or, where nobody knows how the machine prompts, as it comes. [`crate::qemu`] has the other end.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use crate::console::Line;

/// What is typed when there is nothing more to type.
const LAST: &str = "exit";
/// What switches the input of a hypervisor from one guest to the next, typed three times (Ctrl-A). It has no line of its own.
pub const SWITCH: char = '\u{1}';
/// How many characters of a line are typed: images keep fewer than 256 that nobody has read yet.
const LONGEST_LINE: usize = 200;

/// Where lines come from.
#[derive(Debug)]
pub struct Keyboard {
    lines: Receiver<String>,
    /// Whoever types has seen the line before the machine shows it.
    is_terminal: bool,
    /// Lines are handed over as they come.
    waits_for_no_prompt: bool,
}

impl Keyboard {
    /// The standard input of this process, to its end.
    #[must_use]
    pub fn standard_input() -> Self {
        let is_terminal = io::stdin().is_terminal();
        // A thread that nobody waits for: it may be waiting for a person.
        Self::new(BufReader::new(io::stdin()), is_terminal)
    }

    /// What `input` holds.
    #[must_use]
    pub fn of(input: impl Read + Send + 'static) -> Self {
        Self::new(BufReader::new(input), false)
    }

    fn new(input: impl BufRead + Send + 'static, is_terminal: bool) -> Self {
        let (sender, lines) = sync_channel(16);
        std::thread::spawn(move || read(input, &sender));
        Self { lines, is_terminal, waits_for_no_prompt: false }
    }

    /// The same, with lines that are handed over as they come.
    #[must_use]
    pub fn without_prompts(self) -> Self {
        Self { waits_for_no_prompt: true, ..self }
    }
}

fn read(mut input: impl BufRead, sender: &SyncSender<String>) {
    let mut bytes = Vec::new();
    while let Ok(1..) = input.read_until(b'\n', &mut bytes) {
        let words: Vec<String> = String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect();
        if sender.send(words.join(" ").chars().take(LONGEST_LINE).collect()).is_err() {
            return;
        }
        bytes.clear();
    }
}

/// Types what comes from a [`Keyboard`] into a machine.
#[derive(Debug)]
pub(crate) struct Typist<W = ChildStdin> {
    keyboard: Keyboard,
    machine: W,
    turn: Turn,
    /// A line that the terminal has shown, and that the machine will show again.
    echo: Option<String>,
    /// There is nothing more to type.
    is_done: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The machine is at work.
    Machine,
    /// It has shown its prompt.
    Prompted,
    /// It has shown its prompt, and there was no line for it yet.
    Waiting,
}

impl<W: Write> Typist<W> {
    pub(crate) fn new(keyboard: Keyboard, machine: W) -> Self {
        Self { keyboard, machine, turn: Turn::Machine, echo: None, is_done: false }
    }

    /// Whether the machine waits for a line, or would take one.
    pub(crate) fn is_awaited(&self) -> bool {
        self.turn != Turn::Machine || (self.keyboard.waits_for_no_prompt && !self.is_done)
    }

    /// Takes note of a line of the machine's console: whether it is to be shown.
    pub(crate) fn hear(&mut self, line: &Line) -> bool {
        match line {
            Line::Prompt => self.turn = Turn::Prompted,
            Line::Text(text) => return self.echo.take_if(|echo| echo == text).is_none(),
            Line::Record(_) | Line::GuestRecord(..) => {}
        }
        true
    }

    /// Types the next line, if the machine waits for one and there is one.
    pub(crate) fn type_next(&mut self) {
        if !self.is_awaited() {
            return;
        }
        // One that was typed ahead stands above the prompt, and is shown behind it.
        let (line, was_shown) = match self.keyboard.lines.try_recv() {
            Ok(line) => (line, self.keyboard.is_terminal && self.turn == Turn::Waiting),
            Err(TryRecvError::Disconnected) if self.turn == Turn::Machine => {
                self.is_done = true;
                return;
            }
            Err(TryRecvError::Disconnected) => (LAST.to_owned(), false),
            Err(TryRecvError::Empty) => {
                if self.turn == Turn::Prompted {
                    self.turn = Turn::Waiting;
                }
                return;
            }
        };
        let is_switch = !line.is_empty() && line.chars().all(|character| character == SWITCH);
        let end = if is_switch { "" } else { "\n" };
        // A machine that ends meanwhile reads no more, and says why elsewhere.
        let _ = self.machine.write_all(format!("{line}{end}").as_bytes()).and_then(|()| self.machine.flush());
        self.echo = was_shown.then_some(line);
        self.turn = Turn::Machine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typist(is_terminal: bool) -> (SyncSender<String>, Typist<Vec<u8>>) {
        let (sender, lines) = sync_channel(16);
        (sender, Typist::new(Keyboard { lines, is_terminal, waits_for_no_prompt: false }, Vec::new()))
    }

    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn nothing_is_typed_before_a_prompt_and_one_line_after_each() {
        let (sender, mut typist) = typist(false);
        sender.send("one".into()).unwrap();
        sender.send("two".into()).unwrap();
        typist.type_next();
        assert_eq!(typist.machine, b"");
        assert!(typist.hear(&Line::Prompt));
        typist.type_next();
        typist.type_next();
        assert_eq!(typist.machine, b"one\n");
        typist.hear(&Line::Prompt);
        typist.type_next();
        assert_eq!(typist.machine, b"one\ntwo\n");
    }

    #[test]
    fn the_end_of_the_input_types_exit() {
        let (sender, mut typist) = typist(true);
        typist.hear(&Line::Prompt);
        typist.type_next();
        drop(sender);
        typist.type_next();
        assert_eq!(typist.machine, b"exit\n");
        assert!(typist.hear(&text("exit")), "nobody has seen it yet");
    }

    #[test]
    fn a_line_that_the_terminal_has_shown_is_not_shown_again() {
        let (sender, mut typist) = typist(true);
        typist.hear(&Line::Prompt);
        typist.type_next();
        sender.send("steps".into()).unwrap();
        typist.type_next();
        assert!(typist.hear(&text("something else")));
        assert!(!typist.hear(&text("steps")));
        assert!(typist.hear(&text("steps")), "only once");
    }

    #[test]
    fn a_line_that_was_typed_ahead_is_shown_behind_its_prompt() {
        let (sender, mut typist) = typist(true);
        sender.send("steps".into()).unwrap();
        typist.hear(&Line::Prompt);
        typist.type_next();
        assert!(typist.hear(&text("steps")));
    }

    #[test]
    fn what_a_pipe_brings_is_shown() {
        let (sender, mut typist) = typist(false);
        typist.hear(&Line::Prompt);
        typist.type_next();
        sender.send("steps".into()).unwrap();
        typist.type_next();
        assert!(typist.hear(&text("steps")));
    }

    #[test]
    fn without_prompts_lines_are_typed_as_they_come_and_the_end_of_the_input_types_nothing() {
        let (sender, mut typist) = typist(true);
        typist.keyboard = typist.keyboard.without_prompts();
        sender.send("one".into()).unwrap();
        assert!(typist.is_awaited());
        typist.type_next();
        typist.type_next();
        assert_eq!(typist.machine, b"one\n");
        assert!(typist.hear(&text("one")), "a shell shows it behind a prompt of its own");
        drop(sender);
        typist.type_next();
        assert_eq!(typist.machine, b"one\n");
        assert!(!typist.is_awaited());
        typist.hear(&Line::Prompt);
        typist.type_next();
        assert_eq!(typist.machine, b"one\nexit\n", "a machine that prompts waits for something");
    }

    #[test]
    fn what_switches_the_input_is_no_line() {
        let (sender, mut typist) = typist(false);
        typist.keyboard = typist.keyboard.without_prompts();
        sender.send("\u{1}\u{1}\u{1}".into()).unwrap();
        sender.send(String::new()).unwrap();
        typist.type_next();
        assert_eq!(typist.machine, b"\x01\x01\x01");
        typist.type_next();
        assert_eq!(typist.machine, b"\x01\x01\x01\n");
    }

    #[test]
    fn long_lines_are_cut_before_the_machine_loses_their_end() {
        let keyboard = Keyboard::of(std::io::Cursor::new(vec![b'x'; 1_000]));
        assert_eq!(keyboard.lines.recv().unwrap().len(), LONGEST_LINE);
        assert!(keyboard.lines.recv().is_err());
    }
}
