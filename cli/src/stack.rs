//! Which stages a machine runs, as the command line says it.

use std::fmt;
use std::str::FromStr;

/// The stages of a boot that are ours, the first one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// The image alone, as the machine usually boots it.
    #[default]
    Kernel,
    /// Firmware of ours from the reset vector on, at the highest exception level, and the image below it.
    FirmwareKernel,
}

impl FromStr for Stack {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "kernel" => Ok(Self::Kernel),
            "firmware,kernel" => Ok(Self::FirmwareKernel),
            _ => Err("it is kernel or firmware,kernel"),
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kernel => "kernel",
            Self::FirmwareKernel => "firmware,kernel",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_read_back_as_they_are_written() {
        for text in ["kernel", "firmware,kernel"] {
            assert_eq!(text.parse::<Stack>().unwrap().to_string(), text);
        }
        assert_eq!("firmware".parse::<Stack>(), Err("it is kernel or firmware,kernel"));
    }
}
