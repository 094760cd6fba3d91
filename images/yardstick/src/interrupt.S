// Interrupts from one CPU to another, in assembly.
//
// yardstick_ipi_entry: entered by CPU_ON with x0 = an [`Interrupted`]. Sets up its redistributor and CPU interface, counts itself in, and
//   sleeps, taking SGI 0. MMU off.

.pushsection .text.yardstick, "ax"

.global yardstick_ipi_entry
yardstick_ipi_entry:
	mov	x19, x0
	ldr	x20, [x19, #{REDISTRIBUTOR}]
	ldr	w0, [x20, #0x14]	// GICR_WAKER
	bic	w0, w0, #(1 << 1)
	str	w0, [x20, #0x14]
1:	ldr	w0, [x20, #0x14]
	tbnz	w0, #2, 1b
	add	x20, x20, #0x10000	// the frame of SGIs and PPIs
	mov	w0, #-1
	str	w0, [x20, #0x80]	// GICR_IGROUPR0
	mov	w0, #0x80808080
	str	w0, [x20, #0x400]	// GICR_IPRIORITYR0: the SGIs
	mov	w0, #1
	str	w0, [x20, #0x100]	// GICR_ISENABLER0: SGI 0
	mov	x0, #1
	msr	s3_0_c12_c12_5, x0	// ICC_SRE_EL1
	isb
	mov	x0, #0xff
	msr	s3_0_c4_c6_0, x0	// ICC_PMR_EL1
	mov	x0, #1
	msr	s3_0_c12_c12_7, x0	// ICC_IGRPEN1_EL1
	adr	x0, vectors_of_ipi
	msr	vbar_el1, x0
	isb
	msr	daifclr, #2
	mov	w0, #1
	str	w0, [x19, #{COUNT}]
2:	wfi
	b	2b

.balign	0x800
vectors_of_ipi:
	.fill	0x280 / 4, 4, 0		// all but IRQ at the current level are not expected
	mrs	x1, s3_0_c12_c12_0	// ICC_IAR1_EL1
	ldr	w2, [x19, #{COUNT}]
	add	w2, w2, #1
	str	w2, [x19, #{COUNT}]
	msr	s3_0_c12_c12_1, x1	// ICC_EOIR1_EL1
	eret

// yardstick_send_ipis(x0 = how often, x1 = what to write to ICC_SGI1R_EL1, x2 = an [`Interrupted`], x3 = where to store the times before and
// after)
//   Sends the other CPU, which is there, an interrupt, and the next when it has handled that. An ordinary function; whoever calls bounds
//   the wait from outside.
.global yardstick_send_ipis
yardstick_send_ipis:
	add	x2, x2, #{COUNT}
	ldr	w9, [x2]
	isb
	mrs	x8, cntvct_el0
	str	x8, [x3]
1:	msr	s3_0_c12_c11_5, x1	// ICC_SGI1R_EL1
	isb
2:	ldr	w10, [x2]
	cmp	w10, w9
	b.ne	3f
	yield
	b	2b
3:	mov	w9, w10
	subs	x0, x0, #1
	b.ne	1b
	isb
	mrs	x8, cntvct_el0
	str	x8, [x3, #8]
	ret

.popsection
