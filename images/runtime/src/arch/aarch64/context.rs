//! What a thread switch saves.

use core::arch::naked_asm;

/// A thread's stack pointer while it does not run; the registers that a call preserves lie on the stack itself.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Context(usize);

const FRAME: usize = 96;

impl Context {
    /// Of a thread that runs already, until it is switched away from.
    pub const RUNNING: Self = Self(0);

    /// Of a thread that has not run: it will call `entry(argument)` on the stack that ends at `stack_top`.
    ///
    /// # Safety
    /// `stack_top` is 16-byte aligned, and at least 96 bytes below it are the new thread's own.
    #[must_use]
    pub unsafe fn new(stack_top: usize, entry: extern "C" fn(usize) -> !, argument: usize) -> Self {
        let frame = (stack_top - FRAME) as *mut usize;
        // x19 and x20, then x21..x28, x29 and x30, as `switch` loads them.
        let mut words = [0; FRAME / 8];
        words[0] = argument;
        words[1] = entry as *const () as usize;
        words[11] = start as *const () as usize;
        // SAFETY: the caller says that these bytes are the thread's.
        unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), frame, words.len()) };
        Self(frame as usize)
    }
}

/// Where a new thread's first [`switch`] returns to.
#[unsafe(naked)]
extern "C" fn start() {
    naked_asm!("mov x0, x19", "mov x29, xzr", "mov x30, xzr", "br x20")
}

/// Saves what runs in `from` and goes on with `to`. Returns when somebody switches back.
///
/// # Safety
/// Interrupts are masked; `to` was saved by this function or made by [`Context::new`], and nobody else goes on with it.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut Context, to: Context) {
    naked_asm!(
        "stp x19, x20, [sp, #-96]!",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        "mov x2, sp",
        "str x2, [x0]",
        "mov sp, x1",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "ldp x19, x20, [sp], #96",
        "ret",
    )
}
