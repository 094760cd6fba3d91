//! What ACPI says of the firmware: the Arm boot flags of the FADT (ACPI Specification 6.5, section 5.2.9).

use reveille::acpi::{Table, TableError};

use super::{Conduit, Functions, PsciNode};

const FLAGS: usize = 112;
const HARDWARE_REDUCED: u32 = 1 << 20;
const ARM_BOOT_FLAGS: usize = 129;
const PSCI_COMPLIANT: u16 = 1 << 0;
const PSCI_USE_HVC: u16 = 1 << 1;
const MINOR_REVISION: usize = 131;
/// The first version in which the flags for Arm mean something.
const FIRST_FOR_ARM: (u8, u8) = (5, 1);

/// Why a FADT is not one that an Arm machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FadtError {
    /// It is not sound.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It is older than ACPI 5.1.
    #[error("the FADT is of ACPI {0}.{1}, and Arm needs 5.1")]
    Version(u8, u8),
    /// It describes hardware that Arm machines do not have.
    #[error("the FADT does not say that the hardware is reduced")]
    NotHardwareReduced,
}

impl PsciNode {
    /// PSCI as a FADT describes it, of version 0.2 at least; `None` where firmware has none. `fadt` may go on behind the table.
    ///
    /// # Errors
    /// [`FadtError`]: nothing else that ACPI says about this machine can be relied on then (Linux's `acpi_fadt_sanity_check`).
    pub fn from_fadt(fadt: &[u8]) -> Result<Option<Self>, FadtError> {
        let table = Table::parse(fadt, *b"FACP")?;
        let flags = table.bytes().get(FLAGS..).and_then(|rest| rest.first_chunk().copied()).map(u32::from_le_bytes);
        let flags = flags.ok_or(TableError::Short)?;
        // What is not in the table is 0, as in those of the first ACPI 5.0.
        let byte = |offset| table.bytes().get(offset).copied().unwrap_or(0);
        let version = (table.revision(), byte(MINOR_REVISION) & 0xf);
        if version < FIRST_FOR_ARM {
            return Err(FadtError::Version(version.0, version.1));
        }
        if flags & HARDWARE_REDUCED == 0 {
            return Err(FadtError::NotHardwareReduced);
        }
        let boot_flags = u16::from_le_bytes([byte(ARM_BOOT_FLAGS), byte(ARM_BOOT_FLAGS + 1)]);
        let conduit = if boot_flags & PSCI_USE_HVC == 0 { Conduit::Smc } else { Conduit::Hvc };
        let node = Self { conduit, functions: Functions::V0_2 };
        Ok((boot_flags & PSCI_COMPLIANT != 0).then_some(node))
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn seal(mut table: Vec<u8>) -> Vec<u8> {
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        table[9] = 0;
        table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
        table
    }

    fn fadt(version: (u8, u8), flags: u32, boot_flags: u16, length: usize) -> Vec<u8> {
        let mut table = vec![0; 276];
        table[..4].copy_from_slice(b"FACP");
        table[8] = version.0;
        table[MINOR_REVISION] = version.1;
        table[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
        table[ARM_BOOT_FLAGS..ARM_BOOT_FLAGS + 2].copy_from_slice(&boot_flags.to_le_bytes());
        table.truncate(length);
        seal(table)
    }

    #[test]
    fn row_8_the_conduit_is_what_the_fadt_says() {
        let read = |flags| PsciNode::from_fadt(&fadt((6, 0), HARDWARE_REDUCED, flags, 276)).unwrap();
        let psci = |conduit| Some(PsciNode { conduit, functions: Functions::V0_2 });
        assert_eq!(read(PSCI_COMPLIANT), psci(Conduit::Smc));
        assert_eq!(read(PSCI_COMPLIANT | PSCI_USE_HVC | 0x8000), psci(Conduit::Hvc));
        assert_eq!(read(0), None);
        assert_eq!(read(PSCI_USE_HVC), None);
    }

    #[test]
    fn tables_from_before_arm_are_refused() {
        let read = |version| PsciNode::from_fadt(&fadt(version, HARDWARE_REDUCED, 1, 268));
        assert!(read((5, 1)).unwrap().is_some());
        assert!(read((5, 0x21)).unwrap().is_some(), "the upper half counts errata");
        assert!(read((6, 0)).unwrap().is_some());
        assert_eq!(read((5, 0x20)), Err(FadtError::Version(5, 0)));
        assert_eq!(read((4, 9)), Err(FadtError::Version(4, 9)));
    }

    #[test]
    fn hardware_that_is_not_reduced_is_refused() {
        let read = PsciNode::from_fadt(&fadt((6, 3), !HARDWARE_REDUCED, 1, 276));
        assert_eq!(read, Err(FadtError::NotHardwareReduced));
    }

    #[test]
    fn a_table_that_is_not_sound_is_refused() {
        let sound = fadt((6, 0), HARDWARE_REDUCED, 1, 276);
        let mut wrong = sound.clone();
        wrong[200] ^= 1;
        assert_eq!(PsciNode::from_fadt(&wrong), Err(TableError::Checksum.into()));
        assert_eq!(PsciNode::from_fadt(&sound[..275]), Err(TableError::Short.into()));
        assert_eq!(PsciNode::from_fadt(&fadt((6, 0), 0, 1, 115)), Err(TableError::Short.into()));
        assert_eq!(PsciNode::from_fadt(&fadt((5, 1), HARDWARE_REDUCED, 1, 116)), Err(FadtError::Version(5, 0)));
        assert_eq!(PsciNode::from_fadt(&fadt((6, 0), HARDWARE_REDUCED, 1, 116)), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(body in proptest::collection::vec(any::<u8>(), 32..300)) {
            let mut table = b"FACP".to_vec();
            table.extend(body);
            let _ = PsciNode::from_fadt(&table);
            let read = PsciNode::from_fadt(&seal(table));
            prop_assert!(!matches!(read, Err(FadtError::Table(TableError::Checksum | TableError::Signature))));
        }
    }
}
