//! What a thread switch saves.

use core::arch::naked_asm;

/// A thread's stack pointer while it does not run; the registers that a call preserves lie on the stack itself.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Context(usize);

/// s0 to s7, fp and ra, in whole double words.
const FRAME: usize = 40;
/// What the O32 convention has a caller leave for the registers of its callee.
const ARGUMENT_AREA: usize = 16;

impl Context {
    /// Of a thread that runs already, until it is switched away from.
    pub const RUNNING: Self = Self(0);

    /// Of a thread that has not run: it will call `entry(argument)` on the stack that ends at `stack_top`.
    ///
    /// # Safety
    /// `stack_top` is 8-byte aligned, and at least 56 bytes below it are the new thread's own.
    #[must_use]
    pub unsafe fn new(stack_top: usize, entry: extern "C" fn(usize) -> !, argument: usize) -> Self {
        let frame = (stack_top - ARGUMENT_AREA - FRAME) as *mut usize;
        // s0 to s7, fp and ra, as `switch` loads them.
        let mut words = [0; FRAME / 4];
        words[0] = argument;
        words[1] = entry as *const () as usize;
        words[9] = start as *const () as usize;
        // SAFETY: the caller says that these bytes are the thread's.
        unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), frame, words.len()) };
        Self(frame as usize)
    }
}

/// Where a new thread's first [`switch`] returns to.
#[unsafe(naked)]
extern "C" fn start() {
    naked_asm!(
        ".set push",
        ".set noreorder",
        "move $4, $16",
        "move $25, $17",
        "move $30, $0",
        "jr $25",
        "move $31, $0",
        ".set pop"
    )
}

/// Saves what runs in `from` and goes on with `to`. Returns when somebody switches back.
///
/// # Safety
/// Interrupts are masked; `to` was saved by this function or made by [`Context::new`], and nobody else goes on with it.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut Context, to: Context) {
    naked_asm!(
        ".set push",
        ".set noreorder",
        "addiu $29, $29, -40",
        "sw $16, 0($29)",
        "sw $17, 4($29)",
        "sw $18, 8($29)",
        "sw $19, 12($29)",
        "sw $20, 16($29)",
        "sw $21, 20($29)",
        "sw $22, 24($29)",
        "sw $23, 28($29)",
        "sw $30, 32($29)",
        "sw $31, 36($29)",
        "sw $29, 0($4)",
        "move $29, $5",
        "lw $16, 0($29)",
        "lw $17, 4($29)",
        "lw $18, 8($29)",
        "lw $19, 12($29)",
        "lw $20, 16($29)",
        "lw $21, 20($29)",
        "lw $22, 24($29)",
        "lw $23, 28($29)",
        "lw $30, 32($29)",
        "lw $31, 36($29)",
        "jr $31",
        "addiu $29, $29, 40",
        ".set pop"
    )
}
