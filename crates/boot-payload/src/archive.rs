//! A cpio archive, as `cpio -o -H newc` writes it and Linux takes it for an initrd (Linux, `Documentation/driver-api/early-userspace`):
//! the files of a payload in one piece of memory. [`Archive::parse`] reads it whole, without an allocator; what it accepts is well-formed.
//!
//! Directories are passed over; symbolic links and devices are refused, and so are two files of one name. What stands behind the trailer is not read.

/// What every header begins with.
const MAGIC: &[u8] = b"070701";
/// The numbers behind it, each of eight hexadecimal digits.
const FIELDS: usize = 13;
const DIGITS: usize = 8;
const HEADER: usize = MAGIC.len() + FIELDS * DIGITS;
/// Where among them the type and permissions are, the size of the content, and that of the name, a zero included.
const MODE: usize = 1;
const FILE_SIZE: usize = 6;
const NAME_SIZE: usize = 11;
/// What of the mode says the type, and two of them.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
/// What headers and contents are aligned to, in bytes.
const ALIGNMENT: usize = 4;
/// The most entries that an archive may have: a payload has a handful.
const MAX_ENTRIES: usize = 64;
/// The name of the last entry, which is none.
const TRAILER: &str = "TRAILER!!!";

/// Why bytes are no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// They do not begin with a header.
    #[error("it is no cpio archive of the form newc")]
    NoArchive,
    /// What is at this offset is no entry.
    #[error("what it has at byte {0} is no entry of an archive")]
    Damaged(usize),
    /// There is no last entry.
    #[error("it ends before its trailer")]
    TooShort,
    /// The entry at this offset is neither a file nor a directory.
    #[error("its entry at byte {0} is no file")]
    NoFile(usize),
    /// It has more than 64 entries.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// The entry at this offset has a name that was there before.
    #[error("its entry at byte {0} has a name that it had before")]
    Twice(usize),
}

/// A file in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name, without `./` before it.
    pub name: &'a str,
    /// What is in it.
    pub content: &'a [u8],
}

/// An archive that was read.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a>(&'a [u8]);

/// An entry, as it stands there.
struct Entry<'a> {
    file: File<'a>,
    mode: u32,
    /// The offset behind it.
    end: usize,
}

impl<'a> Archive<'a> {
    /// Reads the archive that begins with `bytes`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ArchiveError::NoArchive);
        }
        let archive = Self(bytes);
        let mut offset = 0;
        for _ in 0..=MAX_ENTRIES {
            let entry = entry(bytes, offset)?;
            match entry.mode & TYPE {
                _ if entry.file.name == TRAILER => return Ok(archive),
                DIRECTORY => {}
                REGULAR if archive.files_before(offset).any(|file| file.name == entry.file.name) => {
                    return Err(ArchiveError::Twice(offset));
                }
                REGULAR => {}
                _ => return Err(ArchiveError::NoFile(offset)),
            }
            offset = entry.end;
        }
        Err(ArchiveError::TooMany)
    }

    /// The files, in their order.
    pub fn files(&self) -> impl Iterator<Item = File<'a>> + use<'a> {
        self.files_before(usize::MAX)
    }

    /// The file `name`, if there is one.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<File<'a>> {
        self.files().find(|file| file.name == name)
    }

    /// The files whose entries begin before the byte `end`.
    fn files_before(&self, end: usize) -> impl Iterator<Item = File<'a>> + use<'a> {
        let bytes = self.0;
        let mut offset = 0;
        let entries = core::iter::from_fn(move || {
            let entry = if offset < end { entry(bytes, offset).ok()? } else { return None };
            offset = entry.end;
            Some(entry).filter(|entry| entry.file.name != TRAILER)
        });
        entries.filter(|entry| entry.mode & TYPE == REGULAR).map(|entry| entry.file)
    }
}

/// The entry at `offset`.
fn entry(bytes: &[u8], offset: usize) -> Result<Entry<'_>, ArchiveError> {
    let damaged = ArchiveError::Damaged(offset);
    let rest = bytes.get(offset..).ok_or(ArchiveError::TooShort)?;
    let header = rest.get(..HEADER).ok_or(ArchiveError::TooShort)?;
    if !header.starts_with(MAGIC) {
        return Err(damaged);
    }
    let field = |place: usize| {
        let mut digits = header[MAGIC.len() + place * DIGITS..][..DIGITS].iter();
        digits.try_fold(0, |number, &digit| Some(number << 4 | (digit as char).to_digit(16)?)).ok_or(damaged)
    };
    let [mode, file_size, name_size] = [field(MODE)?, field(FILE_SIZE)?, field(NAME_SIZE)?];
    // Each of them has 32 bits, and an address has more where it matters.
    let aligned = |end: usize| end.checked_next_multiple_of(ALIGNMENT).ok_or(ArchiveError::TooShort);
    let part = |start: usize, size: u32| {
        let end = start.checked_add(size as usize).ok_or(ArchiveError::TooShort)?;
        rest.get(start..end).map(|part| (part, end)).ok_or(ArchiveError::TooShort)
    };
    let (name, name_end) = part(HEADER, name_size)?;
    let (&zero, name) = name.split_last().ok_or(damaged)?;
    let name = core::str::from_utf8(name).ok().filter(|name| zero == 0 && !name.is_empty() && !name.contains('\0'));
    let name = name.ok_or(damaged)?;
    let (content, end) = part(aligned(name_end)?, file_size)?;
    let end = offset.checked_add(aligned(end)?).ok_or(ArchiveError::TooShort)?;
    Ok(Entry { file: File { name: name.strip_prefix("./").unwrap_or(name), content }, mode, end })
}
