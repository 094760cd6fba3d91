//! Opens a devicetree that came from somewhere else, checking what reading it relies on and no more.
//!
//! [`Fdt::new`] also refuses names of more than 31 characters, as the specification does. Six in ten of the boards that Linux
//! supports have such names, and its readers take them.

use core::ffi::CStr;

use dtoolkit::fdt::Fdt;

/// The bytes of the header.
const HEADER: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// The version of the format that is read.
const VERSION: u32 = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Why bytes are no devicetree that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FdtError {
    /// They do not begin like one.
    #[error("it does not begin with the magic number 0xd00dfeed")]
    Magic,
    /// It was cut, or its header says a wrong size.
    #[error("it says {said} bytes and has {present}")]
    Size {
        /// What its header says.
        said: usize,
        /// How many bytes there are.
        present: usize,
    },
    /// Its version cannot be read.
    #[error("it is of version {0} of the format, and version 17 can be read")]
    Version(u32),
    /// What its header points to, or a part of the structure, is damaged.
    #[error("it is damaged at byte {0}")]
    Damaged(usize),
}

/// Opens the devicetree at the start of `data`; what follows it is ignored. Whatever the tree says, reading it does not panic.
///
/// # Errors
/// [`FdtError`].
pub fn open_fdt(data: &[u8]) -> Result<Fdt<'_>, FdtError> {
    if cell(data, 0) != Ok(MAGIC) {
        return Err(FdtError::Magic);
    }
    let said = offset(data, 4)?;
    let size = FdtError::Size { said, present: data.len() };
    let data = data.get(..said).filter(|data| data.len() >= HEADER).ok_or(size)?;
    let (version, last_compatible) = (cell(data, 20)?, cell(data, 24)?);
    if version < VERSION || last_compatible > VERSION {
        return Err(FdtError::Version(version));
    }
    check_reservations(data, offset(data, 16)?)?;
    let strings = offset(data, 12)?;
    let strings = data.get(strings..).and_then(|block| block.get(..offset(data, 32).ok()?));
    check_structure(data, offset(data, 8)?, strings.ok_or(FdtError::Damaged(12))?)?;
    Ok(Fdt::new_unchecked(data))
}

fn cell(data: &[u8], at: usize) -> Result<u32, FdtError> {
    let cell = data.get(at..).and_then(<[u8]>::first_chunk).ok_or(FdtError::Damaged(at))?;
    Ok(u32::from_be_bytes(*cell))
}

fn offset(data: &[u8], at: usize) -> Result<usize, FdtError> {
    Ok(cell(data, at)? as usize)
}

/// The list of reserved memory has an end.
fn check_reservations(data: &[u8], start: usize) -> Result<(), FdtError> {
    let block = data.get(start..).ok_or(FdtError::Damaged(16))?;
    let ends = block.chunks_exact(16).any(|reservation| reservation == [0; 16]);
    if ends { Ok(()) } else { Err(FdtError::Damaged(start)) }
}

/// Nodes begin and end, properties come before children, and names are strings.
fn check_structure(data: &[u8], start: usize, strings: &[u8]) -> Result<(), FdtError> {
    if !start.is_multiple_of(4) {
        return Err(FdtError::Damaged(8));
    }
    let (mut at, mut depth, mut in_properties) = (start, 0_usize, false);
    loop {
        let token = at;
        at += 4;
        match cell(data, token)? {
            BEGIN_NODE if depth > 0 || token == start => {
                let name = string(data, at).ok_or(FdtError::Damaged(token))?;
                at = (at + name.len() + 1).next_multiple_of(4);
                depth += 1;
                in_properties = true;
            }
            PROPERTY if in_properties => {
                let (length, name) = (offset(data, at)?, offset(data, at + 4)?);
                at += 8;
                if string(strings, name).is_none() || data.len() - at < length {
                    return Err(FdtError::Damaged(token));
                }
                at = (at + length).next_multiple_of(4);
            }
            END_NODE if depth > 0 => {
                depth -= 1;
                in_properties = false;
            }
            NOP if depth > 0 => {}
            END if depth == 0 && token > start => return Ok(()),
            _ => return Err(FdtError::Damaged(token)),
        }
    }
}

/// The string at `at`, if it ends within `block`.
fn string(block: &[u8], at: usize) -> Option<&str> {
    CStr::from_bytes_until_nul(block.get(at..)?).ok()?.to_str().ok()
}
