//! What the specifications call functions and answers, for whoever logs calls.

const WIDE: u32 = 1 << 30;
const AFFINITY_INFO: u32 = 0x8400_0004;

/// The specification's name of a function of PSCI or of SMCCC's own, without what tells a 32-bit call from a 64-bit call; `None` where
/// the id has no such function, offered or not. Ids of PSCI 0.1 have no names of their own.
#[must_use]
pub const fn function_name(id: u32) -> Option<&'static str> {
    Some(match id {
        0x8000_0000 => "SMCCC_VERSION",
        0x8000_0001 => "SMCCC_ARCH_FEATURES",
        0x8400_0000 => "PSCI_VERSION",
        0x8400_0001 | 0xc400_0001 => "CPU_SUSPEND",
        0x8400_0002 => "CPU_OFF",
        0x8400_0003 | 0xc400_0003 => "CPU_ON",
        0x8400_0004 | 0xc400_0004 => "AFFINITY_INFO",
        0x8400_0005 | 0xc400_0005 => "MIGRATE",
        0x8400_0006 => "MIGRATE_INFO_TYPE",
        0x8400_0007 | 0xc400_0007 => "MIGRATE_INFO_UP_CPU",
        0x8400_0008 => "SYSTEM_OFF",
        0x8400_0009 => "SYSTEM_RESET",
        0x8400_000a => "PSCI_FEATURES",
        0x8400_000b => "CPU_FREEZE",
        0x8400_000c | 0xc400_000c => "CPU_DEFAULT_SUSPEND",
        0x8400_000d | 0xc400_000d => "NODE_HW_STATE",
        0x8400_000e | 0xc400_000e => "SYSTEM_SUSPEND",
        0x8400_000f => "PSCI_SET_SUSPEND_MODE",
        0x8400_0010 | 0xc400_0010 => "PSCI_STAT_RESIDENCY",
        0x8400_0011 | 0xc400_0011 => "PSCI_STAT_COUNT",
        0x8400_0012 | 0xc400_0012 => "SYSTEM_RESET2",
        _ => return None,
    })
}

/// What the specification calls this X0 as the answer to a call of `id`; `None` where the answer is a number.
#[must_use]
pub const fn answer_name(id: u32, x0: u64) -> Option<&'static str> {
    match (id & !WIDE, x0 as i64) {
        (AFFINITY_INFO, 0) => Some("ON"),
        (AFFINITY_INFO, 1) => Some("OFF"),
        (AFFINITY_INFO, 2) => Some("ON_PENDING"),
        // 0 is a flag word, and no word of success.
        (0x8000_0000 | 0x8000_0001 | 0x8400_000a, 0) => None,
        (_, 0) => Some("SUCCESS"),
        (_, -1) => Some("NOT_SUPPORTED"),
        (_, -2) => Some("INVALID_PARAMETERS"),
        (_, -3) => Some("DENIED"),
        (_, -4) => Some("ALREADY_ON"),
        (_, -5) => Some("ON_PENDING"),
        (_, -6) => Some("INTERNAL_FAILURE"),
        (_, -7) => Some("NOT_PRESENT"),
        (_, -8) => Some("DISABLED"),
        (_, -9) => Some("INVALID_ADDRESS"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_one_name_in_both_widths_and_ids_that_are_none_have_none() {
        assert_eq!(function_name(0x8400_0003), function_name(0xc400_0003));
        // Rows 2 and 6.
        for id in [0xc400_0000, 0xc400_0002, 0xc400_000a, 0x8400_0013, 0, u32::MAX] {
            assert_eq!(function_name(id), None, "{id:#x}");
        }
    }

    #[test]
    fn an_answer_is_named_by_what_was_asked() {
        assert_eq!(answer_name(0xc400_0003, 0), Some("SUCCESS"));
        assert_eq!(answer_name(0xc400_0003, (-5_i64) as u64), Some("ON_PENDING"));
        assert_eq!(answer_name(0xc400_0004, 2), Some("ON_PENDING"));
        assert_eq!(answer_name(0xc400_0004, 0), Some("ON"));
        assert_eq!(answer_name(0x8400_0000, 0x1_0001), None);
        assert_eq!(answer_name(0x8400_000a, 0), None);
    }
}
