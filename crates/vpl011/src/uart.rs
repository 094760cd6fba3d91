//! The registers.

use crate::queue::{Full, Queue};

const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const LOW_POWER_COUNTER: u64 = 0x20;
const INTEGER_BAUD_RATE: u64 = 0x24;
const FRACTIONAL_BAUD_RATE: u64 = 0x28;
const LINE_CONTROL: u64 = 0x2c;
const CONTROL: u64 = 0x30;
const FIFO_LEVELS: u64 = 0x34;
const INTERRUPT_MASK: u64 = 0x38;
const RAW_INTERRUPTS: u64 = 0x3c;
const MASKED_INTERRUPTS: u64 = 0x40;
const INTERRUPT_CLEAR: u64 = 0x44;
const DMA_CONTROL: u64 = 0x48;
const IDENTIFICATION: u64 = 0xfe0;

/// UARTPeriphID0 to 3 (revision r1p4, with FIFOs of 16 bytes), UARTPCellID0 to 3.
const IDS: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

const FLAG_MODEM: u32 = 0b111;
const FLAG_RECEIVE_EMPTY: u32 = 1 << 4;
const FLAG_RECEIVE_FULL: u32 = 1 << 6;
const FLAG_TRANSMIT_EMPTY: u32 = 1 << 7;

const LINE_FIFOS: u32 = 1 << 4;
const CONTROL_LOOPBACK: u32 = 1 << 7;
/// UARTCR after reset: transmission and reception enabled, the UART not.
const CONTROL_RESET: u32 = 0x300;
/// UARTIFLS after reset: both FIFOs half full.
const LEVELS_RESET: u32 = 0x12;

const RECEIVED: u32 = 1 << 4;
const TRANSMITTED: u32 = 1 << 5;
const RECEIVE_TIMEOUT: u32 = 1 << 6;
const ALL_INTERRUPTS: u32 = 0x7ff;

const FIFO: usize = 16;

/// A PL011.
#[derive(Clone, Debug)]
pub struct Vpl011 {
    /// What was received: as much of it as the FIFO is deep is in the FIFO, the rest waits.
    input: Queue,
    low_power_counter: u32,
    integer_baud_rate: u32,
    fractional_baud_rate: u32,
    line_control: u32,
    control: u32,
    fifo_levels: u32,
    dma_control: u32,
    interrupt_mask: u32,
    interrupts: u32,
}

impl Default for Vpl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Vpl011 {
    /// As after reset.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            input: Queue::new(),
            low_power_counter: 0,
            integer_baud_rate: 0,
            fractional_baud_rate: 0,
            line_control: 0,
            control: CONTROL_RESET,
            fifo_levels: LEVELS_RESET,
            dma_control: 0,
            interrupt_mask: 0,
            interrupts: 0,
        }
    }

    /// The level of the interrupt line (UARTINTR).
    #[must_use]
    pub const fn interrupt(&self) -> bool {
        self.interrupts & self.interrupt_mask != 0
    }

    /// A byte for the guest, as if it came over the line.
    ///
    /// # Errors
    ///
    /// [`Full`]: it was not taken.
    pub fn receive(&mut self, byte: u8) -> Result<(), Full> {
        self.input.push(byte)?;
        if self.input.len() <= self.fifo_depth() {
            self.arrived();
        }
        Ok(())
    }

    /// A guest reads at an offset. Wider accesses than 32 bits read zeroes above them; narrower ones take what they need.
    pub fn read(&mut self, offset: u64) -> u64 {
        let register = match offset & !0b11 {
            DATA => self.take(),
            FLAGS => self.flags(),
            LOW_POWER_COUNTER => self.low_power_counter,
            INTEGER_BAUD_RATE => self.integer_baud_rate,
            FRACTIONAL_BAUD_RATE => self.fractional_baud_rate,
            LINE_CONTROL => self.line_control,
            CONTROL => self.control,
            FIFO_LEVELS => self.fifo_levels,
            INTERRUPT_MASK => self.interrupt_mask,
            RAW_INTERRUPTS => self.interrupts,
            MASKED_INTERRUPTS => self.interrupts & self.interrupt_mask,
            DMA_CONTROL => self.dma_control,
            id @ IDENTIFICATION..0x1000 => IDS[(id - IDENTIFICATION) as usize / 4].into(),
            _ => 0,
        };
        u64::from(register >> (8 * (offset & 0b11)))
    }

    /// A guest writes at an offset. What comes back is a byte that it sends.
    ///
    /// Registers take all their bits from any access to their first byte, as on the bus of 16 bits that the UART is made for.
    pub fn write(&mut self, offset: u64, value: u64) -> Option<u8> {
        let value = value as u32;
        match offset {
            DATA => return self.send(value as u8),
            LOW_POWER_COUNTER => self.low_power_counter = value & 0xff,
            INTEGER_BAUD_RATE => self.integer_baud_rate = value & 0xffff,
            FRACTIONAL_BAUD_RATE => self.fractional_baud_rate = value & 0x3f,
            LINE_CONTROL => {
                self.line_control = value & 0xff;
                self.level_changed();
            }
            CONTROL => self.control = value & 0xffff,
            FIFO_LEVELS => self.fifo_levels = value & 0x3f,
            INTERRUPT_MASK => self.interrupt_mask = value & ALL_INTERRUPTS,
            INTERRUPT_CLEAR => self.interrupts &= !value,
            DMA_CONTROL => self.dma_control = value & 0b111,
            _ => {}
        }
        None
    }

    fn flags(&self) -> u32 {
        FLAG_MODEM
            | FLAG_TRANSMIT_EMPTY
            | if self.input.len() == 0 { FLAG_RECEIVE_EMPTY } else { 0 }
            | if self.input.len() >= self.fifo_depth() { FLAG_RECEIVE_FULL } else { 0 }
    }

    const fn fifo_depth(&self) -> usize {
        if self.line_control & LINE_FIFOS != 0 { FIFO } else { 1 }
    }

    /// At how many bytes in the FIFO there is an interrupt: 1/8, 1/4, 1/2, 3/4 or 7/8 of it (UARTIFLS.RXIFLSEL).
    fn receive_level(&self) -> usize {
        let eighths = match self.fifo_levels >> 3 & 0b111 {
            0 => 1,
            1 => 2,
            2 => 4,
            3 => 6,
            _ => 7,
        };
        (self.fifo_depth() * eighths / 8).max(1)
    }

    fn send(&mut self, byte: u8) -> Option<u8> {
        self.interrupts |= TRANSMITTED;
        if self.control & CONTROL_LOOPBACK == 0 {
            return Some(byte);
        }
        // What does not fit is lost, as on a line that nobody reads.
        let _ = self.receive(byte);
        None
    }

    fn take(&mut self) -> u32 {
        let Some(byte) = self.input.pop() else {
            return 0;
        };
        self.level_changed();
        byte.into()
    }

    /// A byte came into the FIFO.
    fn arrived(&mut self) {
        self.interrupts |= RECEIVE_TIMEOUT;
        if self.input.len() >= self.receive_level() {
            self.interrupts |= RECEIVED;
        }
    }

    /// The FIFO holds less, or is less deep or deeper, than before; bytes that waited move up.
    fn level_changed(&mut self) {
        if self.input.len() >= self.fifo_depth() {
            self.arrived();
        }
        if self.input.len() < self.receive_level() {
            self.interrupts &= !RECEIVED;
        }
        if self.input.len() == 0 {
            self.interrupts &= !RECEIVE_TIMEOUT;
        }
    }
}
