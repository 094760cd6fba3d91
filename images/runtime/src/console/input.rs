//! What is typed at the console. The UART interrupts a CPU when something has come; where it has no interrupt that is known, it is
//! looked at now and then while somebody waits.

use alloc::string::String;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use reveille::CpuIndex;

use super::CONSOLE;
use crate::lock::IrqLock;
use crate::thread::{Completion, TimedOut};
use crate::{clock, devicetree, interrupt_controller, print};

/// How many bytes are kept until somebody reads them. What comes beyond is lost.
const CAPACITY: usize = 256;
/// The longest line, in bytes. What is typed beyond is not taken.
const LONGEST_LINE: usize = 256;
/// How often the UART is looked at without an interrupt.
const LOOK: Duration = Duration::from_millis(20);

/// What was received and not read yet, in a ring.
struct Received {
    bytes: [u8; CAPACITY],
    first: usize,
    count: usize,
}

impl Received {
    fn push(&mut self, byte: u8) {
        if self.count < CAPACITY {
            self.bytes[(self.first + self.count) % CAPACITY] = byte;
            self.count += 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        self.count = self.count.checked_sub(1)?;
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % CAPACITY;
        Some(byte)
    }
}

static RECEIVED: IrqLock<Received> = IrqLock::new(Received { bytes: [0; CAPACITY], first: 0, count: 0 });
static ARRIVED: Completion = Completion::new();
static HAS_INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Has the UART interrupt `cpu`, by this interrupt, when something is typed. The interrupt controller is initialised.
///
/// # Errors
/// Why it cannot; the console can be read all the same.
pub fn init_input(interrupt: devicetree::Interrupt, cpu: CpuIndex) -> Result<(), &'static str> {
    interrupt_controller::request(interrupt, cpu, interrupted)?;
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.0.enable_receive_interrupt();
        HAS_INTERRUPT.store(true, Ordering::Relaxed);
    }
    // What was typed before has had no interrupt.
    interrupted();
    Ok(())
}

/// The UART's interrupt handler.
fn interrupted() {
    receive();
    ARRIVED.complete();
}

/// Takes what the UART has received.
fn receive() {
    let mut console = CONSOLE.lock();
    let Some(console) = console.as_mut() else { return };
    let mut received = RECEIVED.lock();
    while let Some(byte) = console.0.receive() {
        received.push(byte);
    }
}

/// The next byte that was typed, if there is one.
#[must_use]
pub fn read_byte() -> Option<u8> {
    if !HAS_INTERRUPT.load(Ordering::Relaxed) {
        receive();
    }
    RECEIVED.lock().pop()
}

/// Waits for the next byte that is typed. One thread at a time.
///
/// # Errors
/// [`TimedOut`] if none has come when the counter reaches `deadline`.
pub fn wait_for_byte(deadline: u64) -> Result<u8, TimedOut> {
    loop {
        if let Some(byte) = read_byte() {
            return Ok(byte);
        }
        if HAS_INTERRUPT.load(Ordering::Relaxed) {
            ARRIVED.wait(deadline)?;
        } else {
            let look_again = clock::ticks_after(LOOK);
            let slept = ARRIVED.wait(look_again.min(deadline));
            if look_again >= deadline {
                slept?;
            }
        }
    }
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub struct Line(String);

/// What to do about a byte that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Show it.
    Echo(char),
    /// Take the last character back.
    Erase,
    /// Nothing.
    Nothing,
    /// The line is complete.
    End,
}

impl Line {
    /// What was typed of it and not taken back.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Takes the next byte. Characters that are not ASCII are passed over.
    pub fn take(&mut self, byte: u8) -> Typed {
        match byte {
            b'\r' | b'\n' => Typed::End,
            0x08 | 0x7f if self.0.pop().is_some() => Typed::Erase,
            b' '..=b'~' if self.0.len() < LONGEST_LINE => {
                self.0.push(char::from(byte));
                Typed::Echo(char::from(byte))
            }
            _ => Typed::Nothing,
        }
    }
}

/// Waits for a line, shows it as it is typed, and takes back what is erased. One thread at a time.
///
/// # Errors
/// [`TimedOut`] if the line is not complete when the counter reaches `deadline`; what was typed of it is lost.
pub fn read_line(deadline: u64) -> Result<String, TimedOut> {
    let mut line = Line::default();
    loop {
        match line.take(wait_for_byte(deadline)?) {
            Typed::Echo(character) => print!("{character}"),
            Typed::Erase => print!("\u{8} \u{8}"),
            Typed::Nothing => {}
            Typed::End => {
                print!("\n");
                return Ok(line.0);
            }
        }
    }
}
