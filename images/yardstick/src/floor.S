// The floors: what bringing CPUs up costs at the least, in assembly.
//
// yardstick_kick_and_count(x0 = ids, x1 = contexts, x2 = count, x3 = entry, x4 = conduit (0 SMC, 1 HVC), x5 = counter,
// x6 = where to store the time of the first kick and that of the last arrival)
//   Calls CPU_ON for every CPU, then waits until the counter stands at the count. An ordinary function; a refused call is not
//   noticed, and whoever calls bounds the wait from outside.

.pushsection .text.yardstick, "ax"

.global yardstick_kick_and_count
yardstick_kick_and_count:
	mov	x9, x0
	mov	x10, x1
	mov	x11, x2
	mov	x12, x3
	mov	x13, x5
	mov	x14, x6
	mov	x15, x2
	isb
	mrs	x8, cntvct_el0
	str	x8, [x14]
	cbnz	x4, 2f
1:	mov	w0, #0x0003		// CPU_ON
	movk	w0, #0xc400, lsl #16
	ldr	x1, [x9], #8
	mov	x2, x12
	ldr	x3, [x10], #8
	smc	#0
	subs	x11, x11, #1
	b.ne	1b
	b	3f
2:	mov	w0, #0x0003
	movk	w0, #0xc400, lsl #16
	ldr	x1, [x9], #8
	mov	x2, x12
	ldr	x3, [x10], #8
	hvc	#0
	subs	x11, x11, #1
	b.ne	2b
3:	ldar	w8, [x13]
	cmp	w8, w15
	b.eq	4f
	yield
	b	3b
4:	isb
	mrs	x8, cntvct_el0
	str	x8, [x14, #8]
	ret

// Counts itself in, and sleeps. MMU off: exclusives on memory that others cache work on QEMU, which is all that this is for.
.macro	count_and_sleep
	adrp	x1, {counter}
	add	x1, x1, :lo12:{counter}
0:	ldaxr	w2, [x1]
	add	w2, w2, #1
	stlxr	w3, w2, [x1]
	cbnz	w3, 0b
1:	wfi
	b	1b
.endm

// The bare floor: entered by CPU_ON at EL1.
.global yardstick_bare_entry
yardstick_bare_entry:
	count_and_sleep

// Entered by CPU_ON: stores the counter, as it stands at its first instruction, to x0, and counts itself in.
.global yardstick_first_entry
yardstick_first_entry:
	mrs	x1, cntvct_el0
	str	x1, [x0]
	dmb	sy
	count_and_sleep

// yardstick_call_version(x0 = how often, x1 = conduit, x2 = where to store the times before and after)
//   Calls PSCI_VERSION. An ordinary function.
.global yardstick_call_version
yardstick_call_version:
	mov	x9, x0
	mov	x10, x2
	isb
	mrs	x8, cntvct_el0
	str	x8, [x10]
	cbnz	x1, 2f
1:	mov	w0, #0x84000000
	smc	#0
	subs	x9, x9, #1
	b.ne	1b
	b	3f
2:	mov	w0, #0x84000000
	hvc	#0
	subs	x9, x9, #1
	b.ne	2b
3:	isb
	mrs	x8, cntvct_el0
	str	x8, [x10, #8]
	ret

// yardstick_read_id(x0 = how often, x1 = where to store the times before and after)
//   Reads ID_AA64ISAR0_EL1. An ordinary function.
.global yardstick_read_id
yardstick_read_id:
	isb
	mrs	x8, cntvct_el0
	str	x8, [x1]
1:	mrs	x9, id_aa64isar0_el1
	subs	x0, x0, #1
	b.ne	1b
	isb
	mrs	x8, cntvct_el0
	str	x8, [x1, #8]
	ret

// The online floor: MMU, redistributor (x0 = its address), CPU interface and timer are on before it counts itself in. What it
// takes them from lies in the block of registers.
.global yardstick_online_entry
yardstick_online_entry:
	mov	x19, x0
	adrp	x20, {registers}
	add	x20, x20, :lo12:{registers}
	ldp	x0, x1, [x20]
	ldp	x2, x3, [x20, #16]
	msr	mair_el1, x0
	msr	tcr_el1, x1
	msr	ttbr0_el1, x2
	tlbi	vmalle1
	dsb	nsh
	isb
	msr	sctlr_el1, x3
	isb

	ldr	w0, [x19, #0x14]	// GICR_WAKER
	bic	w0, w0, #(1 << 1)
	str	w0, [x19, #0x14]
2:	ldr	w0, [x19, #0x14]
	tbnz	w0, #2, 2b
	add	x19, x19, #0x10000	// the frame of SGIs and PPIs
	mov	w0, #-1
	str	w0, [x19, #0x80]	// GICR_IGROUPR0
	mov	w0, #0x80808080
	str	w0, [x19, #0x400]	// GICR_IPRIORITYR0: the SGIs
	str	w0, [x19, #0x418]	// and the virtual timer
	mov	w0, #0x1
	movk	w0, #0x0800, lsl #16
	str	w0, [x19, #0x100]	// GICR_ISENABLER0: SGI 0, PPI 27
	mov	x0, #1
	msr	s3_0_c12_c12_5, x0	// ICC_SRE_EL1
	isb
	mov	x0, #0xff
	msr	s3_0_c4_c6_0, x0	// ICC_PMR_EL1
	mov	x0, #1
	msr	s3_0_c12_c12_7, x0	// ICC_IGRPEN1_EL1
	mov	x0, #-1
	lsr	x0, x0, #1
	msr	cntv_cval_el0, x0
	mov	x0, #1
	msr	cntv_ctl_el0, x0
	isb
	count_and_sleep

.popsection
