// Calls of the provider, with all registers in view, and CPUs that make calls when they are told to.

.pushsection .text.psci_rows, "ax"

// psci_rows_call(x0 = block of X0 to X30, x1 = conduit (0 SMC, 1 HVC))
//   Makes a call with these registers, and stores all of them as they are afterwards. An ordinary function.
.global psci_rows_call
psci_rows_call:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	str	x0, [sp, #-16]!
	cmp	x1, #0
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	b.ne	1f
	smc	#0
	b	2f
1:	hvc	#0
2:	stp	x0, x1, [sp, #-16]!
	ldr	x0, [sp, #16]
	stp	x2, x3, [x0, #16]
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	str	x30, [x0, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x0]
	add	sp, sp, #16
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

// Entered by CPU_ON, at any level. Notes how it was entered in the mailbox of its affinity level 0 (mailbox.rs has the layout), and
// from then on makes the calls that it is told. Memory is read and written with the MMU off, while the boot CPU has it cached: QEMU
// has no caches, and no other machine runs this.
.global psci_rows_entry
psci_rows_entry:
	mrs	x1, mpidr_el1
	and	x1, x1, #0xff
	adrp	x19, {mailboxes}
	add	x19, x19, :lo12:{mailboxes}
	add	x19, x19, x1, lsl #7
	str	x0, [x19, #{CONTEXT}]
	mrs	x2, CurrentEL
	str	x2, [x19, #{LEVEL}]
	cmp	x2, #8
	b.eq	1f
	mrs	x3, sctlr_el1
	b	2f
1:	mrs	x3, sctlr_el2
2:	str	x3, [x19, #{SCTLR}]
	mrs	x3, daif
	str	x3, [x19, #{DAIF}]
	ldr	x3, [x19, #{ORDER}]
	str	x3, [x19, #{DONE}]
	dmb	sy
	ldr	x3, [x19, #{ARRIVALS}]
	add	x3, x3, #1
	str	x3, [x19, #{ARRIVALS}]
3:	ldr	x20, [x19, #{ORDER}]
	ldr	x3, [x19, #{DONE}]
	cmp	x20, x3
	b.ne	4f
	yield
	b	3b
4:	dmb	sy
	ldp	x0, x1, [x19, #{REGISTERS}]
	ldp	x2, x3, [x19, #{REGISTERS} + 16]
	ldr	x4, [x19, #{CONDUIT}]
	cbnz	x4, 5f
	smc	#0
	b	6f
5:	hvc	#0
6:	str	x0, [x19, #{ANSWER}]
	dmb	sy
	str	x20, [x19, #{DONE}]
	b	3b

.popsection
