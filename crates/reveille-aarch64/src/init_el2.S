// reveille_init_el2: from EL2 (without VHE) to EL1; a plain return where the CPU is at EL1 already.
//   entry: EL1 or EL2, MMU off, x30 = where to go on.
//   exit:  at x30, EL1h, interrupts masked, MMU and caches of EL1 off.
//   clobbers x0, x1; uses no memory and no stack.
// After Linux's init_kernel_el (arch/arm64/kernel/head.S) and el2_setup.h.

.pushsection .text.reveille_init_el2, "ax"

.global reveille_init_el2
.balign 4
reveille_init_el2:
	mrs	x0, CurrentEL
	cmp	x0, #(2 << 2)
	b.eq	1f
	// The state of SCTLR_EL1 at entry is not architected beyond MMU and D-cache off.
	ret

1:	// HCR_EL2: EL1 is AArch64 (RW); pointer authentication is not trapped (API, APK).
	mov	x0, #(1 << 31)
	orr	x0, x0, #(3 << 40)
	msr	hcr_el2, x0
	isb

	// The physical counter and timer are EL1's; the virtual counter is the physical one on every CPU.
	mov	x0, #3
	msr	cnthctl_el2, x0
	msr	cntvoff_el2, xzr

	// EL1 may use the system registers of a GICv3, where there are any.
	mrs	x0, id_aa64pfr0_el1
	ubfx	x0, x0, #24, #4
	cbz	x0, 2f
	mrs	x0, s3_4_c12_c9_5	// ICC_SRE_EL2: SRE and Enable
	orr	x0, x0, #1
	orr	x0, x0, #(1 << 3)
	msr	s3_4_c12_c9_5, x0
	isb
	mrs	x0, s3_4_c12_c9_5
	tbz	x0, #0, 2f
	msr	s3_4_c12_c11_0, xzr	// ICH_HCR_EL2
2:
	// EL1 reads the real ids.
	mrs	x0, midr_el1
	mrs	x1, mpidr_el1
	msr	vpidr_el2, x0
	msr	vmpidr_el2, x1

	// Nothing of FP, debug, PMU or system registers is trapped, and there is no stage 2.
	mov	x0, #0x33ff
	msr	cptr_el2, x0
	msr	hstr_el2, xzr
	mrs	x0, id_aa64dfr0_el1
	sbfx	x0, x0, #8, #4
	cmp	x0, #1
	b.lt	3f
	mrs	x0, pmcr_el0
	ubfx	x0, x0, #11, #5
3:	csel	x0, xzr, x0, lt
	msr	mdcr_el2, x0
	msr	vttbr_el2, xzr

	// EL1 starts with MMU and caches off (the RES1 bits of ARMv8.0).
	mov	x0, #0x0800
	movk	x0, #0x30d0, lsl #16
	msr	sctlr_el1, x0

	mov	x0, #0x3c5		// EL1h, DAIF masked
	msr	spsr_el2, x0
	msr	elr_el2, x30
	eret

.popsection
