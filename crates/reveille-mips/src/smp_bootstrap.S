# The first instructions of a CPU that was started through CFE (Linux's smp_bootstrap).
#
# reveille_smp_bootstrap
#   entry: kernel mode, caches on, interrupts off, BEV = 1; a1 = the context id of the kick, sp = the top of the stack of its boot
#          record, gp = the record. (a0, a2 and a3 are CFE's handle, entry and seal, which the boot CPU knows already.)
#   exit:  a jump to the entry of the record with a0 = context id, a1 = argument of the record, a2 = the address of EntryTimes,
#          UserLocal, EBase and Status set: BEV = 0, every interrupt masked.
#   or:    the CPU parks, having written nothing to memory.
#   s0 = Count at entry, s1 = context id, s2 = record.

.pushsection .text.reveille_smp_bootstrap, "ax"
.set push
.set mips32r2
.set noreorder
.set noat

.global reveille_smp_bootstrap
.type reveille_smp_bootstrap, @function
.balign 4
reveille_smp_bootstrap:
	mfc0	$16, $9			# Count
	move	$17, $5
	move	$18, $28

	# Kernel mode, no exception or error level, nothing let in; the boot ROM's vectors until ours are set. An exception between the
	# write of Status and the barrier could still see the old register: EHB clears that execution hazard.
	lui	$8, {STATUS_BEV} >> 16
	mtc0	$8, $12			# Status
	mtc0	$0, $13			# Cause: no software interrupt, Count runs
	ehb

	# A record of another CPU, or one that was never written, is not ours to act on; nor is a context id that names another one.
	mfc0	$8, $15, 1		# EBase
	andi	$8, $8, 0x3ff
	lw	$9, {RECORD_HW_ID}($18)
	bne	$8, $9, .Lpark
	lw	$9, {RECORD_INDEX}($18)
	andi	$8, $17, 0xffff
	bne	$8, $9, .Lpark
	lw	$10, {RECORD_CLAIM}($18)
	beqz	$10, .Lpark

	# The claim: generation of the context, state Kicked to Claimed. Caches are on and coherent, so LL and SC may be trusted.
	srl	$11, $17, 16
	sll	$11, $11, 16
	ori	$12, $11, {KICKED}
	ori	$13, $11, {CLAIMED}
0:	ll	$14, 0($10)
	bne	$14, $12, .Lpark
	move	$15, $13
	sc	$15, 0($10)
	beqz	$15, 0b
	nop
	# What was prepared for this CPU was written before the kick, which the claim has read: loads that follow must not come before it.
	sync
	mfc0	$19, $9			# Count

	# Claimed: the stack and everything else in the record is this CPU's.
	lw	$8, {RECORD_THREAD_POINTER}($18)
	lw	$9, {RECORD_VECTORS}($18)
	lw	$25, {RECORD_ENTRY}($18)
	lw	$5, {RECORD_ARGUMENT}($18)
	mtc0	$8, $4, 2		# UserLocal
	# EBase may be written only while BEV is 1; BEV is cleared when the new base is certain to be in force.
	mtc0	$9, $15, 1		# EBase
	ehb
	mtc0	$0, $12			# Status: BEV = 0

	addiu	$29, $29, -24		# room for EntryTimes above the 16 bytes that O32 gives a callee
	sw	$16, 16($29)
	sw	$19, 20($29)
	move	$4, $17
	addiu	$6, $29, 16
	move	$30, $0
	move	$31, $0
	# The barrier of the jump also clears instruction hazards: what is fetched at the entry is fetched under the new Status.
	jr.hb	$25
	nop

# Given up, or never meant. CFE has no way for a CPU to switch itself off: it sleeps, and takes no interrupt, until CPU 0 stops it.
.Lpark:
	nop
1:	wait
	b	1b
	nop
.size reveille_smp_bootstrap, . - reveille_smp_bootstrap

.set pop
.popsection
