//! CPUCTL: other CPUs are started and stopped, and what state each is in.

use cfe_abi::{CpuCommand, CpuControl, Error};

use super::Server;
use crate::board::{Board, StartRecord};
use crate::memory::CallerMemory;

/// How many CPUs a server can keep.
pub const MAX_CPUS: usize = 64;

/// Who has a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuState {
    /// Nobody: there is no such CPU.
    Absent,
    /// Firmware: it waits to be started.
    Parked,
    /// The program.
    Running,
    /// Nobody knows: it did not park when it should have.
    GivenUp,
}

impl<B: Board> Server<B> {
    /// Tells the server of a CPU beside CPU 0. Numbers that cannot be one are invalid parameters.
    pub fn set_secondary(&mut self, cpu: u32, state: CpuState) -> Result<(), Error> {
        *self.secondary(cpu.into()).ok_or(Error::InvalidParameter)? = state;
        Ok(())
    }

    /// What state a CPU is in.
    pub fn cpu_state(&self, cpu: u32) -> CpuState {
        self.cpus.get(cpu as usize).copied().unwrap_or(CpuState::Absent)
    }

    pub(super) fn has_secondaries(&self) -> bool {
        self.cpus[1..].iter().any(|state| *state != CpuState::Absent)
    }

    pub(super) fn cpu_control(&mut self, caller: u32, control: CpuControl) -> Result<(), Error> {
        if !self.has_secondaries() {
            return Err(Error::InvalidCommand);
        }
        let command = CpuCommand::from_code(control.command).ok_or(Error::InvalidParameter)?;
        let state = self.secondary(control.cpu_number).copied().unwrap_or(CpuState::Absent);
        if caller != 0 || state == CpuState::Absent {
            return Err(Error::General);
        }
        let cpu = control.cpu_number as u32;
        match command {
            CpuCommand::Start => self.start(cpu, state, control),
            CpuCommand::Stop => self.stop(cpu),
        }
    }

    fn start(&mut self, cpu: u32, state: CpuState, control: CpuControl) -> Result<(), Error> {
        match state {
            CpuState::Parked => {}
            CpuState::GivenUp => return Err(Error::NotReady),
            CpuState::Running | CpuState::Absent => return Err(Error::General),
        }
        let instruction = CallerMemory::check(self.board.memory_map(), control.start_address, 4)?;
        if !instruction.address().is_multiple_of(4) {
            return Err(Error::InvalidParameter);
        }
        // The registers of the CPU have 32 bits, of values that may be no addresses.
        let record = StartRecord {
            pc: instruction.address(),
            sp: control.stack_pointer as u32,
            gp: control.global_pointer as u32,
            a1: control.a1 as u32,
        };
        self.cpus[cpu as usize] = CpuState::Running;
        self.board.cpu_start(cpu, record);
        Ok(())
    }

    fn stop(&mut self, cpu: u32) -> Result<(), Error> {
        let parked = self.board.cpu_stop(cpu);
        self.cpus[cpu as usize] = if parked.is_ok() { CpuState::Parked } else { CpuState::GivenUp };
        parked.map_err(|_| Error::NotReady)
    }

    fn secondary(&mut self, cpu: u64) -> Option<&mut CpuState> {
        let index = usize::try_from(cpu).ok().filter(|index| *index != 0)?;
        self.cpus.get_mut(index)
    }
}
