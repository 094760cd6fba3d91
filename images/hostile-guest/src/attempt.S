// What a guest tries, and how it comes back from it.
//
// attempt(x0 = record (attempt::Record), x1 = code, x2, x3 = its X0 and X1, x4 = SCTLR_EL1 for it)
//   Runs the code with everything masked. It comes back by returning, or by an exception at any level below: then what the registers of
//   EL1 were before is put back, with the MMU off in between, since nothing is known of the tables. Returns in x0 which vector it was,
//   or 16. An ordinary function otherwise. TPIDR_EL1 is the record and TPIDRRO_EL0 SCTLR_EL1 meanwhile.
//   Memory is read with the MMU off that was written with caches on: QEMU has no caches, and no other machine runs this.

.pushsection .text.attempt, "ax"

.global attempt
attempt:
	stp	x19, x20, [x0, #{SAVED}]
	stp	x21, x22, [x0, #{SAVED} + 16]
	stp	x23, x24, [x0, #{SAVED} + 32]
	stp	x25, x26, [x0, #{SAVED} + 48]
	stp	x27, x28, [x0, #{SAVED} + 64]
	mov	x9, sp
	stp	x29, x30, [x0, #{SAVED} + 80]
	mrs	x10, daif
	stp	x9, x10, [x0, #{SAVED} + 96]
	mrs	x9, ttbr0_el1
	mrs	x10, tcr_el1
	stp	x9, x10, [x0, #{SAVED} + 112]
	mrs	x9, mair_el1
	mrs	x10, vbar_el1
	stp	x9, x10, [x0, #{SAVED} + 128]
	mrs	x9, sctlr_el1
	mrs	x10, tpidr_el1
	stp	x9, x10, [x0, #{SAVED} + 144]
	mrs	x11, cpacr_el1
	str	x11, [x0, #{SAVED} + 160]
	msr	daifset, #0xf
	msr	tpidrro_el0, x9
	msr	tpidr_el1, x0
	adr	x10, attempt_vectors
	msr	vbar_el1, x10
	cmp	x4, x9
	b.eq	1f
	msr	sctlr_el1, x4
1:	isb
	mov	x9, x1
	mov	x0, x2
	mov	x1, x3
	blr	x9
	mov	x1, x0
	mov	x0, #16

// x0 = which vector, x1 = what came back, in any state of EL1.
attempt_ends:
	mov	x2, #0x0800		// SCTLR_EL1 without MMU, caches and anything else: data may be big-endian until then
	movk	x2, #0x30d0, lsl #16
	msr	sctlr_el1, x2
	isb
	mrs	x2, tpidr_el1
	str	x1, [x2, #{VALUE}]
	mrs	x3, esr_el1
	mrs	x4, far_el1
	stp	x3, x4, [x2, #{ESR}]
	mrs	x3, elr_el1
	mrs	x4, spsr_el1
	stp	x3, x4, [x2, #{ESR} + 16]
	ldp	x3, x4, [x2, #{SAVED} + 112]
	msr	ttbr0_el1, x3
	msr	tcr_el1, x4
	ldp	x3, x4, [x2, #{SAVED} + 128]
	msr	mair_el1, x3
	msr	vbar_el1, x4
	ldr	x3, [x2, #{SAVED} + 160]
	msr	cpacr_el1, x3
	isb
	tlbi	vmalle1
	dsb	nsh
	ldp	x3, x4, [x2, #{SAVED} + 144]
	msr	sctlr_el1, x3
	isb
	msr	tpidr_el1, x4
	ldp	x3, x4, [x2, #{SAVED} + 96]
	mov	sp, x3
	ldp	x19, x20, [x2, #{SAVED}]
	ldp	x21, x22, [x2, #{SAVED} + 16]
	ldp	x23, x24, [x2, #{SAVED} + 32]
	ldp	x25, x26, [x2, #{SAVED} + 48]
	ldp	x27, x28, [x2, #{SAVED} + 64]
	ldp	x29, x30, [x2, #{SAVED} + 80]
	msr	daif, x4
	ret

.macro	caught number
.balign	0x80
	msr	spsel, #1
	mov	x1, x0
	mov	x0, #\number
	b	attempt_ends
.endm

.balign	0x800
attempt_vectors:
	caught	0
	caught	1
	caught	2
	caught	3
	caught	4
	caught	5
	caught	6
	caught	7
	caught	8
	caught	9
	caught	10
	caught	11
	caught	12
	caught	13
	caught	14
	caught	15

// Another vCPU enters, from CPU_ON. x0 = its start (vcpus::Start).
.global other_vcpu
other_vcpu:
	ldp	x1, x2, [x0, #{TABLES}]
	msr	ttbr0_el1, x1
	msr	tcr_el1, x2
	ldp	x1, x2, [x0, #{TABLES} + 16]
	msr	mair_el1, x1
	msr	vbar_el1, x2
	isb
	tlbi	vmalle1
	dsb	nsh
	ldp	x1, x2, [x0, #{TABLES} + 32]
	msr	sctlr_el1, x1
	isb
	msr	tpidr_el1, xzr
	mov	sp, x2
	mov	x29, xzr
	mov	x30, xzr
	bl	other_vcpu_main
	b	.

.macro	tried name, access:vararg
.global	try_\name
try_\name:
	\access
	ret
.endm

// The accesses that are tried, each of the address in x0.
.arch_extension lse
.arch_extension fp
.arch_extension simd
	tried	ldr, ldr x0, [x0]
	tried	ldrw, ldr w0, [x0]
	tried	ldrh, ldrh w0, [x0]
	tried	ldrb, ldrsb x0, [x0]
	tried	str, str x1, [x0]
	tried	strw, str w1, [x0]
	tried	strh, strh w1, [x0]
	tried	strb, strb w1, [x0]
	tried	ldp, ldp x0, x1, [x0]
	tried	stp, stp x1, x1, [x0]
	tried	stnp, stnp x1, x1, [x0]
	tried	post_index, ldr x1, [x0], #8
	tried	ldxr, ldxr x0, [x0]
	tried	ldadd, ldaddal x1, x0, [x0]
	tried	cas, casal x1, x1, [x0]
	tried	zero, dc zva, x0
	tried	invalidate, dc ivac, x0
	tried	fetch_forget, ic ivau, x0
	tried	prefetch, prfm pldl1keep, [x0]
.global try_stxr, try_simd, try_clean, try_translate
try_stxr:	mov	x2, x0
	ldxr	x3, [x2]
	stxr	w0, x1, [x2]
	ret
try_simd:	mov	x2, #(3 << 20)
	msr	cpacr_el1, x2
	isb
	ldr	q0, [x0]
	ret
try_clean:	dc	cvac, x0
	dc	civac, x0
	ret
try_translate:	at	s1e1w, x0
	isb
	mrs	x0, par_el1
	ret
.arch_extension nosimd
.arch_extension nofp
.arch_extension nolse

// Translates by TTBR1_EL1 = x0, then reads the first address above.
.global try_walk
try_walk:
	mrs	x2, tcr_el1
	bic	x2, x2, #(1 << 23)	// EPD1
	bic	x2, x2, #(0x3f << 16)
	orr	x2, x2, #(16 << 16)	// T1SZ
	orr	x2, x2, #(1 << 31)	// TG1: 4 KiB
	msr	tcr_el1, x2
	msr	ttbr1_el1, x0
	isb
	mov	x1, #0xffff000000000000
	ldr	x0, [x1]
	ret

// TCR_EL1 = TTBR0_EL1 = TTBR1_EL1 = MAIR_EL1 = x0 with the MMU off, then SCTLR_EL1 = x1 with the MMU still off, and a read.
.global try_translation_junk
try_translation_junk:
	msr	tcr_el1, x0
	msr	ttbr0_el1, x0
	msr	ttbr1_el1, x0
	msr	mair_el1, x0
	at	s1e1r, x0
	at	s1e0w, x0
	bic	x1, x1, #1
	adr	x2, attempt
	msr	sctlr_el1, x1
	isb
	ldr	x3, [x2]
	ldr	w3, [x2, #2]
	ret

// Takes exceptions for ever whose vector is at x0, where no instruction is; x1 is SCTLR_EL1.
.global take_exceptions_for_ever
take_exceptions_for_ever:
	msr	daifset, #0xf
	msr	vbar_el1, x0
	msr	ttbr0_el1, x0
	isb
	tlbi	vmalle1
	dsb	nsh
	msr	sctlr_el1, x1
	isb
	svc	#0
	b	.

// ERET to x1 with x0 as SPSR_EL1.
.global try_return
try_return:
	msr	spsr_el1, x0
	msr	elr_el1, x1
	isb
	eret

.popsection
