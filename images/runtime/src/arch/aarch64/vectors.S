// The exception vectors. Every exception saves a frame (exceptions::Frame) on the stack of what it interrupted; a
// stack that has run into its guard page is told by bits 14:12 of its pointer, which are 0 nowhere else, and the frame goes
// to the CPU's overflow stack.

.macro	vector kind
.balign	0x80
	sub	sp, sp, #{FRAME_SIZE}
	add	sp, sp, x0
	sub	x0, sp, x0
	tst	x0, #{GUARD_BITS}
	b.eq	0f
	sub	x0, sp, x0
	sub	sp, sp, x0
	stp	x0, x1, [sp]
	mov	x1, #\kind
	b	save_frame
0:	msr	tpidrro_el0, x0		// the stack pointer
	sub	x0, sp, x0
	msr	tpidr_el0, x0		// x0
	mov	x0, #\kind
	b	stack_overflow
.endm

.macro	load_frame
	ldp	x2, x3, [sp, #248]
	ldr	x30, [sp, #240]
	msr	elr_el1, x2
	msr	spsr_el1, x3
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
	ldp	x0, x1, [sp]
	add	sp, sp, #{FRAME_SIZE}
.endm

.pushsection .text.vectors, "ax"
.balign	0x800
.global vectors
vectors:
	vector	0	// current EL with SP_EL0: synchronous, IRQ, FIQ, SError
	vector	1
	vector	2
	vector	3
	vector	4	// current EL with SP_ELx
	vector	5
	vector	6
	vector	7
	vector	8	// lower EL, AArch64
	vector	9
	vector	10
	vector	11
	vector	12	// lower EL, AArch32
	vector	13
	vector	14
	vector	15

// x0 and x1 are saved, x1 = which vector.
save_frame:
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
	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	str	x30, [sp, #240]
	stp	x2, x3, [sp, #248]
	mov	x0, sp
	cmp	x1, #5
	b.ne	0f
	bl	handle_interrupt
	load_frame
	eret
0:	bl	handle_exception
	b	.

// x0 = which vector, TPIDR_EL0 = x0, TPIDRRO_EL0 = the stack pointer. Does not come back.
stack_overflow:
	mrs	x29, tpidr_el1
	adrp	x30, {overflow_stack}
	add	x30, x30, :lo12:{overflow_stack}
	add	x30, x30, x29
	add	x30, x30, #{OVERFLOW_STACK_SIZE}
	mov	sp, x30
	mrs	x1, tpidrro_el0
	add	x1, x1, #{FRAME_SIZE}
	mrs	x2, elr_el1
	bl	handle_stack_overflow
	b	.
.popsection
