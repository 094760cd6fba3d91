// Into the guest and out of it.
//
// enter_guest
//   entry: EL2 with E2H, interrupts masked, x0 = the guest's registers (enter::Registers); what else is the vCPU's is loaded.
//   exit:  to the caller, x0 = which vector of a lower level (0 to 3: synchronous, IRQ, FIQ, SError), interrupts masked.
//   TPIDR_EL1 is the guest's in between, and the image's outside. HCR_EL2.TGE is 0 (virt::activate_traps).
//
// guest_vectors: the runtime's, but that exceptions from lower levels come out of enter_guest.

.pushsection .text.enter_guest, "ax"

.global enter_guest
.type enter_guest, %function
.balign 16
enter_guest:
	stp	x19, x20, [sp, #-112]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	mrs	x1, tpidr_el1
	stp	x0, x1, [sp, #96]

	ldp	x1, x2, [x0, #{PC}]
	ldr	x3, [x0, #{THREAD_POINTER}]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	msr	tpidr_el1, x3

	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret

// x0 and x1 of the guest are on the stack, x0 = which vector.
leave_guest:
	ldr	x1, [sp, #112]
	stp	x2, x3, [x1, #16]
	stp	x4, x5, [x1, #32]
	stp	x6, x7, [x1, #48]
	stp	x8, x9, [x1, #64]
	stp	x10, x11, [x1, #80]
	stp	x12, x13, [x1, #96]
	stp	x14, x15, [x1, #112]
	stp	x16, x17, [x1, #128]
	stp	x18, x19, [x1, #144]
	stp	x20, x21, [x1, #160]
	stp	x22, x23, [x1, #176]
	stp	x24, x25, [x1, #192]
	stp	x26, x27, [x1, #208]
	stp	x28, x29, [x1, #224]
	str	x30, [x1, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x1]
	mrs	x2, elr_el2
	mrs	x3, spsr_el2
	mrs	x4, tpidr_el1
	stp	x2, x3, [x1, #{PC}]
	str	x4, [x1, #{THREAD_POINTER}]

	ldr	x2, [sp, #104]
	msr	tpidr_el1, x2
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #112
	ret
.size enter_guest, . - enter_guest

.macro	of_the_image number
.balign	0x80
	b	vectors + 0x80 * \number
.endm

.macro	of_the_guest kind
.balign	0x80
	stp	x0, x1, [sp, #-16]!
	mov	x0, #\kind
	b	leave_guest
.endm

.balign	0x800
.global guest_vectors
guest_vectors:
	of_the_image	0	// current EL with SP_EL0
	of_the_image	1
	of_the_image	2
	of_the_image	3
	of_the_image	4	// current EL with SP_ELx
	of_the_image	5
	of_the_image	6
	of_the_image	7
	of_the_guest	0	// lower EL, AArch64: synchronous, IRQ, FIQ, SError
	of_the_guest	1
	of_the_guest	2
	of_the_guest	3
	of_the_guest	0	// lower EL, AArch32
	of_the_guest	1
	of_the_guest	2
	of_the_guest	3

// x0 = 528 bytes, 16-byte aligned: V0 to V31, FPSR, FPCR.
.arch_extension fp
.arch_extension simd
.global save_floating_point
.type save_floating_point, %function
save_floating_point:
	stp	q0, q1, [x0, #0]
	stp	q2, q3, [x0, #32]
	stp	q4, q5, [x0, #64]
	stp	q6, q7, [x0, #96]
	stp	q8, q9, [x0, #128]
	stp	q10, q11, [x0, #160]
	stp	q12, q13, [x0, #192]
	stp	q14, q15, [x0, #224]
	stp	q16, q17, [x0, #256]
	stp	q18, q19, [x0, #288]
	stp	q20, q21, [x0, #320]
	stp	q22, q23, [x0, #352]
	stp	q24, q25, [x0, #384]
	stp	q26, q27, [x0, #416]
	stp	q28, q29, [x0, #448]
	stp	q30, q31, [x0, #480]
	mrs	x1, fpsr
	mrs	x2, fpcr
	add	x0, x0, #512
	stp	x1, x2, [x0]
	ret
.size save_floating_point, . - save_floating_point

.global load_floating_point
.type load_floating_point, %function
load_floating_point:
	ldp	q0, q1, [x0, #0]
	ldp	q2, q3, [x0, #32]
	ldp	q4, q5, [x0, #64]
	ldp	q6, q7, [x0, #96]
	ldp	q8, q9, [x0, #128]
	ldp	q10, q11, [x0, #160]
	ldp	q12, q13, [x0, #192]
	ldp	q14, q15, [x0, #224]
	ldp	q16, q17, [x0, #256]
	ldp	q18, q19, [x0, #288]
	ldp	q20, q21, [x0, #320]
	ldp	q22, q23, [x0, #352]
	ldp	q24, q25, [x0, #384]
	ldp	q26, q27, [x0, #416]
	ldp	q28, q29, [x0, #448]
	ldp	q30, q31, [x0, #480]
	add	x0, x0, #512
	ldp	x1, x2, [x0]
	msr	fpsr, x1
	msr	fpcr, x2
	ret
.size load_floating_point, . - load_floating_point
.arch_extension nosimd
.arch_extension nofp

.popsection
