// reveille_init_el2: makes the level at which a CPU was entered one to run a kernel at.
//   entry: EL1 or EL2, MMU off, x0 = the level that is wanted, 1 or 2; x30 = where to go on.
//   exit:  at x30, x0 = the level there is now, which is 2 only if that was wanted, the CPU was entered there and has VHE:
//          then HCR_EL2.E2H and TGE are set, and the names of EL1's registers mean those of EL2. On SP_ELx, interrupts
//          masked, MMU and caches of that level off.
//   clobbers x0..x2; uses no memory and no stack.
// After Linux's init_kernel_el (arch/arm64/kernel/head.S), el2_setup.h and hyp-stub.S.

.pushsection .text.reveille_init_el2, "ax"

.global reveille_init_el2
.type reveille_init_el2, %function
.balign 4
reveille_init_el2:
	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.eq	0f
	// The state of SCTLR_EL1 at entry is not architected beyond MMU and D-cache off.
	msr	spsel, #1
	mov	x0, #1
	ret

0:	// HCR_EL2: EL1 is AArch64 (RW); pointer authentication is not trapped (API, APK).
	mov	x2, #(1 << 31)
	orr	x2, x2, #(3 << 40)
	cmp	x0, #2
	b.ne	1f
	mrs	x1, id_aa64mmfr1_el1
	ubfx	x1, x1, #8, #4		// VH
	cbz	x1, 1f
	orr	x2, x2, #(1 << 34)	// E2H
	orr	x2, x2, #(1 << 27)	// TGE
	mov	x1, #(3 << 10)		// where CNTHCTL_EL2 with E2H has what are bits 1:0 without
	b	2f
1:	mov	x0, #1
	mov	x1, #3
2:	msr	hcr_el2, x2
	isb

	// The physical counter and timer are EL1's; the virtual counter is the physical one on every CPU.
	msr	cnthctl_el2, x1
	msr	cntvoff_el2, xzr

	// The system registers of a GICv3 may be used, where there are any.
	mrs	x1, id_aa64pfr0_el1
	ubfx	x1, x1, #24, #4
	cbz	x1, 3f
	mrs	x1, s3_4_c12_c9_5	// ICC_SRE_EL2: SRE and Enable
	orr	x1, x1, #1
	orr	x1, x1, #(1 << 3)
	msr	s3_4_c12_c9_5, x1
	isb
	mrs	x1, s3_4_c12_c9_5
	tbz	x1, #0, 3f
	msr	s3_4_c12_c11_0, xzr	// ICH_HCR_EL2
3:
	// EL1 reads the real ids.
	mrs	x1, midr_el1
	mrs	x2, mpidr_el1
	msr	vpidr_el2, x1
	msr	vmpidr_el2, x2

	// Nothing of debug, PMU or system registers is trapped, and there is no stage 2.
	msr	hstr_el2, xzr
	mrs	x1, id_aa64dfr0_el1
	sbfx	x1, x1, #8, #4
	cmp	x1, #1
	b.lt	4f
	mrs	x1, pmcr_el0
	ubfx	x1, x1, #11, #5
4:	csel	x1, xzr, x1, lt
	msr	mdcr_el2, x1
	msr	vttbr_el2, xzr

	// MMU and caches are off (the RES1 bits of ARMv8.0). With E2H this is SCTLR_EL2.
	mov	x1, #0x0800
	movk	x1, #0x30d0, lsl #16
	msr	sctlr_el1, x1

	// EL2 traps nothing of FP from EL1. With E2H, CPTR_EL2 is what CPACR_EL1 names, and whoever switches the MMU on sets it.
	cmp	x0, #2
	mov	x1, #0x33ff
	csel	x1, xzr, x1, eq
	msr	cptr_el2, x1

	mov	x1, #0x3c5		// EL1h, DAIF masked
	mov	x2, #0x3c9		// EL2h
	csel	x1, x2, x1, eq
	msr	spsr_el2, x1
	msr	elr_el2, x30
	eret
.size reveille_init_el2, . - reveille_init_el2

.popsection
