//! [`Masked`]: while it lives, this CPU takes no interrupts.

use core::marker::PhantomData;

use crate::arch::interrupts;

/// Interrupts are masked on this CPU until this is dropped, unless they were masked before.
pub struct Masked {
    unmask: bool,
    _of_this_cpu: PhantomData<*mut ()>,
}

/// Masks interrupts on this CPU.
#[must_use]
pub fn mask() -> Masked {
    let unmask = interrupts::are_enabled();
    interrupts::disable();
    Masked { unmask, _of_this_cpu: PhantomData }
}

impl Drop for Masked {
    fn drop(&mut self) {
        if self.unmask {
            interrupts::enable();
        }
    }
}
