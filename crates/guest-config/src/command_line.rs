//! What the hypervisor's command line says of guest 0.

use crate::refused::Reason;

/// The last value of an option; the last counts, as on other command lines.
pub(crate) fn value_of<'a>(command_line: &'a str, option: &str) -> Option<&'a str> {
    command_line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(option)?.strip_prefix('=')).next_back()
}

/// `dom0_max_vcpus=`: how many vCPUs guest 0 has.
pub(crate) fn vcpus(command_line: &str) -> Result<Option<u64>, Reason<'_>> {
    let option = "dom0_max_vcpus";
    value_of(command_line, option)
        .map(|value| value.parse().map_err(|_| Reason::Option { option, value, expected: "a number" }))
        .transpose()
}

/// `dom0_mem=`: how much memory guest 0 has, in KiB.
pub(crate) fn memory(command_line: &str) -> Result<Option<u64>, Reason<'_>> {
    let option = "dom0_mem";
    value_of(command_line, option)
        .map(|value| kibibytes(value).ok_or(Reason::Option { option, value, expected: "a size, as 512M" }))
        .transpose()
}

/// `dom0_vcpus_pin`: whether each vCPU of guest 0 is bound to the CPU of its number.
pub(crate) fn pins(command_line: &str) -> Result<bool, Reason<'_>> {
    let option = "dom0_vcpus_pin";
    match value_of(command_line, option) {
        Some("1" | "yes" | "on" | "true") => Ok(true),
        Some("0" | "no" | "off" | "false") => Ok(false),
        Some(value) => Err(Reason::Option { option, value, expected: "yes or no" }),
        None => Ok(command_line.split_ascii_whitespace().any(|word| word == option)),
    }
}

/// A size with one of the suffixes B, K, M, G and T, in KiB. Without a suffix it is in KiB.
fn kibibytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match text[digits.len()..].to_ascii_uppercase().as_str() {
        "B" => Some(number / 1024),
        "" | "K" => Some(number),
        "M" => number.checked_mul(1 << 10),
        "G" => number.checked_mul(1 << 20),
        "T" => number.checked_mul(1 << 30),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_kibibytes_unless_they_say_otherwise() {
        let sizes = [("4096", 4096), ("4096B", 4), ("12k", 12), ("512M", 512 << 10), ("2g", 2 << 20), ("1T", 1 << 30)];
        for (text, expected) in sizes {
            assert_eq!(kibibytes(text), Some(expected), "{text}");
        }
        for text in ["", "M", "-1", "1MM", "1.5G", "max:1G", "99999999999999999T", "1é"] {
            assert_eq!(kibibytes(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_of_an_option_counts_and_longer_names_are_others() {
        let line = "dom0_memory=1 dom0_mem=1M console=x dom0_mem=2M";
        assert_eq!(memory(line), Ok(Some(2048)));
        assert_eq!(vcpus(line), Ok(None));
        assert!(vcpus("dom0_max_vcpus=2-4").is_err());
    }
}
