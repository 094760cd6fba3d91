// Where CPUs wait that nothing but a word in memory can start (Linux's secondary_holding_pen).
//
// reveille_holding_pen
//   entry: EL1 or EL2, MMU and D-cache off, from the pen of whoever booted the machine (booting.rst: x0..x3 = 0).
//   exit:  to reveille_secondary_startup, x16 = how to park (unused while x17 is not 0), x17 = reveille_back_to_pen,
//          x19 = the context id of the kick, x20 = boot table, x21 = time.
//   A CPU finds its record by MPIDR, since it is handed nothing, and the word that lets it out by the index of that record.
//   It writes nothing and uses no stack. x26 = the context id with which it was let out last: that one does not count again.
//
// reveille_back_to_pen
//   entry: MMU on or off, at the physical address of this code, which is mapped to itself; x26 as above; interrupts masked.

.pushsection .text.reveille_holding_pen, "ax"

.global reveille_holding_pen
.type reveille_holding_pen, %function
.balign 4
reveille_holding_pen:
	msr	daifset, #0xf
	mov	x26, xzr
0:	adrp	x20, {table}
	add	x20, x20, :lo12:{table}
	ldr	x22, [x20, #{TABLE_LEVEL}]
	mov	x0, x22
	bl	reveille_init_el2
	cmp	x0, x22
	b.ne	6f
	mrs	x4, mpidr_el1
	mov	x5, #{AFFINITY_MASK_LOW}
	movk	x5, #{AFFINITY_MASK_HIGH}, lsl #32
	and	x4, x4, x5

	// The record of this CPU. It may be written while others are let out already.
1:	mov	x1, #1
	add	x3, x20, #{TABLE_RECORDS}
2:	add	x3, x3, #{RECORD_SIZE}
	ldr	x5, [x3, #{RECORD_CLAIM}]
	cbz	x5, 3f
	ldr	x5, [x3, #{RECORD_HW_ID}]
	cmp	x5, x4
	b.eq	4f
3:	add	x1, x1, #1
	cmp	x1, #{MAX_CPUS}
	b.lo	2b
	wfe
	b	1b

	// Its word: written when the record was, and anew for every kick.
4:	adrp	x2, {words}
	add	x2, x2, :lo12:{words}
5:	ldr	w19, [x2, x1, lsl #2]
	cmp	w19, #0
	ccmp	w19, w26, #4, ne
	b.eq	7f
	dmb	sy
	adr	x17, reveille_back_to_pen
	mrs	x21, cntvct_el0
	b	reveille_secondary_startup
7:	wfe
	b	5b

	// A CPU that cannot run where all others do.
6:	wfe
	b	6b
.size reveille_holding_pen, . - reveille_holding_pen

.global reveille_back_to_pen
.type reveille_back_to_pen, %function
.balign 4
reveille_back_to_pen:
	mrs	x0, sctlr_el1
	bic	x0, x0, #1		// M
	bic	x0, x0, #(1 << 2)	// C
	bic	x0, x0, #(1 << 12)	// I
	msr	sctlr_el1, x0
	isb
	b	0b
.size reveille_back_to_pen, . - reveille_back_to_pen

.popsection
