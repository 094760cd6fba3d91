//! Calls of Broadcom's CFE (Linux's `arch/mips/fw/cfe/cfe_api.c`): [`Cfe`]. What goes over the interface is in the crate `cfe-abi`.

use cfe_abi::{
    Buffer, CacheFlags, CpuCommand, CpuControl, EnvironmentBuffer, ExitStatus, FLAG_WARM_START, FirmwareFlags,
    FirmwareInfo, Function, InputStatus, MemoryInfo, MemoryType, Request, SEAL, STANDARD_HANDLE_CONSOLE, Time, pointer,
};

pub use cfe_abi::Error;

/// Something that answers requests.
pub trait Firmware {
    /// Hands `request` over, with the handle that the kernel was entered with, and returns when the answer is in it.
    fn call(&self, request: &mut Request);
}

/// The firmware that has entered the kernel.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_arch = "mips"), expect(dead_code, reason = "only MIPS CPUs call it"))]
pub struct EntryState {
    /// What it hands over in `a0`, for every call.
    handle: u32,
    /// The address of its entry, from `a2`.
    entry: u32,
}

/// The kernel was not entered by CFE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCfe {
    /// `a3` has another value than the seal.
    #[error("CFE's seal is not in a3: {0:#x}")]
    Seal(u32),
    /// The handle or the entry is no address in KSEG0 or KSEG1.
    #[error("CFE's {0} lies outside the kernel's segments: {1:#x}")]
    Address(&'static str, u32),
}

impl EntryState {
    /// What the kernel was entered with in `a0`, `a2` and `a3` (Linux's `prom_init`).
    ///
    /// # Errors
    /// [`NotCfe`].
    ///
    /// # Safety
    /// The registers hold what they held at the kernel's entry.
    pub unsafe fn new(handle: u32, entry: u32, seal: u32) -> Result<Self, NotCfe> {
        if seal != SEAL {
            return Err(NotCfe::Seal(seal));
        }
        for (what, address) in [("handle", handle), ("entry", entry)] {
            if !(0x8000_0000..0xc000_0000).contains(&address) {
                return Err(NotCfe::Address(what, address));
            }
        }
        Ok(Self { handle, entry })
    }
}

#[cfg(target_arch = "mips")]
impl Firmware for EntryState {
    fn call(&self, request: &mut Request) {
        // SAFETY: `new` was told that this is CFE's entry, and has seen its seal. CFE keeps what a call of C keeps and more; the
        // request is written by nobody else meanwhile.
        unsafe {
            let entry: cfe_abi::EntryPoint = core::mem::transmute(self.entry as usize);
            entry(self.handle as usize, request);
        }
    }
}

/// A region of memory, by its physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// Where it begins.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the kernel may have it.
    pub is_available: bool,
}

/// CFE.
#[derive(Clone, Copy, Debug)]
pub struct Cfe<F = EntryState>(F);

/// The address of a buffer, as a request has it.
fn address_of<T: ?Sized>(buffer: &T) -> u64 {
    pointer::from_address(core::ptr::from_ref(buffer).cast::<u8>().expose_provenance() as u32)
}

impl<F: Firmware> Cfe<F> {
    /// The CFE that `firmware` reaches.
    pub const fn new(firmware: F) -> Self {
        Self(firmware)
    }

    /// What reaches it.
    pub const fn firmware(&self) -> &F {
        &self.0
    }

    fn call(&self, mut request: Request) -> Result<Request, Error> {
        self.0.call(&mut request);
        request.result().map(|()| request)
    }

    /// Whether there are CPUs that can be started.
    ///
    /// # Errors
    /// CFE's.
    pub fn has_several_cpus(&self) -> Result<bool, Error> {
        let answer = self.call(Request::with(Function::FirmwareGetInfo, FirmwareInfo::default()))?;
        let flags = answer.parameters::<FirmwareInfo>().flags;
        Ok(FirmwareFlags(flags as u64).contains(FirmwareFlags::MULTIPLE_CPUS))
    }

    /// Starts the CPU `number` at `start`, with these values in SP, GP and A1 (`cfe_cpu_start`). Returns before it runs.
    ///
    /// # Errors
    /// CFE's: the CPU runs already, or there is none with this number.
    pub fn cpu_start(&self, number: u64, start: u32, sp: u32, gp: u32, a1: u32) -> Result<(), Error> {
        let request = CpuControl {
            cpu_number: number,
            command: CpuCommand::Start.code(),
            start_address: pointer::from_address(start),
            global_pointer: pointer::from_address(gp),
            stack_pointer: pointer::from_address(sp),
            a1: pointer::from_address(a1),
        };
        self.call(Request::with(Function::CpuControl, request)).map(|_| ())
    }

