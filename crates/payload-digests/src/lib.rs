//! SHA-256 digests of a boot loader's payload, chunk by chunk.
//!
//! The payload has named parts (`kernel`, `initrd`). Their digests are one text, which [`Digests::parse`] reads without an
//! allocator and `write` makes:
//!
//! ```text
//! digests 1 chunk 1048576
//! part kernel 1600000
//! 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
//! 2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90
//! part initrd 3
//! ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
//! ```
//!
//! Behind a part's name stands its size in bytes, then the digest of each chunk; the last one may be shorter. Each chunk is checked by
//! itself ([`Part::check`]), in any order, by whatever CPU has time; what does not check is named ([`Mismatch`]).

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;

#[cfg(feature = "write")]
mod write;

use sha2::{Digest, Sha256};
#[cfg(feature = "write")]
pub use write::write;

/// The length of a digest in hexadecimal digits.
const DIGITS: usize = 64;

/// Why a text is not one of digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Its first line is not `digests 1 chunk SIZE`, with a size that is not 0.
    #[error("it does not begin with `digests 1 chunk SIZE`")]
    Header,
    /// This line, counted from 1, is not what the format has there.
    #[error("line {0} is neither a part nor a digest that is still missing")]
    Line(usize),
    /// A part has fewer digests than chunks.
    #[error("the last part has too few digests")]
    TooShort,
}

/// A chunk is not what it was when the digests were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The part has another size.
    #[error("it has {0} bytes, and should have {1}")]
    Size(usize, usize),
    /// This chunk of the part, counted from 0, has another digest.
    #[error("chunk {0} has another digest")]
    Chunk(usize),
}

/// The digests of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Digests<'a> {
    chunk: usize,
    text: &'a str,
}

impl<'a> Digests<'a> {
    /// Reads `text`, whole: what this accepts is well-formed.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let (first, rest) = text.split_once('\n').ok_or(ParseError::Header)?;
        let chunk = first.strip_prefix("digests 1 chunk ").and_then(number).filter(|&size| size != 0);
        let chunk = chunk.ok_or(ParseError::Header)?;
        let mut missing = 0;
        for (place, line) in rest.lines().enumerate() {
            missing = match part_line(line) {
                Some((_, size)) if missing == 0 => size.div_ceil(chunk),
                None if missing > 0 && digest(line).is_some() => missing - 1,
                _ => return Err(ParseError::Line(place + 2)),
            };
        }
        if missing == 0 { Ok(Self { chunk, text: rest }) } else { Err(ParseError::TooShort) }
    }

    /// The size of every chunk but the last of a part, in bytes.
    #[must_use]
    pub fn chunk_size(&self) -> usize {
        self.chunk
    }

    /// The parts, in the order of the text.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let (chunk, text) = (self.chunk, self.text);
        let mut offset = 0;
        core::iter::from_fn(move || {
            loop {
                let rest = text.get(offset..).filter(|rest| !rest.is_empty())?;
                let line = rest.split_inclusive('\n').next()?;
                offset += line.len();
                if let Some((name, size)) = part_line(line.trim_end()) {
                    return Some(Part { name, size, chunk, digests: &text[offset..] });
                }
            }
        })
    }

    /// The part `name`, if it is named.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<Part<'a>> {
        self.parts().find(|part| part.name == name)
    }
}

/// A part of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: usize,
    chunk: usize,
    /// The text behind its name: its digests, and all that follows.
    digests: &'a str,
}

impl Part<'_> {
    /// How many chunks it has.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.size.div_ceil(self.chunk)
    }

    /// Checks that the part has `size` bytes.
    ///
    /// # Errors
    /// [`Mismatch::Size`].
    pub fn check_size(&self, size: usize) -> Result<(), Mismatch> {
        if size == self.size { Ok(()) } else { Err(Mismatch::Size(size, self.size)) }
    }

    /// Checks the chunk `place`, counted from 0, of the part's content, `bytes`.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn check(&self, place: usize, bytes: &[u8]) -> Result<(), Mismatch> {
        self.check_size(bytes.len())?;
        let mismatch = Mismatch::Chunk(place);
        let content = bytes.chunks(self.chunk).nth(place).ok_or(mismatch)?;
        // Every line here is as long as the other.
        let line = self.digests.get(place * (DIGITS + 1)..).and_then(|rest| rest.get(..DIGITS));
        let expected = line.and_then(digest).ok_or(mismatch)?;
        if Sha256::digest(content).as_slice() == expected { Ok(()) } else { Err(mismatch) }
    }
}

fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?.parse().ok()
}

/// The name and the size in a line that begins a part.
fn part_line(line: &str) -> Option<(&str, usize)> {
    let (name, size) = line.strip_prefix("part ")?.split_once(' ')?;
    Some((name, number(size)?)).filter(|_| !name.is_empty())
}

fn digest(line: &str) -> Option<[u8; DIGITS / 2]> {
    let mut digest = [0; DIGITS / 2];
    if line.len() != DIGITS {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(line.as_bytes().chunks(2)) {
        let digit = |place: usize| (digits[place] as char).to_digit(16).map(|digit| digit as u8);
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(digest)
}
