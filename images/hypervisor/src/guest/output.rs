//! What guests print, on the machine's one console. Guest 0 prints as it goes; others line by line, so that two that print at once can
//! be read. Once there is more than one guest, lines say whose they are.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use reveille_runtime::lock::IrqLock;
use reveille_runtime::{console, print};

/// The longest line that is kept.
const LONGEST_LINE: usize = 512;

/// Whether lines say whose they are.
static NAMED: AtomicBool = AtomicBool::new(false);

struct Output {
    /// Guest 0 is in the middle of a line.
    in_line: bool,
    /// It was, and another guest's line has ended its.
    interrupted: bool,
    /// The lines that the other guests have begun, by number.
    lines: Vec<Vec<u8>>,
}

static OUTPUT: IrqLock<Output> = IrqLock::new(Output { in_line: false, interrupted: false, lines: Vec::new() });

/// From here on lines say whose they are.
pub fn name_lines() {
    NAMED.store(true, Ordering::Relaxed);
}

/// A guest prints `byte`.
pub fn print(guest: usize, byte: u8) {
    let mut output = OUTPUT.lock();
    match byte {
        b'\r' => {}
        byte if guest == 0 => output.print_at_once(byte),
        b'\n' => output.end_line(guest),
        byte => {
            let line = output.line(guest);
            line.push(byte);
            if line.len() >= LONGEST_LINE {
                output.end_line(guest);
            }
        }
    }
}

/// A guest has ended: what it has not ended of a line is printed.
pub fn finish(guest: usize) {
    let mut output = OUTPUT.lock();
    if guest == 0 {
        if output.in_line {
            output.print_at_once(b'\n');
        }
    } else if !output.line(guest).is_empty() {
        output.end_line(guest);
    }
}

impl Output {
    fn print_at_once(&mut self, byte: u8) {
        if core::mem::take(&mut self.interrupted) && byte == b'\n' {
            return;
        }
        if !self.in_line && NAMED.load(Ordering::Relaxed) {
            print!("(d0) ");
        }
        self.in_line = byte != b'\n';
        if byte == b'\n' {
            print!("\n");
        } else {
            console::print_bytes(&[byte]);
        }
    }

    fn line(&mut self, guest: usize) -> &mut Vec<u8> {
        if self.lines.len() <= guest {
            self.lines.resize(guest + 1, Vec::new());
        }
        &mut self.lines[guest]
    }

    fn end_line(&mut self, guest: usize) {
        if core::mem::take(&mut self.in_line) {
            self.interrupted = true;
            print!("\n");
        }
        let line = core::mem::take(self.line(guest));
        print!("(d{guest}) ");
        console::print_bytes(&line);
        print!("\n");
    }
}
