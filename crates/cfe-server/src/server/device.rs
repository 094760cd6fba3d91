//! The device functions. The console is the one device.

use cfe_abi::{Buffer, DeviceClass, EnvironmentBuffer, Error, InputStatus, Request, STANDARD_HANDLE_CONSOLE};

use super::Server;
use crate::board::Board;
use crate::environment::MAX_NAME;
use crate::memory::{CallerMemory, StringOutput, read_string};

/// The console's name.
pub const CONSOLE_NAME: &[u8] = b"uart0";

/// The console's handle, as long as it is open.
pub const CONSOLE_HANDLE: i64 = 0;

/// How much is copied between the caller's memory and the console at once.
const CHUNK: usize = 64;

impl<B: Board> Server<B> {
    pub(super) fn device_get_handle(&mut self, request: &mut Request) -> Result<(), Error> {
        if request.flags != STANDARD_HANDLE_CONSOLE {
            return Err(Error::InvalidParameter);
        }
        if !self.console_open {
            return Err(Error::DeviceNotFound);
        }
        request.handle = CONSOLE_HANDLE;
        Ok(())
    }

    pub(super) fn device_enumerate(&mut self, buffer: EnvironmentBuffer) -> Result<(), Error> {
        if buffer.index != 0 {
            return Err(Error::NoMore);
        }
        let length = u64::try_from(buffer.name_length).map_err(|_| Error::InvalidParameter)?;
        StringOutput::check(self.board.memory_map(), buffer.name, length, CONSOLE_NAME)?.write(&mut self.board);
        Ok(())
    }

    pub(super) fn device_open(&mut self, request: &mut Request) -> Result<(), Error> {
        let mut name = [0; MAX_NAME];
        if self.device_name(request, &mut name)? != CONSOLE_NAME {
            return Err(Error::DeviceNotFound);
        }
        if self.console_open {
            return Err(Error::DeviceOpen);
        }
        self.console_open = true;
        request.handle = CONSOLE_HANDLE;
        Ok(())
    }

    pub(super) fn device_input_status(&mut self, request: &mut Request) -> Result<(), Error> {
        self.check_handle(request)?;
        request.set_parameters(InputStatus { status: self.board.console_has_input().into() });
        Ok(())
    }

    pub(super) fn device_read(&mut self, request: &mut Request) -> Result<(), Error> {
        self.transfer(request, |board, memory| {
            let mut chunk = [0; CHUNK];
            let read = board.console_read(&mut chunk[..memory.length()]).min(memory.length());
            board.write_memory(memory.part(0, read), &chunk[..read]);
            read
        })
    }

    pub(super) fn device_write(&mut self, request: &mut Request) -> Result<(), Error> {
        self.transfer(request, |board, memory| {
            let mut chunk = [0; CHUNK];
            let chunk = &mut chunk[..memory.length()];
            board.read_memory(memory, chunk);
            board.console_write(chunk).min(memory.length())
        })
    }

    pub(super) fn device_control(&mut self, request: &mut Request) -> Result<(), Error> {
        self.check_handle(request)?;
        Err(Error::InvalidCommand)
    }

    pub(super) fn device_close(&mut self, request: &mut Request) -> Result<(), Error> {
        self.check_handle(request)?;
        self.console_open = false;
        Ok(())
    }

    pub(super) fn device_get_info(&mut self, request: &mut Request) -> Result<(), Error> {
        let mut name = [0; MAX_NAME];
        // What is behind a colon is the device's business, not part of its name.
        let device = self.device_name(request, &mut name)?.split(|byte| *byte == b':').next();
        if device != Some(CONSOLE_NAME) {
            return Err(Error::DeviceNotFound);
        }
        request.set_parameters(Buffer { control: DeviceClass::Serial.code(), ..request.parameters() });
        Ok(())
    }

    /// Moves a buffer chunk by chunk, until one is not moved whole.
    fn transfer(
        &mut self,
        request: &mut Request,
        mut chunk: impl FnMut(&mut B, CallerMemory) -> usize,
    ) -> Result<(), Error> {
        self.check_handle(request)?;
        let buffer: Buffer = request.parameters();
        let mut moved = 0;
        if buffer.length != 0 {
            let memory = CallerMemory::check(self.board.memory_map(), buffer.pointer, buffer.length)?;
            while moved < memory.length() {
                let part = memory.part(moved, CHUNK);
                let count = chunk(&mut self.board, part);
                moved += count;
                if count < part.length() {
                    break;
                }
            }
        }
        request.set_parameters(Buffer { returned_length: moved as u64, ..buffer });
        Ok(())
    }

    fn device_name<'a>(&self, request: &Request, name: &'a mut [u8; MAX_NAME]) -> Result<&'a [u8], Error> {
        let buffer: Buffer = request.parameters();
        let length = read_string(&self.board, buffer.pointer, buffer.length, name)?;
        Ok(&name[..length])
    }

    fn check_handle(&self, request: &Request) -> Result<(), Error> {
        if !self.console_open || request.handle != CONSOLE_HANDLE {
            return Err(Error::InvalidParameter);
        }
        Ok(())
    }
}
