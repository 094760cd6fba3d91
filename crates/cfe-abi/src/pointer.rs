//! Addresses of 32-bit programs in 64-bit fields: sign-extended, as MIPS has them in its registers.

/// An address as it stands in a request.
pub const fn from_address(address: u32) -> u64 {
    address as i32 as i64 as u64
}

/// The address that stands in a request, or nothing where it is none of 32 bits.
pub const fn to_address(pointer: u64) -> Option<u32> {
    let address = pointer as u32;
    if from_address(address) == pointer { Some(address) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sign_extended() {
        assert_eq!(from_address(0x8010_0000), 0xffff_ffff_8010_0000);
        assert_eq!(from_address(0x7fff_ffff), 0x7fff_ffff);
        assert_eq!(from_address(u32::MAX), u64::MAX);
    }

    #[test]
    fn what_is_not_sign_extended_is_no_address() {
        for pointer in [0x8010_0000, 1 << 32, 0xffff_ffff_0000_0000, 0xffff_fffe_8010_0000] {
            assert_eq!(to_address(pointer), None, "{pointer:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_address_comes_back(address: u32) {
            assert_eq!(to_address(from_address(address)), Some(address));
        }

        #[test]
        fn what_is_an_address_is_the_same_pointer_again(pointer: u64) {
            if let Some(address) = to_address(pointer) {
                assert_eq!(from_address(address), pointer);
            }
        }
    }
}
