//! Images of a few instructions. As a boot loader: QEMU boots it in place of an image, and it goes on to the image, which lies elsewhere;
//! on the way it can set up devices that an image finds set up by firmware. As a guest of the hypervisor: it does one thing.

use std::path::{Path, PathBuf};

/// Where guests of the hypervisor have their PL011.
const UART: u64 = 0x0900_0000;

/// The instructions of an image that is being put together.
#[derive(Default)]
pub struct Stub {
    instructions: Vec<u32>,
    /// How much memory it says to need, if that is more than there are instructions.
    needs: u64,
}

impl Stub {
    /// Sets register `x` to `value` (MOVZ, MOVK).
    fn set(&mut self, x: u32, value: u64) {
        for part in 0..4 {
            let operation = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
            let bits = (value >> (16 * part)) as u32 & 0xffff;
            self.instructions.push(operation | part << 21 | bits << 5 | x);
        }
    }

    /// Stores 32 bits at an address.
    #[must_use]
    pub fn store(mut self, address: u64, value: u32) -> Self {
        self.set(9, address);
        self.set(10, u64::from(value));
        self.instructions.push(0xb900_0000 | 9 << 5 | 10);
        self
    }

    /// Has PSCI, called by HVC, start a CPU at `address`, with `context` in its x0.
    #[must_use]
    pub fn start_cpu(mut self, id: u64, address: u64, context: u64) -> Self {
        const CPU_ON: u64 = 0xc400_0003;
        // MOV X19, X0; HVC #0; MOV X0, X19: the devicetree's address is kept.
        self.instructions.push(0xaa00_03f3);
        for (x, value) in (0..).zip([CPU_ON, id, address, context]) {
            self.set(x, value);
        }
        self.instructions.push(0xd400_0002);
        self.instructions.push(0xaa13_03e0);
        for x in 1..4 {
            self.set(x, 0);
        }
        self
    }

    /// Hands the image the devicetree at `address` instead of QEMU's.
    #[must_use]
    pub fn devicetree(mut self, address: u64) -> Self {
        self.set(0, address);
        self
    }

    /// Prints `text` on the PL011 that guests have where QEMU's virt has it.
    #[must_use]
    pub fn print(self, text: &str) -> Self {
        text.bytes().fold(self, |stub, byte| stub.store(UART, byte.into()))
    }

    /// Prints `0` if the 64 bits at `address` are even, and else `1`; makes them odd.
    #[must_use]
    pub fn print_and_set_lowest_bit(mut self, address: u64) -> Self {
        self.set(9, address);
        self.set(11, UART);
        self.instructions.extend([
            0xf940_012a, // LDR X10, [X9]
            0x9240_014c, // AND X12, X10, #1
            0x1100_c18c, // ADD W12, W12, #'0'
            0xb900_016c, // STR W12, [X11]
            0xb240_014a, // ORR X10, X10, #1
            0xf900_012a, // STR X10, [X9]
        ]);
        self
    }

    /// Has PSCI, called by HVC, do what needs no arguments.
    #[must_use]
    pub fn call(mut self, function: u64) -> Self {
        self.set(0, function);
        self.instructions.push(0xd400_0002);
        self
    }

    /// Says in its header that it needs so many bytes.
    #[must_use]
    pub fn needs(self, bytes: u64) -> Self {
        Self { needs: bytes, ..self }
    }

    /// Sleeps for ever.
    #[must_use]
    pub fn sleep(mut self) -> Self {
        // WFI; B .-4
        self.instructions.extend([0xd503_207f, 0x17ff_ffff]);
        self
    }

    /// For ever sends back what the UART receives.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.set(9, UART);
        self.instructions.extend([
            0xd503_203f, // YIELD
            0xb940_192a, // LDR W10, [X9, #0x18]: the flags
            0x3727_ffca, // TBNZ W10, #4, .-8: nothing was received
            0xb940_012a, // LDR W10, [X9]
            0xb900_012a, // STR W10, [X9]
            0x17ff_fffb, // B .-20
        ]);
        self
    }

    /// Goes on at `address`, with x0 to x3 as QEMU has set them unless told otherwise, and writes all that as an arm64 Image to a file in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn jump(mut self, address: u64, folder: &Path) -> Result<PathBuf, String> {
        self.set(9, address);
        self.instructions.push(0xd61f_0000 | 9 << 5);
        self.write(folder, "stub.Image")
    }

    /// Writes all that as an arm64 Image to a file of this name in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(self, folder: &Path, name: &str) -> Result<PathBuf, String> {
        let mut image = vec![0_u8; 64];
        // A branch over the header.
        image[..4].copy_from_slice(&(0x1400_0000_u32 | 16).to_le_bytes());
        let size = self.needs.max(64 + self.instructions.len() as u64 * 4);
        image[16..24].copy_from_slice(&size.to_le_bytes());
        image[24] = 0xa;
        image[56..60].copy_from_slice(b"ARM\x64");
        image.extend(self.instructions.iter().flat_map(|instruction| instruction.to_le_bytes()));
        let file = folder.join(name);
        std::fs::write(&file, image).map_err(|error| error.to_string())?;
        Ok(file)
    }
}
