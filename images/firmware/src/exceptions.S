// The exception vectors of EL3, and the way to what runs below.
//
// What comes from lower levels saves all general registers on the CPU's own stack (exceptions::Frame), is handled in Rust, and
// goes back with what the frame then holds. ELR_EL3 and SPSR_EL3 stay in their registers: EL3 takes no second exception.

.macro	vector handler
.balign	0x80
	b	\handler
.endm

.section .text.vectors, "ax"
.balign	0x800
.global vectors
vectors:
	vector	unexpected			// EL3 with SP_EL0
	vector	unexpected
	vector	unexpected
	vector	unexpected
	vector	unexpected			// EL3 with SP_EL3
	vector	unexpected
	vector	unexpected
	vector	unexpected
	vector	lower_synchronous		// lower levels in AArch64: synchronous, IRQ, FIQ, SError
	vector	unexpected
	vector	lower_fiq
	vector	unexpected
	vector	lower_synchronous		// in AArch32
	vector	unexpected
	vector	lower_fiq
	vector	unexpected

.macro	save_frame
	sub	sp, sp, #{FRAME_SIZE}
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	str	x30, [sp, #240]
	mov	x0, sp
.endm

lower_synchronous:
	save_frame
	bl	handle_synchronous
	b	load_frame

lower_fiq:
	save_frame
	bl	handle_fiq
	b	load_frame

// sp = a frame.
load_frame:
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp]
	add	sp, sp, #{FRAME_SIZE}
	eret

// The CPU's own stack may be what is wrong. That of the boot is free, and nothing comes after this.
unexpected:
	adrp	x0, {BOOT_STACK}
	add	x0, x0, #({BOOT_STACK_SIZE} >> 12), lsl #12
	mov	sp, x0
	bl	handle_unexpected
	b	.

// enter_lower(x0 = what x0 is to be there, x1 = the top of this CPU's stack)
//   ELR_EL3 and SPSR_EL3 say where to. All other general registers are 0.
.global enter_lower
enter_lower:
	mov	sp, x1
	sub	sp, sp, #{FRAME_SIZE}
	mov	x2, sp
	mov	x3, #{FRAME_SIZE}
0:	stp	xzr, xzr, [x2], #16
	subs	x3, x3, #16
	b.ne	0b
	str	x0, [sp]
	ic	iallu
	dsb	sy
	isb
	b	load_frame
