//! The codes by which a request is refused.

/// Why a request was refused. In a request it is a negative number: [`Error::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `CFE_ERR`, -1: what no other code says.
    #[error("refused without a reason (CFE error -1)")]
    General,
    /// `CFE_ERR_INV_COMMAND`, -2: there is no such function, or not here.
    #[error("no such function (CFE error -2)")]
    InvalidCommand,
    /// `CFE_ERR_EOF`, -3.
    #[error("end of file (CFE error -3)")]
    EndOfFile,
    /// `CFE_ERR_IOERR`, -4.
    #[error("input or output failed (CFE error -4)")]
    InputOutput,
    /// `CFE_ERR_NOMEM`, -5.
    #[error("firmware is out of memory (CFE error -5)")]
    NoMemory,
    /// `CFE_ERR_DEVNOTFOUND`, -6.
    #[error("no such device (CFE error -6)")]
    DeviceNotFound,
    /// `CFE_ERR_DEVOPEN`, -7: somebody has it open.
    #[error("the device is open already (CFE error -7)")]
    DeviceOpen,
    /// `CFE_ERR_INV_PARAM`, -8: also a parameter list of the wrong size.
    #[error("a parameter is invalid (CFE error -8)")]
    InvalidParameter,
    /// `CFE_ERR_ENVNOTFOUND`, -9.
    #[error("no such environment variable (CFE error -9)")]
    VariableNotFound,
    /// `CFE_ERR_ENVREADONLY`, -10.
    #[error("the environment variable cannot be changed (CFE error -10)")]
    VariableReadOnly,
    /// `CFE_ERR_NOHANDLES`, -25.
    #[error("all handles are in use (CFE error -25)")]
    NoHandles,
    /// `CFE_ERR_NOMORE`, -28: an enumeration is past its end.
    #[error("there are no more (CFE error -28)")]
    NoMore,
    /// `CFE_ERR_NOTREADY`, -36.
    #[error("not ready (CFE error -36)")]
    NotReady,
    /// A code that has no name here.
    #[error("CFE error {0}")]
    Other(i64),
}

impl Error {
    /// Every error that has a name.
    pub const NAMED: [Error; 13] = [
        Error::General,
        Error::InvalidCommand,
        Error::EndOfFile,
        Error::InputOutput,
        Error::NoMemory,
        Error::DeviceNotFound,
        Error::DeviceOpen,
        Error::InvalidParameter,
        Error::VariableNotFound,
        Error::VariableReadOnly,
        Error::NoHandles,
        Error::NoMore,
        Error::NotReady,
    ];

    /// The number that stands for it in a request's status.
    pub const fn code(self) -> i64 {
        match self {
            Error::General => -1,
            Error::InvalidCommand => -2,
            Error::EndOfFile => -3,
            Error::InputOutput => -4,
            Error::NoMemory => -5,
            Error::DeviceNotFound => -6,
            Error::DeviceOpen => -7,
            Error::InvalidParameter => -8,
            Error::VariableNotFound => -9,
            Error::VariableReadOnly => -10,
            Error::NoHandles => -25,
            Error::NoMore => -28,
            Error::NotReady => -36,
            Error::Other(code) => code,
        }
    }

    /// The error for which a status stands, if it is one: those are negative.
    pub fn from_code(code: i64) -> Option<Self> {
        let named = Self::NAMED.into_iter().find(|error| error.code() == code);
        named.or_else(|| (code < 0).then_some(Error::Other(code)))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn each_error_has_the_number_of_the_manual() {
        let numbers = Error::NAMED.map(Error::code);
        assert_eq!(numbers, [-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -25, -28, -36]);
        for error in Error::NAMED {
            assert_eq!(Error::from_code(error.code()), Some(error));
            assert!(error.to_string().contains(&error.code().to_string()), "{error}");
        }
    }

    #[test]
    fn unnamed_codes_are_kept_and_successes_are_no_error() {
        assert_eq!(Error::from_code(-11), Some(Error::Other(-11)));
        assert_eq!(Error::from_code(i64::MIN).map(Error::code), Some(i64::MIN));
        assert_eq!(Error::from_code(0), None);
        assert_eq!(Error::from_code(5), None);
    }
}
