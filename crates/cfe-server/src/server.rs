//! The server: takes requests, and answers them or refuses.

mod cpu;
mod device;
mod variable;

use cfe_abi::{
    CacheFlags, Error, ExitStatus, FLAG_WARM_START, FirmwareFlags, FirmwareInfo, Function, HEADER_SIZE, MemoryInfo,
    Request, Time, pointer,
};

pub use self::cpu::{CpuState, MAX_CPUS};
pub use self::device::{CONSOLE_HANDLE, CONSOLE_NAME};
use crate::board::Board;
use crate::environment::Environment;
use crate::memory::CallerMemory;

/// Firmware's side of the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server<B> {
    board: B,
    cpus: [CpuState; MAX_CPUS],
    /// Whether anybody has the console open: firmware, to begin with.
    console_open: bool,
    environment: Environment,
}

impl<B: Board> Server<B> {
    /// A server on CPU 0, which knows of no other CPUs, has the console open and an empty environment.
    pub const fn new(board: B) -> Self {
        let mut cpus = [CpuState::Absent; MAX_CPUS];
        cpus[0] = CpuState::Running;
        Self { board, cpus, console_open: true, environment: Environment::new() }
    }

    /// The board.
    pub fn board(&self) -> &B {
        &self.board
    }

    /// The board, for what firmware does beside the interface.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.board
    }

    /// The variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The variables, for firmware to set.
    pub fn environment_mut(&mut self) -> &mut Environment {
        &mut self.environment
    }

    /// Answers the request at an address, for a program that runs on `cpu`. Returns the status, which is in the request too,
    /// unless that is not where a request can be.
    ///
    /// Of the caller's memory no more is read and written than the function's parameter list takes.
    pub fn dispatch_at(&mut self, cpu: u32, address: u32) -> i64 {
        match self.dispatch_in_memory(cpu, address) {
            Ok(status) => status,
            Err(error) => error.code(),
        }
    }

    fn dispatch_in_memory(&mut self, cpu: u32, address: u32) -> Result<i64, Error> {
        if !address.is_multiple_of(8) {
            return Err(Error::InvalidParameter);
        }
        let map = self.board.memory_map();
        let header = CallerMemory::check(map, pointer::from_address(address), HEADER_SIZE as u64)?;
        let mut bytes = [0; Request::SIZE];
        self.board.read_memory(header, &mut bytes[..HEADER_SIZE]);

        let parameter_size =
            Function::from_code(Request::from_bytes(&bytes).function).map_or(0, Function::parameter_size);
        let size = HEADER_SIZE + parameter_size as usize;
        // Where the list is out of reach, the header is not, and takes the status.
        let whole = CallerMemory::check(map, pointer::from_address(address), size as u64);
        let (memory, request) = match whole {
            Ok(whole) => {
                // The header is not read again: another CPU might change it in between.
                self.board.read_memory(whole.part(HEADER_SIZE, size), &mut bytes[HEADER_SIZE..size]);
                let mut request = Request::from_bytes(&bytes);
                self.dispatch(cpu, &mut request);
                (whole, request)
            }
            Err(error) => {
                let mut request = Request::from_bytes(&bytes);
                request.status = error.code();
                (header, request)
            }
        };
        self.board.write_memory(memory, &request.to_bytes()[..memory.length()]);
        Ok(request.status)
    }

    /// Answers a request of a program that runs on `cpu`. Returns the status, which is in the request too.
    pub fn dispatch(&mut self, cpu: u32, request: &mut Request) -> i64 {
        request.status = match self.answer(cpu, request) {
            Ok(()) => 0,
            Err(error) => error.code(),
        };
        request.status
    }

    fn answer(&mut self, cpu: u32, request: &mut Request) -> Result<(), Error> {
        let function = Function::from_code(request.function).ok_or(Error::InvalidCommand)?;
        if request.parameter_size != function.parameter_size() {
            return Err(Error::InvalidParameter);
        }
        match function {
            Function::FirmwareGetInfo => self.firmware_info(request),
            Function::Restart => {
                let ExitStatus { status } = request.parameters();
                self.board.restart(request.flags & FLAG_WARM_START != 0, status)
            }
            Function::Boot => Err(Error::InvalidCommand),
            Function::CpuControl => self.cpu_control(cpu, request.parameters()),
            Function::GetTime => {
                request.set_parameters(Time { ticks: self.board.ticks() });
                Ok(())
            }
            Function::MemoryEnumerate => self.memory_enumerate(request),
            Function::FlushCache => self.flush_cache(CacheFlags(request.flags)),
            Function::DeviceGetHandle => self.device_get_handle(request),
            Function::DeviceEnumerate => self.device_enumerate(request.parameters()),
            Function::DeviceOpen => self.device_open(request),
            Function::DeviceInputStatus => self.device_input_status(request),
            Function::DeviceRead => self.device_read(request),
            Function::DeviceWrite => self.device_write(request),
            Function::DeviceControl => self.device_control(request),
            Function::DeviceClose => self.device_close(request),
            Function::DeviceGetInfo => self.device_get_info(request),
            Function::EnvironmentEnumerate => self.environment_enumerate(request.parameters()),
            Function::EnvironmentGet => self.environment_get(request.parameters()),
            Function::EnvironmentSet => self.environment_set(request.flags, request.parameters()),
            Function::EnvironmentDelete => self.environment_delete(request.parameters()),
        }
    }

    fn firmware_info(&mut self, request: &mut Request) -> Result<(), Error> {
        let information = self.board.information();
        let (major, minor, build) = information.version;
        let mut flags = FirmwareFlags::BITS_32;
        if self.has_secondaries() {
            flags = flags | FirmwareFlags::MULTIPLE_CPUS;
        }
        request.set_parameters(FirmwareInfo {
            version: i64::from(major) << 16 | i64::from(minor) << 8 | i64::from(build),
            total_memory: self.board.memory_map().iter().map(|region| region.size).sum::<u64>() as i64,
            flags: flags.0 as i64,
            board_id: information.board_id,
            boot_area_virtual: pointer::from_address(information.boot_area.virtual_address) as i64,
            boot_area_physical: information.boot_area.physical_address.into(),
            boot_area_size: information.boot_area.size.into(),
            ..FirmwareInfo::default()
        });
        Ok(())
    }

    fn memory_enumerate(&mut self, request: &mut Request) -> Result<(), Error> {
        let MemoryInfo { index, .. } = request.parameters();
        let position = usize::try_from(index).map_err(|_| Error::NoMore)?;
        let region = self.board.memory_map().get(position).ok_or(Error::NoMore)?;
        request.set_parameters(MemoryInfo {
            index,
            memory_type: region.memory_type.code() as i64,
            address: region.address,
            size: region.size,
        });
        Ok(())
    }

    fn flush_cache(&mut self, flags: CacheFlags) -> Result<(), Error> {
        if !CacheFlags::ALL.contains(flags) {
            return Err(Error::InvalidParameter);
        }
        let default = CacheFlags::FLUSH_DATA | CacheFlags::INVALIDATE_INSTRUCTION;
        self.board.flush_cache(if flags.0 == 0 { default } else { flags });
        Ok(())
    }
}
