//! The environment functions.

use cfe_abi::{EnvironmentBuffer, Error, FLAG_ENVIRONMENT_PERMANENT};

use super::Server;
use crate::board::Board;
use crate::environment::{MAX_NAME, MAX_VALUE};
use crate::memory::{StringOutput, read_string};

impl<B: Board> Server<B> {
    pub(super) fn environment_enumerate(&mut self, buffer: EnvironmentBuffer) -> Result<(), Error> {
        let index = usize::try_from(buffer.index).map_err(|_| Error::VariableNotFound)?;
        let (name, value) = self.environment.iter().nth(index).ok_or(Error::VariableNotFound)?;
        let map = self.board.memory_map();
        let name = StringOutput::check(map, buffer.name, length(buffer.name_length)?, name)?;
        let value = StringOutput::check(map, buffer.value, length(buffer.value_length)?, value)?;
        name.write(&mut self.board);
        value.write(&mut self.board);
        Ok(())
    }

    pub(super) fn environment_get(&mut self, buffer: EnvironmentBuffer) -> Result<(), Error> {
        let mut name = [0; MAX_NAME];
        let name = self.variable_name(&buffer, &mut name)?;
        let value = self.environment.get(name).ok_or(Error::VariableNotFound)?;
        let map = self.board.memory_map();
        StringOutput::check(map, buffer.value, length(buffer.value_length)?, value)?.write(&mut self.board);
        Ok(())
    }

    pub(super) fn environment_set(&mut self, flags: u64, buffer: EnvironmentBuffer) -> Result<(), Error> {
        let mut name = [0; MAX_NAME];
        let name = self.variable_name(&buffer, &mut name)?;
        let mut value = [0; MAX_VALUE];
        let value_length = read_string(&self.board, buffer.value, length(buffer.value_length)?, &mut value)?;
        if flags & FLAG_ENVIRONMENT_PERMANENT != 0 {
            return Err(Error::InputOutput);
        }
        self.environment.set(name, &value[..value_length])
    }

    pub(super) fn environment_delete(&mut self, buffer: EnvironmentBuffer) -> Result<(), Error> {
        let mut name = [0; MAX_NAME];
        let name = self.variable_name(&buffer, &mut name)?;
        self.environment.delete(name)
    }

    fn variable_name<'a>(&self, buffer: &EnvironmentBuffer, name: &'a mut [u8; MAX_NAME]) -> Result<&'a [u8], Error> {
        let name_length = read_string(&self.board, buffer.name, length(buffer.name_length)?, name)?;
        Ok(&name[..name_length])
    }
}

/// A length from a request, which has a sign.
fn length(length: i64) -> Result<u64, Error> {
    u64::try_from(length).map_err(|_| Error::InvalidParameter)
}
