# What CPUs execute instead of the entry code, or on their way to it.

.pushsection .text.reveille_fault_stubs, "ax"
.set push
.set mips32r2
.set noreorder
.set noat

# Never gets anywhere. Entered as the entry code is.
.global reveille_fault_dead
reveille_fault_dead:
	wait
	b	reveille_fault_dead
	nop

# Enters when as many ticks of Count have passed as its number says. Entered as the entry code is; keeps a1, sp and gp. Clobbers t0 to
# t4.
.global reveille_fault_delayed
reveille_fault_delayed:
	mfc0	$8, $15, 1		# EBase
	andi	$8, $8, 0x3ff
	sll	$8, $8, 2
	lui	$9, %hi({delays})
	addiu	$9, $9, %lo({delays})
	addu	$9, $9, $8
	lw	$9, 0($9)
	mfc0	$10, $9			# Count
0:	mfc0	$11, $9
	subu	$11, $11, $10
	sltu	$12, $11, $9
	bnez	$12, 0b
	nop
	lui	$25, %hi(reveille_smp_bootstrap)
	addiu	$25, $25, %lo(reveille_smp_bootstrap)
	jr	$25
	nop

# As after a reset and a start by CFE: a0 = context id, a1 = stack pointer, a2 = boot record. Never returns.
.global reveille_fault_again
reveille_fault_again:
	move	$29, $5
	move	$28, $6
	move	$5, $4
	lui	$8, 0x0040		# Status: BEV
	mtc0	$8, $12
	lui	$25, %hi(reveille_smp_bootstrap)
	addiu	$25, $25, %lo(reveille_smp_bootstrap)
	jr.hb	$25
	nop

.set pop
.popsection
