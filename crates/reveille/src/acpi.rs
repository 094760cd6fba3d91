//! ACPI tables as bytes: finding them ([`find_table`]) and whether they are sound ([`Table`]).
//!
//! Only what the start of CPUs needs. A kernel that has an ACPI library already hands the bytes of its tables to
//! [`Topology::read_madt`](crate::Topology::read_madt) and needs nothing of this. Offsets are those of the ACPI Specification 6.5.

/// The length of the header that all tables have (section 5.2.6), in bytes.
const HEADER: usize = 36;

/// Why bytes are not the table that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There are fewer bytes than a table of this kind has.
    #[error("the ACPI table is cut short")]
    Short,
    /// It is another table.
    #[error("the ACPI table has another signature")]
    Signature,
    /// Its bytes do not add up to 0.
    #[error("the checksum of the ACPI table is wrong")]
    Checksum,
    /// The root tables have no such table.
    #[error("there is no such ACPI table")]
    Missing,
}

/// A table that is as long as it says, and whose bytes add up to 0.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(&'a [u8]);

impl<'a> Table<'a> {
    /// The table at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8], signature: [u8; 4]) -> Result<Self, TableError> {
        let length = u32_at(bytes, 4).ok_or(TableError::Short)? as usize;
        if !bytes.starts_with(&signature) {
            return Err(TableError::Signature);
        }
        let table = bytes.get(..length).filter(|table| table.len() >= HEADER).ok_or(TableError::Short)?;
        if adds_up(table) { Ok(Self(table)) } else { Err(TableError::Checksum) }
    }

    /// All of it, from its signature on.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The revision of its layout.
    #[must_use]
    pub const fn revision(&self) -> u8 {
        self.0[8]
    }
}

/// The bytes from the table `signature` on, which the root tables name: where several bear that signature, the first.
///
/// `rsdp` is the Root System Description Pointer; `memory` gives what lies at a physical address, as far as it reaches. Whether the
/// table itself is sound is for its reader to say.
///
/// # Errors
/// What is wrong with the pointer or the root table, or [`TableError::Missing`].
pub fn find_table<'a>(
    rsdp: &[u8],
    signature: [u8; 4],
    memory: &dyn Fn(u64) -> Option<&'a [u8]>,
) -> Result<&'a [u8], TableError> {
    let root = Root::of(rsdp)?;
    let table = Table::parse(memory(root.address).ok_or(TableError::Missing)?, root.signature)?;
    let pointers = table.bytes()[HEADER..].chunks_exact(root.pointer);
    let addresses =
        pointers.map(|pointer| pointer.iter().rev().fold(0, |address, &byte| address << 8 | u64::from(byte)));
    let mut tables = addresses.filter_map(memory);
    tables.find(|table| table.starts_with(&signature)).ok_or(TableError::Missing)
}

/// The table that names all others.
struct Root {
    signature: [u8; 4],
    address: u64,
    /// How long its pointers are, in bytes.
    pointer: usize,
}

impl Root {
    /// The one that an RSDP names (section 5.2.5.3): from revision 2 on the XSDT, if there is one.
    fn of(rsdp: &[u8]) -> Result<Self, TableError> {
        const V1: usize = 20;
        const V2: usize = 36;
        if !rsdp.starts_with(b"RSD PTR ") {
            return Err(TableError::Signature);
        }
        if !adds_up(rsdp.get(..V1).ok_or(TableError::Short)?) {
            return Err(TableError::Checksum);
        }
        if rsdp[15] >= 2 {
            if !adds_up(rsdp.get(..V2).ok_or(TableError::Short)?) {
                return Err(TableError::Checksum);
            }
            if let Some(address @ 1..) = u64_at(rsdp, 24) {
                return Ok(Self { signature: *b"XSDT", address, pointer: 8 });
            }
        }
        let address = u32_at(rsdp, 16).ok_or(TableError::Short)?;
        Ok(Self { signature: *b"RSDT", address: address.into(), pointer: 4 })
    }
}

fn adds_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

fn at<const LENGTH: usize>(bytes: &[u8], offset: usize) -> Option<[u8; LENGTH]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The little-endian number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(u32::from_le_bytes)
}

/// The little-endian number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    at(bytes, offset).map(u64::from_le_bytes)
}
