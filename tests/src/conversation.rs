//! A conversation with a machine whose console has no prompts that are known: each line is typed when the one before it was answered.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};

use reveille_cli::boot::{self, BootOptions};
use reveille_cli::console::ConsoleSink;
use reveille_cli::image::BuiltImage;
use reveille_cli::keyboard::{Keyboard, SWITCH};

use crate::{Booted, Stand, patience};

/// What switches the hypervisor's input to the next guest.
#[must_use]
pub fn switch() -> String {
    [SWITCH; 3].iter().collect()
}

/// What is heard, parts of lines, and what is typed then: a line, or nothing. `…` in a part stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    hears: Vec<String>,
    types: Option<String>,
}

impl Turn {
    /// Types `types` after `hears`.
    pub fn new(hears: impl Into<String>, types: impl Into<String>) -> Self {
        Self { hears: vec![hears.into()], types: Some(types.into()) }
    }

    /// Types `types` after all of `hears`, in whatever order they come.
    pub fn after_all(hears: impl IntoIterator<Item = String>, types: impl Into<String>) -> Self {
        Self { hears: hears.into_iter().collect(), types: Some(types.into()) }
    }

    /// Only hears.
    pub fn hear(hears: impl Into<String>) -> Self {
        Self { hears: vec![hears.into()], types: None }
    }
}

/// Boots `image` and has all `turns` taken, in their order.
///
/// # Errors
/// The machine could not be started, or what was to be heard did not come.
pub fn converse(
    stand: &Stand,
    image: &BuiltImage,
    options: &BootOptions,
    turns: impl IntoIterator<Item = Turn>,
) -> Result<Booted, String> {
    let (sender, lines) = channel();
    let mut person = Person { turns: turns.into_iter().collect(), keyboard: Some(sender) };
    let keyboard = Keyboard::of(Typed { lines, pending: VecDeque::new() }).without_prompts();
    let options = BootOptions { timeout: Some(patience(options)), ..options.clone() };
    let run = boot::converse(stand.host(), image, &options, keyboard, &mut person);
    let booted = Booted(run.map_err(|error| error.to_string())?);
    let missing = person.turns.front().map(|turn| turn.hears.join(" and "));
    booted.expect(missing.is_none(), &format!("this was to be heard: {}", missing.unwrap_or_default()))?;
    Ok(booted)
}

struct Person {
    turns: VecDeque<Turn>,
    /// Until there is nothing more to type.
    keyboard: Option<Sender<String>>,
}

impl ConsoleSink for Person {
    fn text(&mut self, line: &str) {
        let Some(turn) = self.turns.front_mut() else { return };
        if let Some(heard) = turn.hears.iter().position(|part| is_in(part, line)) {
            turn.hears.remove(heard);
        }
        if !turn.hears.is_empty() {
            return;
        }
        let line = self.turns.pop_front().and_then(|turn| turn.types);
        if let Some((line, keyboard)) = line.zip(self.keyboard.as_ref()) {
            // The machine may have ended.
            let _ = keyboard.send(format!("{line}\n"));
        }
        if self.turns.iter().all(|turn| turn.types.is_none()) {
            self.keyboard = None;
        }
    }
}

/// Whether a line has all that stands between `…`, in that order.
fn is_in(part: &str, line: &str) -> bool {
    part.split('…').try_fold(line, |rest, part| rest.split_once(part).map(|(_, rest)| rest)).is_some()
}

/// What the keyboard reads.
struct Typed {
    lines: Receiver<String>,
    pending: VecDeque<u8>,
}

impl Read for Typed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.pending.is_empty()
            && let Ok(line) = self.lines.recv()
        {
            self.pending.extend(line.into_bytes());
        }
        self.pending.read(bytes)
    }
}
