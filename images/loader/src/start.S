// The loader's first instructions, on every CPU: LK's _start.
//
// _start
//   entry: MMU and D-cache off, at EL1 or EL2. The boot CPU: x0 = the devicetree or 0 (booting.rst). Another that PSCI starts: x0 =
//          the context id of its kick, which is not 0. Another that comes from a pen: x0 = 0.
//   or:    at EL3, all CPUs at once, from reset, with no firmware. The boot CPU is the one whose affinity is 0; there is no
//          devicetree in x0.
//   exit:  primary_entry, reveille_secondary_entry or reveille_holding_pen, with x0 as it was; at EL2 with the way back
//          to it that reveille_leave uses.
//   Clobbers x9 to x14.

.pushsection .text.start, "ax"

.global _start
.type _start, %function
.balign 4
_start:
	msr	daifset, #0xf
	mrs	x9, CurrentEL
	cmp	x9, #(3 << 2)
	b.eq	.Lel3

.Lbelow_el3:
	mrs	x9, CurrentEL
	cmp	x9, #(2 << 2)
	b.ne	0f
	adrp	x9, reveille_hyp_stub
	add	x9, x9, :lo12:reveille_hyp_stub
	msr	vbar_el2, x9
	isb
0:	adrp	x9, {others_enter}
	ldr	w9, [x9, :lo12:{others_enter}]
	cbz	w9, primary_entry
	cbz	x0, reveille_holding_pen
	b	reveille_secondary_entry

// A CPU at EL3: its interrupts are given to the non-secure world, then it goes there, to the highest level below.
.Lel3:
	mrs	x10, mpidr_el1
	mov	x9, #0xffffff
	movk	x9, #0xff, lsl #32
	and	x10, x10, x9			// x10: its affinity

	mrs	x9, id_aa64pfr0_el1
	ubfx	x9, x9, #24, #4
	cbz	x9, .Lno_interrupts		// no system registers: not a GICv3
	mov	x9, #(1 << 0 | 1 << 1 | 1 << 2 | 1 << 3)
	msr	s3_6_c12_c12_5, x9		// ICC_SRE_EL3: SRE, no bypass, EL2 and EL1 may
	isb
	movz	x11, #{GICD_LOW}
	movk	x11, #{GICD_HIGH}, lsl #16
	cbnz	x10, .Lredistributor
	mov	w9, #(1 << 4 | 1 << 5)		// GICD_CTLR: ARE_S, ARE_NS
	str	w9, [x11]
	ldr	w12, [x11, #4]			// GICD_TYPER.ITLinesNumber: registers of 32 interrupts behind the first
	and	x12, x12, #0x1f
	mov	w9, #-1
	add	x11, x11, #0x80			// GICD_IGROUPR: all non-secure
0:	cbz	x12, .Lredistributor
	str	w9, [x11, x12, lsl #2]
	sub	x12, x12, #1
	b	0b

.Lredistributor:
	movz	x11, #{GICR_LOW}
	movk	x11, #{GICR_HIGH}, lsl #16
	ubfx	x9, x10, #32, #8		// Aff3, to where GICR_TYPER has it
	bfi	w10, w9, #24, #8
1:	ldr	x9, [x11, #8]			// GICR_TYPER
	lsr	x12, x9, #32
	cmp	w12, w10
	b.eq	2f
	tbnz	x9, #4, .Lno_interrupts		// the last one
	add	x11, x11, #0x20000
	b	1b
2:	str	wzr, [x11, #0x14]		// GICR_WAKER: awake
3:	ldr	w9, [x11, #0x14]
	tbnz	w9, #2, 3b			// ChildrenAsleep
	add	x11, x11, #0x10000
	mov	w9, #-1
	str	w9, [x11, #0x80]		// GICR_IGROUPR0: all non-secure
	dsb	sy

.Lno_interrupts:
	// SCR_EL3: NS, what reads as 1, SMD (nobody answers an SMC), HCE, RW, APK, API, ATA, HXEn
	mov	x9, #(1 << 0 | 3 << 4 | 1 << 7 | 1 << 8 | 1 << 10)
	orr	x9, x9, #(3 << 16)
	orr	x9, x9, #(1 << 26)
	orr	x9, x9, #(1 << 38)
	mov	x12, #(2 << 2 | 1)		// EL2h
	mrs	x13, id_aa64pfr0_el1
	ubfx	x14, x13, #8, #4
	cbnz	x14, 4f
	bic	x9, x9, #(1 << 8)		// no EL2: no HCE
	mov	x12, #(1 << 2 | 1)		// EL1h
4:	msr	scr_el3, x9
	mov	x9, #(1 << 8)			// CPTR_EL3: EZ
	msr	cptr_el3, x9
	isb
	ubfx	x9, x13, #32, #4
	cbz	x9, 5f
	mov	x9, #0xf
	msr	s3_6_c1_c2_0, x9		// ZCR_EL3: any length
5:	mov	x9, #0x0800			// SCTLR_EL1, SCTLR_EL2: what reads as 1 in ARMv8.0
	movk	x9, #0x30d0, lsl #16
	msr	sctlr_el1, x9
	cbz	x14, 6f
	mov	x9, #0x0830
	movk	x9, #0x30c5, lsl #16
	msr	sctlr_el2, x9
	mov	x9, #(1 << 31)
	msr	hcr_el2, x9
6:	orr	x12, x12, #0x3c0		// interrupts masked
	msr	spsr_el3, x12
	mov	x0, xzr
	adr	x9, .Lboot_cpu_of_el3
	adr	x11, .Lother_of_el3
	cmp	x10, #0
	csel	x9, x9, x11, eq
	msr	elr_el3, x9
	eret

.Lboot_cpu_of_el3:
	adrp	x9, {entered_at_el3}
	mov	w10, #1
	str	w10, [x9, :lo12:{entered_at_el3}]
	b	.Lbelow_el3

.Lother_of_el3:
	adrp	x9, {others_enter}
0:	ldr	w10, [x9, :lo12:{others_enter}]
	cbnz	w10, .Lbelow_el3
	wfe
	b	0b
.size _start, . - _start

.popsection
