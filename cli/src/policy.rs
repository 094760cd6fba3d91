//! How many CPUs may be on their way up at once, as the command line says it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// How many CPUs may be on their way up at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// All of them.
    #[default]
    Parallel,
    /// One after the other.
    Serial,
    /// At most this many.
    AtMost(NonZeroU32),
}

impl FromStr for Policy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "parallel" => Ok(Self::Parallel),
            "serial" => Ok(Self::Serial),
            _ => text.parse().map(Self::AtMost).map_err(|_| "it is parallel, serial, or a count of at least 1"),
        }
    }
}

/// As it stands on the kernel's command line.
impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parallel => formatter.write_str("parallel"),
            Self::Serial => formatter.write_str("serial"),
            Self::AtMost(count) => count.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_back_as_they_are_written() {
        for text in ["parallel", "serial", "1", "8"] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_limit_of_zero_and_nonsense_are_refused() {
        for text in ["", "0", "-1", "Parallel", "8 ", "99999999999"] {
            assert!(text.parse::<Policy>().is_err(), "{text:?}");
        }
    }
}