    /// Stops the CPU `number`, wherever it is, and returns when it waits in CFE again (`cfe_cpu_stop`). On CPU 0 only.
    ///
    /// # Errors
    /// CFE's: there is no other CPU with this number, or it does not stop.
    pub fn cpu_stop(&self, number: u64) -> Result<(), Error> {
        let request = CpuControl { cpu_number: number, command: CpuCommand::Stop.code(), ..CpuControl::default() };
        self.call(Request::with(Function::CpuControl, request)).map(|_| ())
    }

    /// The time since reset, in tenths of a second.
    ///
    /// # Errors
    /// CFE's.
    pub fn time(&self) -> Result<i64, Error> {
        let answer = self.call(Request::with(Function::GetTime, Time::default()))?;
        Ok(answer.parameters::<Time>().ticks)
    }

    /// The region of memory number `index`, from 0 on; `None` behind the last (`cfe_enummem`).
    ///
    /// # Errors
    /// CFE's, but for the one that ends the list.
    pub fn memory(&self, index: u32) -> Result<Option<MemoryRegion>, Error> {
        let request = MemoryInfo { index: index.into(), ..MemoryInfo::default() };
        match self.call(Request::with(Function::MemoryEnumerate, request)) {
            Ok(answer) => {
                let MemoryInfo { memory_type, address, size, .. } = answer.parameters();
                let is_available = memory_type == MemoryType::Available.code() as i64;
                Ok(Some(MemoryRegion { start: address, size, is_available }))
            }
            Err(Error::NoMore) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the data caches back and invalidates the instruction caches, or what else `what` says (`cfe_flushcache`).
    ///
    /// # Errors
    /// CFE's.
    pub fn flush_cache(&self, what: CacheFlags) -> Result<(), Error> {
        self.call(Request::new(Function::FlushCache).with_flags(what.0)).map(|_| ())
    }

    /// The handle of the standard console (`cfe_getstdhandle`).
    ///
    /// # Errors
    /// CFE's.
    pub fn standard_console(&self) -> Result<i64, Error> {
        let request = Request::new(Function::DeviceGetHandle).with_flags(STANDARD_HANDLE_CONSOLE);
        self.call(request).map(|answer| answer.handle)
    }

    /// Whether the device has something to read (`cfe_inpstat`).
    ///
    /// # Errors
    /// CFE's.
    pub fn has_input(&self, handle: i64) -> Result<bool, Error> {
        let request = Request::with(Function::DeviceInputStatus, InputStatus::default()).with_handle(handle);
        Ok(self.call(request)?.parameters::<InputStatus>().status != 0)
    }

    /// Reads from a device into `bytes`, which lie in KSEG0 or KSEG1; how many have come (`cfe_read`). Does not wait.
    ///
    /// # Errors
    /// CFE's.
    pub fn read(&self, handle: i64, bytes: &mut [u8]) -> Result<usize, Error> {
        self.transfer(Function::DeviceRead, handle, address_of(bytes), bytes.len())
    }

    /// Writes `bytes`, which lie in KSEG0 or KSEG1, to a device; how many it has taken (`cfe_write`).
    ///
    /// # Errors
    /// CFE's.
    pub fn write(&self, handle: i64, bytes: &[u8]) -> Result<usize, Error> {
        self.transfer(Function::DeviceWrite, handle, address_of(bytes), bytes.len())
    }

    fn transfer(&self, function: Function, handle: i64, pointer: u64, length: usize) -> Result<usize, Error> {
        let buffer = Buffer { pointer, length: length as u64, ..Buffer::default() };
        let answer = self.call(Request::with(function, buffer).with_handle(handle))?;
        // No firmware moves more than it was asked to; one that says so is not believed.
        Ok((answer.parameters::<Buffer>().returned_length as usize).min(length))
    }

    /// The value of the environment variable `name`, in `room`, without the zero that ends it (`cfe_getenv`). `name` ends with a zero,
    /// and both lie in KSEG0 or KSEG1.
    ///
    /// # Errors
    /// CFE's, [`Error::VariableNotFound`] among them.
    pub fn environment<'a>(&self, name: &core::ffi::CStr, room: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let request = EnvironmentBuffer {
            name: address_of(name.to_bytes_with_nul()),
            name_length: name.to_bytes().len() as i64,
            value: address_of(room),
            value_length: room.len() as i64,
            ..EnvironmentBuffer::default()
        };
        self.call(Request::with(Function::EnvironmentGet, request))?;
        let end = room.iter().position(|&byte| byte == 0).unwrap_or(room.len());
        Ok(&room[..end])
    }

