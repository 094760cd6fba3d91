//! What a server asks of the hardware it runs on.

use cfe_abi::{CacheFlags, MemoryType};

use crate::memory::CallerMemory;

/// The hardware behind a [`Server`](crate::Server). It does as it is told; what is allowed, the server decides.
pub trait Board {
    /// What a program is told about firmware and board.
    fn information(&self) -> Information {
        Information::default()
    }

    /// The memory of the machine, and which of it programs may use.
    fn memory_map(&self) -> &[MemoryRegion];

    /// Copies the caller's memory to `bytes`, which are as many.
    fn read_memory(&self, memory: CallerMemory, bytes: &mut [u8]);

    /// Copies `bytes` to the caller's memory, which is as long.
    fn write_memory(&mut self, memory: CallerMemory, bytes: &[u8]);

    /// Writes to the console, and returns how much it took.
    fn console_write(&mut self, bytes: &[u8]) -> usize;

    /// Reads what has come in on the console and fits, without waiting. Returns how much that is.
    fn console_read(&mut self, bytes: &mut [u8]) -> usize;

    /// Whether [`Board::console_read`] would read something.
    fn console_has_input(&mut self) -> bool;

    /// Lets a parked CPU begin at a record. Does not wait for it.
    fn cpu_start(&mut self, cpu: u32, record: StartRecord);

    /// Resets a CPU, whatever it does, and waits, within a limit, until it has parked.
    fn cpu_stop(&mut self, cpu: u32) -> Result<(), NotParked>;

    /// Tenths of a second since reset.
    fn ticks(&mut self) -> i64;

    /// Does to the calling CPU's caches what the flags say.
    fn flush_cache(&mut self, flags: CacheFlags);

    /// Takes the machine back from a program that ended with `status`: through reset or, if `warm`, without.
    fn restart(&mut self, warm: bool, status: i64) -> !;
}

/// What a CPU that is started begins with. Its other registers are as CFE's interface has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartRecord {
    /// Where it begins: never 0, which in a record means that the CPU is to stay parked.
    pub pc: u32,
    /// Its stack pointer.
    pub sp: u32,
    /// Its global pointer.
    pub gp: u32,
    /// Its `a1`.
    pub a1: u32,
}

/// A CPU did not park within the board's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CPU did not park")]
pub struct NotParked;

/// A region of the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    /// Whether programs may use it.
    pub memory_type: MemoryType,
    /// Its physical address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// What GETINFO tells of firmware and board, beside what the server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Information {
    /// Firmware's version: major, minor, build.
    pub version: (u8, u8, u8),
    /// The board, by a number of its maker's.
    pub board_id: i64,
    /// Where boot loaders go, if firmware loads such.
    pub boot_area: BootArea,
}

/// Memory into which firmware loads boot loaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootArea {
    /// Its virtual address, in KSEG0 or KSEG1.
    pub virtual_address: u32,
    /// Its physical address.
    pub physical_address: u32,
    /// Its size in bytes.
    pub size: u32,
}
