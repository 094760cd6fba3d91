//! malta as the CFE server's board.

use core::ptr;

use cfe_abi::{CacheFlags, MemoryType};
use cfe_server::{Board, CallerMemory, Information, MemoryRegion, NotParked, StartRecord};

use crate::caches;
use crate::coherence::{Coherence, GIC_COUNTER_FREQUENCY};
use crate::console::Console;
use crate::cp0;
use crate::exit;
use crate::memory::RESERVED_END;

/// CFE counts time in tenths of a second.
const TICKS_PER_SECOND: u64 = 10;

/// The board.
pub struct Malta {
    memory: [MemoryRegion; 2],
    /// Where there is but one CPU, there is none.
    coherence: Option<Coherence>,
    /// The counter when it was last looked at, and how far it had gone since reset.
    counter: u32,
    elapsed: u64,
}

impl Malta {
    /// A board with so many bytes of memory.
    pub fn new(coherence: Option<Coherence>, memory: usize) -> Self {
        let region = |memory_type, begin: usize, end: usize| MemoryRegion {
            memory_type,
            address: begin as u64,
            size: (end - begin) as u64,
        };
        let memory = [
            region(MemoryType::Reserved, 0, RESERVED_END),
            region(MemoryType::Available, RESERVED_END, memory.max(RESERVED_END)),
        ];
        let mut board = Self { memory, coherence, counter: 0, elapsed: 0 };
        board.counter = board.read_counter().0;
        board
    }

    /// Counts time. Both counters wrap in less than a minute: like CFE's own, this clock loses what nobody looked at in between.
    pub fn count_time(&mut self) {
        let (now, _) = self.read_counter();
        self.elapsed += u64::from(now.wrapping_sub(self.counter));
        self.counter = now;
    }

    /// A counter that all CPUs have in common, and its rate: the GIC's, or Count where there is but one CPU.
    fn read_counter(&self) -> (u32, u32) {
        match self.coherence {
            Some(coherence) => (coherence.counter(), GIC_COUNTER_FREQUENCY),
            None => (cp0::count(), cp0::COUNT_FREQUENCY),
        }
    }
}

impl Board for Malta {
    fn information(&self) -> Information {
        let version = |part: &str| part.parse().unwrap_or_default();
        Information {
            version: (
                version(env!("CARGO_PKG_VERSION_MAJOR")),
                version(env!("CARGO_PKG_VERSION_MINOR")),
                version(env!("CARGO_PKG_VERSION_PATCH")),
            ),
            ..Information::default()
        }
    }

    fn memory_map(&self) -> &[MemoryRegion] {
        &self.memory
    }

    fn read_memory(&self, memory: CallerMemory, bytes: &mut [u8]) {
        assert_eq!(memory.length(), bytes.len());
        // SAFETY: the server has checked that it is the program's memory, which no slice of the ROM's is part of. The program waits for
        // the answer; if another of its CPUs writes there, it gets what it asked for.
        unsafe { ptr::copy_nonoverlapping(memory.address() as *const u8, bytes.as_mut_ptr(), bytes.len()) }
    }

    fn write_memory(&mut self, memory: CallerMemory, bytes: &[u8]) {
        assert_eq!(memory.length(), bytes.len());
        // SAFETY: as above.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory.address() as *mut u8, bytes.len()) }
    }

    fn console_write(&mut self, bytes: &[u8]) -> usize {
        Console.send(bytes);
        bytes.len()
    }

    fn console_read(&mut self, bytes: &mut [u8]) -> usize {
        Console.receive(bytes)
    }

    fn console_has_input(&mut self) -> bool {
        Console.has_input()
    }

    fn cpu_start(&mut self, cpu: u32, record: StartRecord) {
        if let Some(coherence) = self.coherence {
            coherence.start(cpu as usize, record);
        }
    }

    fn cpu_stop(&mut self, cpu: u32) -> Result<(), NotParked> {
        self.coherence.ok_or(NotParked)?.stop(cpu as usize)
    }

    fn ticks(&mut self) -> i64 {
        let (_, frequency) = self.read_counter();
        (self.elapsed * TICKS_PER_SECOND / u64::from(frequency)) as i64
    }

    fn flush_cache(&mut self, flags: CacheFlags) {
        // To invalidate data without writing them back would lose the ROM's own, such as the lock that is held. The second level is
        // behind everything that could look past it.
        if flags.contains(CacheFlags::FLUSH_DATA) || flags.contains(CacheFlags::INVALIDATE_DATA) {
            caches::write_back_data();
        }
        if flags.contains(CacheFlags::INVALIDATE_INSTRUCTION) {
            caches::invalidate_instructions();
        }
    }

    fn restart(&mut self, _warm: bool, status: i64) -> ! {
        exit::end_run(status as i32)
    }
}