    /// Gives the machine back to CFE with `status`; `warm` to its prompt, and not through reset (`cfe_exit`). Returns only if CFE
    /// refuses.
    pub fn exit(&self, warm: bool, status: i64) -> Error {
        let flags = if warm { FLAG_WARM_START } else { 0 };
        let request = Request::with(Function::Restart, ExitStatus { status }).with_flags(flags);
        self.call(request).err().unwrap_or(Error::General)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::vec::Vec;

    use super::*;

    /// Firmware that answers each request by the next of these, and keeps what it was asked.
    struct Script {
        answers: RefCell<Vec<fn(&mut Request)>>,
        asked: RefCell<Vec<Request>>,
    }

    impl Firmware for &Script {
        fn call(&self, request: &mut Request) {
            self.asked.borrow_mut().push(*request);
            let answer = self.answers.borrow_mut().remove(0);
            answer(request);
        }
    }

    fn script(answers: &[fn(&mut Request)]) -> Script {
        Script { answers: RefCell::new(answers.to_vec()), asked: RefCell::new(Vec::new()) }
    }

    #[test]
    fn only_the_seal_makes_it_cfe() {
        // SAFETY: nothing is called.
        let new = |handle, entry, seal| unsafe { EntryState::new(handle, entry, seal) }.err();
        assert_eq!(new(0x8000_1000, 0x9fc0_0500, SEAL), None);
        assert_eq!(new(0x8000_1000, 0x9fc0_0500, 0x4346_4530), Some(NotCfe::Seal(0x4346_4530)));
        assert_eq!(new(0x1000, 0x9fc0_0500, SEAL), Some(NotCfe::Address("handle", 0x1000)));
        assert_eq!(new(0x8000_1000, 0xc000_0000, SEAL), Some(NotCfe::Address("entry", 0xc000_0000)));
    }

    #[test]
    fn a_cpu_is_started_with_its_registers_sign_extended() {
        let firmware = script(&[|request| request.status = 0]);
        Cfe::new(&firmware).cpu_start(3, 0x8010_0000, 0x8020_0000, 0x8030_0000, 0x0001_0002).unwrap();
        let asked = firmware.asked.borrow()[0];
        assert_eq!((asked.function, asked.parameter_size), (3, 48));
        let words = [3, 1, 0xffff_ffff_8010_0000, 0xffff_ffff_8030_0000, 0xffff_ffff_8020_0000, 0x0001_0002];
        assert_eq!(asked.words[..6], words);
    }

    #[test]
    fn a_refusal_keeps_its_code() {
        let firmware = script(&[|request| request.status = -1, |request| request.status = -77]);
        let cfe = Cfe::new(&firmware);
        assert_eq!(cfe.cpu_stop(9), Err(Error::General));
        assert_eq!(cfe.cpu_stop(9).unwrap_err().code(), -77);
        assert_eq!(firmware.asked.borrow()[0].words[..2], [9, 0]);
    }

    #[test]
    fn memory_ends_where_there_is_no_more() {
        let firmware = script(&[
            |request| request.set_parameters(MemoryInfo { index: 0, memory_type: 1, address: 0x10_0000, size: 0x1000 }),
            |request| request.status = -28,
            |request| request.status = -4,
        ]);
        let cfe = Cfe::new(&firmware);
        let region = MemoryRegion { start: 0x10_0000, size: 0x1000, is_available: true };
        assert_eq!(cfe.memory(0), Ok(Some(region)));
        assert_eq!(cfe.memory(1), Ok(None));
        assert_eq!(cfe.memory(2), Err(Error::InputOutput));
    }

    #[test]
    fn more_than_was_asked_for_is_not_believed() {
        let firmware = script(&[|request| {
            let buffer: Buffer = request.parameters();
            request.set_parameters(Buffer { returned_length: 1 << 32 | 5, ..buffer });
        }]);
        assert_eq!(Cfe::new(&firmware).write(0, b"abc"), Ok(3));
    }

    #[test]
    fn one_cpu_or_several_is_what_firmware_says() {
        let firmware = script(&[
            |request| request.set_parameters(FirmwareInfo { flags: 0x12, ..FirmwareInfo::default() }),
            |request| request.set_parameters(FirmwareInfo { flags: 0x02, ..FirmwareInfo::default() }),
        ]);
        let cfe = Cfe::new(&firmware);
        assert_eq!(cfe.has_several_cpus(), Ok(true));
        assert_eq!(cfe.has_several_cpus(), Ok(false));
    }
}
