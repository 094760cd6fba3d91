// From the reset vector to Rust, and where CPUs wait that are off.
//
// reset
//   entry: EL3, every CPU at once, MMU and caches off, at address 0.
//   exit:  the boot CPU calls firmware_main on its own stack, data copied and cleared; every other CPU goes to hold.
// hold
//   entry: EL3, MMU on, any stack. What the CPU had in its general registers is lost.
//   exit:  a call of cpu_woken on the CPU's own stack, with its place in CPU_IDS, once another CPU has sent it the wake-up, or the timer
//          has fired that it set before it came here. The timer is quiet then.
//
// Before such an interrupt a CPU reads no memory that another writes: after a reset of the machine, memory still holds what it held.

.section .reset, "ax"

.global reset
reset:
	msr	daifset, #0xf
	mov	x0, #{SCR_SECURE}
	msr	scr_el3, x0
	adr	x0, vectors
	msr	vbar_el3, x0
	msr	cptr_el3, xzr
	msr	CNTPS_CTL_EL1, xzr

	// The translation tables are constants in the flash.
	mov	x0, #{MAIR}
	msr	mair_el3, x0
	ldr	x0, =({TCR})
	msr	tcr_el3, x0
	adrp	x0, {TABLE}
	add	x0, x0, :lo12:{TABLE}
	msr	ttbr0_el3, x0
	tlbi	alle3
	ic	iallu
	dsb	sy
	isb
	ldr	x0, =({SCTLR})
	msr	sctlr_el3, x0
	isb

	bl	reset_cpu_interface

	// The boot CPU is the one whose affinity fields are all 0.
	mrs	x0, mpidr_el1
	ldr	x1, =({AFFINITY})
	and	x0, x0, x1
	cbnz	x0, hold

	adrp	x0, __flash_data
	add	x0, x0, :lo12:__flash_data
	adrp	x1, __data_start
	adrp	x2, __data_end
	add	x2, x2, :lo12:__data_end
0:	cmp	x1, x2
	b.hs	1f
	ldp	x3, x4, [x0], #16
	stp	x3, x4, [x1], #16
	b	0b
1:	adrp	x1, __bss_start
	add	x1, x1, :lo12:__bss_start
	adrp	x2, __bss_end
	add	x2, x2, :lo12:__bss_end
2:	cmp	x1, x2
	b.hs	3f
	stp	xzr, xzr, [x1], #16
	b	2b
3:	adrp	x0, {BOOT_STACK}
	add	x0, x0, #({BOOT_STACK_SIZE} >> 12), lsl #12
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
	bl	firmware_main
	b	.

.global hold
hold:
	bl	reset_cpu_interface
0:	dsb	sy
	wfi
	mrs	x0, ICC_IAR0_EL1
	and	x0, x0, #0xffffff
	cmp	x0, #1020			// from here on it was none
	b.hs	0b
	msr	CNTPS_CTL_EL1, xzr
	isb
	msr	ICC_EOIR0_EL1, x0
	dsb	sy

	mrs	x0, mpidr_el1
	ldr	x1, =({AFFINITY})
	and	x0, x0, x1
	adrp	x1, {CPU_IDS}
	ldr	x1, [x1, :lo12:{CPU_IDS}]
	adrp	x2, {CPU_COUNT}
	ldr	x2, [x2, :lo12:{CPU_COUNT}]
	mov	x3, xzr
1:	cmp	x3, x2
	b.hs	hold				// not a CPU of the devicetree
	ldr	x4, [x1, x3, lsl #3]
	cmp	x4, x0
	b.eq	2f
	add	x3, x3, #1
	b	1b
2:	mov	x0, x3
	ldr	x1, =({STACKS} + {STACK_SIZE})
	mov	x2, #{STACK_SIZE}
	madd	x1, x0, x2, x1
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	bl	cpu_woken
	b	.

// Has this CPU take Group 0 interrupts alone, of any priority. What is pending in Group 1 is for a CPU that runs, and must not end
// the WFI of one that is off. Clobbers x0.
reset_cpu_interface:
	mov	x0, #0xf			// system registers for this and all lower levels, no bypass
	msr	ICC_SRE_EL3, x0
	isb
	msr	ICC_IGRPEN1_EL3, xzr
	mov	x0, #0xff
	msr	ICC_PMR_EL1, x0
	mov	x0, #1
	msr	ICC_IGRPEN0_EL1, x0
	isb
	ret
