//! What guests print, on the machine's one console. A guest that is alone prints as it goes. Of several, each prints line by line, so that
//! they can be read, and lines say whose they are; what is not the end of a line comes when there has been nothing more for a while.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use reveille_runtime::arch::timer;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::{clock, console, print};

use super::call_log;

/// The longest line that is kept.
const LONGEST_LINE: usize = 512;
/// How long the beginning of a line is kept back.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Whether the guest that is alone is within a line, and when its last byte came.
static WITHIN_LINE: AtomicBool = AtomicBool::new(false);
static LAST_BYTE: AtomicU64 = AtomicU64::new(0);
/// Somebody waits for the end of that line.
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

struct Output {
    /// By the guest's number.
    lines: Vec<Line>,
    /// Whose line the console is in, if it is in one.
    open: Option<usize>,
}

static OUTPUT: IrqLock<Output> = IrqLock::new(Output { lines: Vec::new(), open: None });

/// From here on there are several guests.
pub fn expect_several() {
    SEVERAL.store(true, Ordering::Relaxed);
}

/// Whether there are.
pub fn are_several() -> bool {
    SEVERAL.load(Ordering::Relaxed)
}

/// A guest prints `byte`.
pub fn print(guest: usize, byte: u8) {
    if !are_several() {
        print_alone(byte);
        return;
    }
    let mut output = OUTPUT.lock();
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
    line.since = timer::ticks();
    if line.bytes.len() >= LONGEST_LINE {
        output.show(guest);
    }
}

/// The guest that is alone prints `byte`.
fn print_alone(byte: u8) {
    {
        // Nobody prints between lines while one begins.
        let _output = OUTPUT.lock();
        console::print_bytes(&[byte]);
        WITHIN_LINE.store(byte != b'\n', Ordering::Relaxed);
        LAST_BYTE.store(timer::ticks(), Ordering::Relaxed);
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
    output.end();
    let latest = LAST_BYTE.load(Ordering::Relaxed).saturating_add(clock::ticks_of(PATIENCE));
    if !anyway && WITHIN_LINE.load(Ordering::Relaxed) && timer::ticks() < latest {
        AWAITED.store(true, Ordering::Relaxed);
        return false;
    }
    tell();
    true
}

/// Prints what guests have begun and not gone on with.
pub fn show_begun() {
    let mut output = OUTPUT.lock();
    let latest = timer::ticks().saturating_sub(clock::ticks_after(PATIENCE).saturating_sub(timer::ticks()));
    for guest in 0..output.lines.len() {
        let line = output.line(guest);
        if !line.bytes.is_empty() && line.since <= latest {
            output.show(guest);
        }
    }
}

/// A guest has ended, and so has its line.
pub fn finish(guest: usize) {
    let mut output = OUTPUT.lock();
    if are_several() && !output.line(guest).bytes.is_empty() {
        output.show(guest);
    }
    output.end();
}

impl Output {
    fn line(&mut self, guest: usize) -> &mut Line {
        if self.lines.len() <= guest {
            self.lines.resize(guest + 1, Line::default());
        }
        &mut self.lines[guest]
    }

    /// Prints what there is of the guest's line, behind what was printed of it.
    fn show(&mut self, guest: usize) {
        if self.open != Some(guest) {
            self.end();
            print!("(d{guest}) ");
        }
        self.open = Some(guest);
        let bytes = core::mem::take(&mut self.line(guest).bytes);
        console::print_bytes(&bytes);
    }

    /// Ends the line that the console is in.
    fn end(&mut self) {
        if self.open.take().is_some() {
            print!("\n");
        }
    }
}
