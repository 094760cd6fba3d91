//! The request block: a header, and room for the longest parameter list.

use crate::Function;
use crate::error::Error;
use crate::parameters::{MAX_WORDS, NoParameters, Parameters};

/// How many bytes of a request come before its parameter list.
pub const HEADER_SIZE: usize = 40;

/// `cfe_xiocb_t`: what is asked of firmware, and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Request {
    /// [`Function`].
    pub function: u64,
    /// Answer: 0, or the code of an [`Error`].
    pub status: i64,
    /// The device's handle, where the function is one of a device.
    pub handle: i64,
    /// What the function takes as flags.
    pub flags: u64,
    /// How long the parameter list is, in bytes. Must be what the function takes.
    pub parameter_size: u64,
    /// The parameter list, and what is behind it.
    pub words: [u64; MAX_WORDS],
}

// On every target, whatever it aligns 64-bit words to.
const _: () = assert!(size_of::<Request>() == 120 && core::mem::offset_of!(Request, words) == HEADER_SIZE);

impl Request {
    /// How many bytes a request takes.
    pub const SIZE: usize = size_of::<Self>();

    /// A request without parameters.
    pub fn new(function: Function) -> Self {
        Self::with(function, NoParameters)
    }

    /// A request with parameters.
    pub fn with<P: Parameters>(function: Function, parameters: P) -> Self {
        let mut request = Self { function: function.code(), parameter_size: P::SIZE, ..Self::default() };
        request.set_parameters(parameters);
        request
    }

    /// The same request for a device.
    pub fn with_handle(self, handle: i64) -> Self {
        Self { handle, ..self }
    }

    /// The same request with flags.
    pub fn with_flags(self, flags: u64) -> Self {
        Self { flags, ..self }
    }

    /// The parameter list, or, once firmware has answered, what it wrote there.
    pub fn parameters<P: Parameters>(&self) -> P {
        P::read(&self.words)
    }

    /// Writes the parameter list. What is behind it stays, and so does [`Request::parameter_size`].
    pub fn set_parameters<P: Parameters>(&mut self, parameters: P) {
        parameters.write(&mut self.words);
    }

    /// Whether firmware did what was asked, once it has answered.
    pub fn result(&self) -> Result<(), Error> {
        Error::from_code(self.status).map_or(Ok(()), Err)
    }

    /// The request as it stands in memory.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let header = [self.function, self.status as u64, self.handle as u64, self.flags, self.parameter_size];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(header.into_iter().chain(self.words)) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The request that stands in memory.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[index * 8..][..8]);
            u64::from_ne_bytes(word)
        };
        Self {
            function: word(0),
            status: word(1) as i64,
            handle: word(2) as i64,
            flags: word(3),
            parameter_size: word(4),
            words: core::array::from_fn(|index| word(HEADER_SIZE / 8 + index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;
    use crate::{CpuControl, ExitStatus};

    #[test]
    fn a_request_has_the_size_and_offsets_of_the_manual() {
        assert_eq!(Request::SIZE, 120);
        assert_eq!(offset_of!(Request, function), 0);
        assert_eq!(offset_of!(Request, status), 8);
        assert_eq!(offset_of!(Request, handle), 16);
        assert_eq!(offset_of!(Request, flags), 24);
        assert_eq!(offset_of!(Request, parameter_size), 32);
        assert_eq!(offset_of!(Request, words), HEADER_SIZE);
    }

    #[test]
    fn bytes_are_at_the_offsets_of_the_struct() {
        let request = Request {
            function: 1,
            status: -2,
            handle: 3,
            flags: 4,
            parameter_size: 5,
            words: core::array::from_fn(|index| 100 + index as u64),
        };
        let bytes = request.to_bytes();
        let at = |offset: usize| u64::from_ne_bytes(bytes[offset..offset + 8].try_into().unwrap());
        assert_eq!(at(offset_of!(Request, function)), 1);
        assert_eq!(at(offset_of!(Request, status)) as i64, -2);
        assert_eq!(at(offset_of!(Request, handle)), 3);
        assert_eq!(at(offset_of!(Request, flags)), 4);
        assert_eq!(at(offset_of!(Request, parameter_size)), 5);
        assert_eq!(at(offset_of!(Request, words)), 100);
        assert_eq!(at(112), 109);
        assert_eq!(Request::from_bytes(&bytes), request);
    }

    #[test]
    fn a_new_request_says_the_size_of_its_list() {
        let request = Request::with(Function::CpuControl, CpuControl { a1: 9, ..CpuControl::default() });
        assert_eq!((request.function, request.parameter_size), (3, 48));
        assert_eq!(request.words, [0, 0, 0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(request.parameters::<CpuControl>().a1, 9);

        let request = Request::new(Function::DeviceClose).with_handle(2).with_flags(1);
        assert_eq!((request.function, request.parameter_size, request.handle, request.flags), (16, 0, 2, 1));
    }

    #[test]
    fn a_status_is_a_result() {
        let mut request = Request::with(Function::Restart, ExitStatus { status: 1 });
        assert_eq!(request.result(), Ok(()));
        request.status = -8;
        assert_eq!(request.result(), Err(Error::InvalidParameter));
    }

    proptest::proptest! {
        #[test]
        fn every_request_comes_back_from_its_bytes(bytes in proptest::array::uniform::<_, 120>(0u8..)) {
            assert_eq!(Request::from_bytes(&bytes).to_bytes(), bytes);
        }
    }
}
