//! What must be known of QEMU's `virt` with `secure=on` before its devicetree is read, or that the devicetree keeps for other uses.

/// Where QEMU puts the devicetree for firmware: the start of memory.
pub const DEVICETREE: usize = 0x4000_0000;
/// The UART that is the console of all stages, a PL011.
pub const UART: usize = 0x0900_0000;
/// The UART that only the secure world sees, a PL011.
pub const SECURE_UART: usize = 0x0904_0000;
/// The rate of their clock, in Hz.
pub const UART_CLOCK: u32 = 24_000_000;
/// The GPIO controller that only the secure world sees, a PL061.
pub const SECURE_GPIO: usize = 0x090b_0000;
/// Its pin that switches the machine off.
pub const POWER_OFF_PIN: u32 = 0;
/// Its pin that resets the machine.
pub const RESET_PIN: u32 = 1;
/// The rate of the counter, in Hz, where nothing else has told the CPU.
pub const COUNTER_FREQUENCY: u64 = 62_500_000;
