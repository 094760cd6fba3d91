//! Bytes on their way to the guest.

use core::fmt;

/// How many bytes wait for a guest at most, those in its FIFO included.
pub const INPUT_QUEUE: usize = 256;

/// The guest has not read what was typed before: this byte has to wait outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the guest has not read its input yet")
    }
}

impl core::error::Error for Full {}

/// A ring of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    bytes: [u8; INPUT_QUEUE],
    first: usize,
    length: usize,
}

impl Queue {
    pub const fn new() -> Self {
        Self { bytes: [0; INPUT_QUEUE], first: 0, length: 0 }
    }

    pub const fn len(&self) -> usize {
        self.length
    }

    pub fn push(&mut self, byte: u8) -> Result<(), Full> {
        if self.length == INPUT_QUEUE {
            return Err(Full);
        }
        self.bytes[(self.first + self.length) % INPUT_QUEUE] = byte;
        self.length += 1;
        Ok(())
    }

    pub fn pop(&mut self) -> Option<u8> {
        self.length = self.length.checked_sub(1)?;
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % INPUT_QUEUE;
        Some(byte)
    }
}
