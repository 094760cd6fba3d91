//! A boot loader of a few instructions: QEMU boots it in place of an image, and it goes on to the image, which lies elsewhere.
//! On the way it can set up devices that an image finds set up by firmware.

use std::path::{Path, PathBuf};

/// The instructions of a boot loader that is being put together.
#[derive(Default)]
pub struct Stub(Vec<u32>);

impl Stub {
    /// Sets register `x` to `value` (MOVZ, MOVK).
    fn set(&mut self, x: u32, value: u64) {
        for part in 0..4 {
            let operation = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
            let bits = (value >> (16 * part)) as u32 & 0xffff;
            self.0.push(operation | part << 21 | bits << 5 | x);
        }
    }

    /// Stores 32 bits at an address.
    #[must_use]
    pub fn store(mut self, address: u64, value: u32) -> Self {
        self.set(9, address);
        self.set(10, u64::from(value));
        self.0.push(0xb900_0000 | 9 << 5 | 10);
        self
    }

    /// Has PSCI, called by HVC, start a CPU at `address`, with `context` in its x0.
    #[must_use]
    pub fn start_cpu(mut self, id: u64, address: u64, context: u64) -> Self {
        const CPU_ON: u64 = 0xc400_0003;
        // MOV X19, X0; HVC #0; MOV X0, X19: the devicetree's address is kept.
        self.0.push(0xaa00_03f3);
        for (x, value) in (0..).zip([CPU_ON, id, address, context]) {
            self.set(x, value);
        }
        self.0.push(0xd400_0002);
        self.0.push(0xaa13_03e0);
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

    /// Goes on at `address`, with x0 to x3 as QEMU has set them unless told otherwise, and writes all that as an arm64 Image to a file in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn jump(mut self, address: u64, folder: &Path) -> Result<PathBuf, String> {
        self.set(9, address);
        self.0.push(0xd61f_0000 | 9 << 5);
        let mut image = vec![0_u8; 64];
        // A branch over the header.
        image[..4].copy_from_slice(&(0x1400_0000_u32 | 16).to_le_bytes());
        let size = 64 + self.0.len() as u64 * 4;
        image[16..24].copy_from_slice(&size.to_le_bytes());
        image[24] = 0xa;
        image[56..60].copy_from_slice(b"ARM\x64");
        image.extend(self.0.iter().flat_map(|instruction| instruction.to_le_bytes()));
        let file = folder.join("stub.Image");
        std::fs::write(&file, image).map_err(|error| error.to_string())?;
        Ok(file)
    }
}
