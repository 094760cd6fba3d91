// The first instructions of a CPU that was kicked.
//
// secondary_entry
//   entry: EL1 or EL2, MMU and D-cache off, x0 = the context id of the kick (PSCI CPU_ON hands it over).
//   exit:  a jump to the entry of the CPU's boot record, at the boot table's level (EL1, or EL2 with VHE, where the names of
//          EL1's registers mean EL2's) with MMU and caches on, on the stack of the record, with TPIDR_EL1 and VBAR_EL1 set,
//          x0 = context id, x1 = argument of the record, x2 = the address of EntryTimes.
//   or:    the CPU parks, having written nothing.
//   Until __secondary_switched has won the claim no memory is written and no stack is used; what is read is the boot
//   table, which was cleaned to the point of coherency before any CPU could get here.
//   x17 = the way back into the pen (0 for a CPU that has none), x19 = context id, x20 = boot table, x21..x25 = times, x9..x16 = what the table and the record hold.

.pushsection .text.reveille_secondary_entry, "ax"

.global reveille_secondary_entry
.type reveille_secondary_entry, %function
.balign 4
reveille_secondary_entry:
	msr	daifset, #0xf
	mov	x19, x0
	mov	x17, xzr
	adrp	x20, {table}
	add	x20, x20, :lo12:{table}
	ldr	x22, [x20, #{TABLE_LEVEL}]
	mov	x0, x22
	bl	reveille_init_el2
	mrs	x21, cntvct_el0

	// A CPU that cannot run where all others do is of no use.
	ldr	x16, [x20, #{TABLE_PARK}]
	cmp	x0, x22
	b.ne	.Lpark

// Where CPUs from pens come in too (holding_pen.S): x17 = their way back, x19 to x21 as above.
.global reveille_secondary_startup
reveille_secondary_startup:
	mrs	x22, cntvct_el0

	// The record of this CPU; a context id that names none, or another's, is not ours to act on.
	and	x1, x19, #0xffff
	cmp	x1, #{MAX_CPUS}
	b.hs	.Lpark
	mov	x2, #{RECORD_SIZE}
	madd	x3, x1, x2, x20
	add	x3, x3, #{TABLE_RECORDS}
	mrs	x4, mpidr_el1
	mov	x5, #{AFFINITY_MASK_LOW}
	movk	x5, #{AFFINITY_MASK_HIGH}, lsl #32
	and	x4, x4, x5
	ldr	x5, [x3, #{RECORD_HW_ID}]
	cmp	x4, x5
	b.ne	.Lpark
	ldp	x9, x10, [x3, #{RECORD_CLAIM}]
	ldp	x11, x12, [x3, #{RECORD_STACK}]
	ldr	x13, [x3, #{RECORD_ARGUMENT}]
	cbz	x9, .Lpark
	ldp	x14, x15, [x20, #{TABLE_VBAR}]

	// __cpu_setup
	mrs	x23, cntvct_el0
	tlbi	vmalle1
	dsb	nsh
	ldp	x4, x5, [x20, #{TABLE_MAIR}]
	ldp	x6, x7, [x20, #{TABLE_TTBR0}]
	msr	mair_el1, x4
	msr	tcr_el1, x5
	msr	ttbr0_el1, x6
	msr	ttbr1_el1, x7
	ldp	x8, x4, [x20, #{TABLE_SCTLR}]
	msr	cpacr_el1, x4
	isb

	// __enable_mmu
	mrs	x24, cntvct_el0
	ic	iallu
	dsb	nsh
	isb
	msr	sctlr_el1, x8
	isb
	mrs	x25, cntvct_el0
	br	x15
.size reveille_secondary_entry, . - reveille_secondary_entry

// Runs at its linked (virtual) address from here on, with MMU and caches on: exclusives may be used.
.global reveille_secondary_switched
.type reveille_secondary_switched, %function
reveille_secondary_switched:
	and	w1, w19, #0xffff0000
	orr	w2, w1, #{KICKED}
	orr	w3, w1, #{CLAIMED}
0:	ldaxr	w4, [x9]
	cmp	w4, w2
	b.ne	1f
	stlxr	w5, w3, [x9]
	cbnz	w5, 0b

	// Claimed: the stack and everything else in the record is this CPU's.
	msr	vbar_el1, x14
	msr	tpidr_el1, x12
	mov	sp, x11
	isb
	mov	x29, xzr
	mov	x30, xzr
	stp	x21, x22, [sp, #-48]!
	stp	x23, x24, [sp, #16]
	str	x25, [sp, #32]
	mov	x0, x19
	mov	x1, x13
	mov	x2, sp
	br	x10
1:	clrex

// Given up, or never meant: back into the pen it came from, off if firmware can do that, asleep if not. x16 = how.
.Lpark:
	mov	x26, x19
	cbz	x17, 0f
	br	x17
0:	mov	w0, #{CPU_OFF_LOW}
	movk	w0, #{CPU_OFF_HIGH}, lsl #16
	cmp	x16, #{PARK_SMC}
	b.eq	2f
	cmp	x16, #{PARK_HVC}
	b.ne	3f
	hvc	#0
	b	3f
2:	smc	#0
3:	wfi
	b	3b
.size reveille_secondary_switched, . - reveille_secondary_switched

.popsection
