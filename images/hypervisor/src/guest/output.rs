//! What guests print, and what the hypervisor says, on the machine's one console. A guest that is alone prints as it goes. Of several, each
//! prints line by line, so that they can be read, and lines say whose they are; what is not the end of a line comes when there has been
//! nothing more for a while. What the hypervisor says begins a line of its own, and so does what is typed for it.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use reveille_runtime::arch::timer;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::{clock, console, print};
use reveille_trace_format::PROMPT;

use super::call_log;

/// The longest line that is kept.
const LONGEST_LINE: usize = 512;
/// How long the beginning of a line is kept back, and how long the console is quiet before what was typed is shown again.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Somebody waits for the end of the line of the guest that is alone.
static AWAITED: AtomicBool = AtomicBool::new(false);
/// Whether there are several guests.
static SEVERAL: AtomicBool = AtomicBool::new(false);

/// A line that a guest has begun.
#[derive(Clone, Default)]
struct Line {
    /// What of it is not printed.
    bytes: Vec<u8>,
    /// The counter's value at which its last byte came.
    since: u64,
}

/// Whose line the console is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Guest(usize),
    /// It shows what is typed for the hypervisor.
    Command,
}

struct Output {
    /// By the guest's number.
    lines: Vec<Line>,
    /// Whose line the console is in, if it is in one.
    open: Option<Open>,
    /// The counter's value at which a guest printed last.
    since: u64,
}

static OUTPUT: IrqLock<Output> = IrqLock::new(Output { lines: Vec::new(), open: None, since: 0 });

/// From here on there are several guests.
pub fn expect_several() {
    SEVERAL.store(true, Ordering::Relaxed);
}

/// Whether there are.
pub fn are_several() -> bool {
    SEVERAL.load(Ordering::Relaxed)
}

/// The hypervisor says something: a line, or several.
pub fn say(line: fmt::Arguments<'_>) {
    let mut output = OUTPUT.lock();
    output.end();
    print!("{line}\n");
}

/// Shows `new`, which was typed for the hypervisor behind `before`: an erased character is one, too.
pub fn show_typed(before: &str, new: &str) {
    let mut output = OUTPUT.lock();
    if output.open != Some(Open::Command) {
        output.show_command(before);
    }
    print!("{new}");
}

/// The command is complete.
pub fn end_typed() {
    OUTPUT.lock().end();
}

/// A guest prints `byte`.
pub fn print(guest: usize, byte: u8) {
    if !are_several() {
        print_alone(guest, byte);
        return;
    }
    let since = timer::ticks();
    let mut output = OUTPUT.lock();
    output.since = since;
    let line = output.line(guest);
    match byte {
        b'\r' => return,
        b'\n' => {
            output.show(guest);
            output.end();
            return;
        }
        byte => line.bytes.push(byte),
    }
    line.since = since;
    if line.bytes.len() >= LONGEST_LINE {
        output.show(guest);
    }
}

/// The guest that is alone prints `byte`.
fn print_alone(guest: usize, byte: u8) {
    {
        let since = timer::ticks();
        let mut output = OUTPUT.lock();
        output.since = since;
        output.open(guest);
        console::print_bytes(&[byte]);
        if byte == b'\n' {
            output.open = None;
        }
    }
    if byte == b'\n' && AWAITED.load(Ordering::Relaxed) && AWAITED.swap(false, Ordering::Relaxed) {
        call_log::write_due();
    }
}

/// Has `tell` print what is not a guest's, between the lines of guests: at once, after the line of a guest that goes on with it, or within
/// that of one that does not go on; with `anyway`, wherever it is. Returns whether it did; if not, the end of the line has the call
/// logs written.
pub fn between_lines(anyway: bool, tell: impl FnOnce()) -> bool {
    let mut output = OUTPUT.lock();
    let is_within_line = !are_several() && matches!(output.open, Some(Open::Guest(_)));
    if !is_within_line {
        output.end();
    } else if !anyway && timer::ticks() < output.since.saturating_add(clock::ticks_of(PATIENCE)) {
        AWAITED.store(true, Ordering::Relaxed);
        return false;
    }
    tell();
    true
}

/// Prints what guests have begun and not gone on with, and shows again what is `typed` for the hypervisor, if it waits for a command, once
/// they are quiet.
pub fn show_begun(typed: Option<&str>) {
    let mut output = OUTPUT.lock();
    let latest = timer::ticks().saturating_sub(clock::ticks_after(PATIENCE).saturating_sub(timer::ticks()));
    for guest in 0..output.lines.len() {
        let line = output.line(guest);
        if !line.bytes.is_empty() && line.since <= latest {
            output.show(guest);
        }
    }
    if let Some(typed) = typed
        && output.open != Some(Open::Command)
        && output.since <= latest
    {
        output.show_command(typed);
    }
}

/// A guest has ended, and so has its line.
pub fn finish(guest: usize) {
    let mut output = OUTPUT.lock();
    if are_several() && !output.line(guest).bytes.is_empty() {
        output.show(guest);
    }
    if output.open == Some(Open::Guest(guest)) {
        output.end();
    }
}

impl Output {
    fn line(&mut self, guest: usize) -> &mut Line {
        if self.lines.len() <= guest {
            self.lines.resize(guest + 1, Line::default());
        }
        &mut self.lines[guest]
    }

    /// Has the console be in the guest's line: whether it was not before.
    fn open(&mut self, guest: usize) -> bool {
        let is_new = self.open != Some(Open::Guest(guest));
        if is_new {
            self.end();
        }
        self.open = Some(Open::Guest(guest));
        is_new
    }

    /// Prints what there is of the guest's line, behind what was printed of it.
    fn show(&mut self, guest: usize) {
        if self.open(guest) {
            print!("(d{guest}) ");
        }
        let bytes = core::mem::take(&mut self.line(guest).bytes);
        console::print_bytes(&bytes);
    }

    /// Shows what was typed for the hypervisor.
    fn show_command(&mut self, typed: &str) {
        self.end();
        self.open = Some(Open::Command);
        print!("{PROMPT}{typed}");
    }

    /// Ends the line that the console is in.
    fn end(&mut self) {
        if self.open.take().is_some() {
            print!("\n");
        }
    }
}
