# From CFE's entry state to Rust.
#
# kernel_entry
#   entry: kernel mode, KSEG0 cached, interrupts off, BEV = 1; a0 = CFE's handle, a1 = 0, a2 = the address of CFE's entry, a3 = the seal.
#   exit:  a call of boot_cpu_main on the boot stack with BSS zero, EBase, UserLocal and Status set: BEV = 0, every interrupt masked.
#   s0 = handle, s1 = entry, s2 = seal, s3 = Count at entry.

.section .head.text, "ax"
.set push
.set mips32r2
.set noreorder
.set noat

.global _head
.global kernel_entry
_head:
kernel_entry:
	mfc0	$19, $9			# Count
	move	$16, $4
	move	$17, $6
	move	$18, $7
	lui	$8, {STATUS_BEV} >> 16
	mtc0	$8, $12			# Status: kernel mode, nothing let in
	mtc0	$0, $13			# Cause
	ehb				# before an exception could see the old Status

	lui	$8, %hi(__bss_start)
	addiu	$8, $8, %lo(__bss_start)
	lui	$9, %hi(_end)
	addiu	$9, $9, %lo(_end)
0:	sw	$0, 0($8)
	addiu	$8, $8, 4
	bne	$8, $9, 0b
	nop

	# EBase may be written only while BEV is 1.
	lui	$8, %hi(vectors)
	addiu	$8, $8, %lo(vectors)
	mtc0	$8, $15, 1		# EBase
	mtc0	$0, $4, 2		# UserLocal: the per-CPU section itself
	ehb
	mtc0	$0, $12			# Status: BEV = 0
	ehb

	lui	$29, %hi(boot_stack_top - 16)
	addiu	$29, $29, %lo(boot_stack_top - 16)
	move	$30, $0
	move	$31, $0
	move	$4, $16
	move	$5, $17
	move	$6, $18
	move	$7, $19
	lui	$25, %hi(boot_cpu_main)
	addiu	$25, $25, %lo(boot_cpu_main)
	jr.hb	$25			# what is fetched from here on is fetched under the new Status
	nop
.set pop

# The guard page of the slot is its first; what uses it is found by the exception vectors.
.section .bss.boot_stack, "aw", %nobits
.balign {STACK_SLOT}
.global boot_stack
boot_stack:
	.skip	{STACK_SLOT}
boot_stack_top:
