// Where CPUs that misbehave are started. No stack, no writes; what is read was cleaned to the point of coherency.

.pushsection .text.reveille_fault, "ax"

// reveille_fault_dead: entered like the entry code, and goes nowhere.
.global reveille_fault_dead
.type reveille_fault_dead, %function
.balign 4
reveille_fault_dead:
	msr	daifset, #0xf
0:	wfi
	b	0b
.size reveille_fault_dead, . - reveille_fault_dead

// reveille_fault_delayed: entered like the entry code, x0 = context id; goes on there with x0 as it was, after as many ticks as
// the table says for the index in x0. Clobbers x9..x11.
.global reveille_fault_delayed
.type reveille_fault_delayed, %function
reveille_fault_delayed:
	msr	daifset, #0xf
	isb
	mrs	x9, cntvct_el0
	adrp	x10, {delays}
	add	x10, x10, :lo12:{delays}
	and	x11, x0, #0xffff
	ldr	x11, [x10, x11, lsl #3]
	add	x9, x9, x11
	// To let others run takes an emulator that runs one CPU at a time longer than the inner loop.
0:	mov	x10, #1024
1:	subs	x10, x10, #1
	b.ne	1b
	yield
	isb
	mrs	x10, cntvct_el0
	cmp	x10, x9
	b.lo	0b
	b	reveille_secondary_entry
.size reveille_fault_delayed, . - reveille_fault_delayed

// reveille_fault_again: called from Rust with MMU and caches on, mapped to itself; x0 = context id. Enters with MMU and caches off,
// as after a reset. Clobbers x9, x10.
.global reveille_fault_again
.type reveille_fault_again, %function
reveille_fault_again:
	msr	daifset, #0xf
	mrs	x9, sctlr_el1
	mov	x10, #0x1005		// I, C, M
	bic	x9, x9, x10
	dsb	sy
	msr	sctlr_el1, x9
	isb
	b	reveille_secondary_entry
.size reveille_fault_again, . - reveille_fault_again

.popsection
