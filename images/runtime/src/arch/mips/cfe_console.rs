//! The console of CFE: its standard one, through its calls.

use alloc::boxed::Box;

use reveille_mips::cfe::Cfe;

use crate::console::Uart;

struct CfeConsole {
    cfe: &'static Cfe,
    handle: i64,
}

/// The console of `cfe`.
///
/// # Errors
/// It has none.
pub fn new(cfe: &'static Cfe) -> Result<Box<dyn Uart>, &'static str> {
    let handle = cfe.standard_console().map_err(|_| "CFE has no console")?;
    Ok(Box::new(CfeConsole { cfe, handle }))
}

impl Uart for CfeConsole {
    fn send(&mut self, byte: u8) {
        self.send_all(&[byte]);
    }

    fn send_all(&mut self, mut bytes: &[u8]) {
        // CFE may take a part; one that takes nothing has gone.
        while let Ok(taken @ 1..) = self.cfe.write(self.handle, bytes) {
            bytes = bytes.get(taken..).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let mut byte = [0];
        matches!(self.cfe.read(self.handle, &mut byte), Ok(1)).then_some(byte[0])
    }

    fn enable_receive_interrupt(&mut self) {}
}
