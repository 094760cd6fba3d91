// The way out of a system: what its CPUs execute on their way to the next one, or to where that takes them over.
//
// reveille_leave
//   entry: EL1, or EL2 with VHE; MMU and caches on or off; this code mapped to itself; x0 = the physical address to go on at,
//          x1 = what is in x0 there, x2 = the exception level there: 1, or 2 if the CPU was entered at EL2. If it dropped to EL1
//          since, VBAR_EL2 has kept the address of reveille_hyp_stub. x3, x4 = start and end of the memory that caches must
//          hold nothing of at the exit, in no matter whose cache it is.
//   exit:  there, interrupts masked, MMU and caches off, x1..x3 = 0, at EL2 without VHE's register names.
//   Uses registers only.

.pushsection .text.reveille_leave, "ax"

.global reveille_leave
.type reveille_leave, %function
.balign 4
reveille_leave:
	msr	daifset, #0xf
	mov	x19, x0
	mov	x20, x1
	mov	x21, x2
	mov	x22, x3
	mov	x23, x4
	dsb	sy
	mrs	x3, CurrentEL
	mrs	x0, sctlr_el1
	bic	x0, x0, #1		// M
	bic	x0, x0, #(1 << 2)	// C
	bic	x0, x0, #(1 << 12)	// I
	msr	sctlr_el1, x0
	isb
	ic	iallu
	dsb	nsh
	isb

	// Only now, since this CPU's own stack is among it.
	mrs	x0, ctr_el0
	ubfx	x0, x0, #16, #4		// DminLine
	mov	x1, #4
	lsl	x1, x1, x0
	sub	x0, x1, #1
	bic	x22, x22, x0
0:	cmp	x22, x23
	b.hs	1f
	dc	civac, x22
	add	x22, x22, x1
	b	0b
1:	dsb	sy
	cmp	x3, #(2 << 2)
	b.eq	.Lleave_el2
	tlbi	vmalle1
	dsb	nsh
	isb
	cmp	x21, #2
	b.ne	.Lleave_now
	hvc	#0			// to .Lleave_el2, by the stub

.Lleave_el2:
	mov	x0, #(1 << 31)		// HCR_EL2.RW: EL1 is AArch64. E2H and TGE are off.
	msr	hcr_el2, x0
	isb
	mov	x0, #0x0830		// SCTLR_EL2: the bits that read as 1 in ARMv8.0
	movk	x0, #0x30c5, lsl #16
	msr	sctlr_el2, x0
	mov	x0, #0x33ff		// CPTR_EL2: nothing of FP is trapped
	msr	cptr_el2, x0
	mov	x0, #3			// CNTHCTL_EL2: EL1 may use the physical counter and timer
	msr	cnthctl_el2, x0
	isb
	tlbi	alle2
	dsb	nsh
	isb
.Lleave_now:
	mov	x0, x20
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	br	x19
.size reveille_leave, . - reveille_leave

// Vectors for an EL2 that was left: an HVC from EL1 is the way back. Its MMU is off.
.balign 2048
.global reveille_hyp_stub
reveille_hyp_stub:
.rept 8
	b	.
	.balign 128
.endr
	b	.Lleave_el2		// synchronous, from AArch64 below
	.balign 128
.rept 7
	b	.
	.balign 128
.endr

// reveille_release_pen: position independent, for a copy in memory that the next system leaves alone.
//   entry: MMU and caches off, interrupts masked, x0 = the slot of this CPU: the word that it waits for at 0, and at
//          {SLOT_STATE} the one in which it says that it is here.
//   exit:  to the address in the word, x0..x3 = 0 (booting.rst).
.balign 64
.global reveille_release_pen
reveille_release_pen:
	mov	x1, #{WAITS}
	str	x1, [x0, #{SLOT_STATE}]
	dsb	sy
0:	ldr	x4, [x0]
	cbnz	x4, 1f
	wfe
	b	0b
1:	ic	iallu
	dsb	nsh
	isb
	mov	x0, xzr
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	br	x4
.global reveille_release_pen_end
reveille_release_pen_end:

.popsection
