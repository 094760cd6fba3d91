# The exception vectors, 4 KiB-aligned for EBase: TLB refill (+0x000), cache error (+0x100), general (+0x180). Cause.IV is 0, so
# interrupts come to the general one.
#
# All begin in kernel mode with EXL = 1 (a cache error: ERL = 1), interrupts off, with k0 and k1 free and sp whatever it was. With sp in
# the guard page of its slot (bits 14:12 all 0) the stack has run out: that is reported on a stack of the CPU's own.

.section .text.vectors, "ax"
.set push
.set mips32r2
.set noreorder
.set noat

# The registers that a call may change, into the frame at sp. Clobbers t0 and t1 once they are saved.
.macro save_call_clobbered
	sw	$1, {FRAME_REGISTERS} + 4*1($29)
	sw	$2, {FRAME_REGISTERS} + 4*2($29)
	sw	$3, {FRAME_REGISTERS} + 4*3($29)
	sw	$4, {FRAME_REGISTERS} + 4*4($29)
	sw	$5, {FRAME_REGISTERS} + 4*5($29)
	sw	$6, {FRAME_REGISTERS} + 4*6($29)
	sw	$7, {FRAME_REGISTERS} + 4*7($29)
	sw	$8, {FRAME_REGISTERS} + 4*8($29)
	sw	$9, {FRAME_REGISTERS} + 4*9($29)
	sw	$10, {FRAME_REGISTERS} + 4*10($29)
	sw	$11, {FRAME_REGISTERS} + 4*11($29)
	sw	$12, {FRAME_REGISTERS} + 4*12($29)
	sw	$13, {FRAME_REGISTERS} + 4*13($29)
	sw	$14, {FRAME_REGISTERS} + 4*14($29)
	sw	$15, {FRAME_REGISTERS} + 4*15($29)
	sw	$24, {FRAME_REGISTERS} + 4*24($29)
	sw	$25, {FRAME_REGISTERS} + 4*25($29)
	sw	$28, {FRAME_REGISTERS} + 4*28($29)
	sw	$31, {FRAME_REGISTERS} + 4*31($29)
	mfhi	$8
	mflo	$9
	sw	$8, {FRAME_HI}($29)
	sw	$9, {FRAME_LO}($29)
.endm

.balign 4096
.global vectors
vectors:
	b	exception		# no TLB is used: an address that nobody has
	nop

.org vectors + 0x100
	# Uncached, as the caches may be what failed, there is nothing to be done but to say so, on the stack that there is.
	lui	$26, %hi(handle_cache_error)
	addiu	$26, $26, %lo(handle_cache_error)
	jr	$26
	nop

.org vectors + 0x180
	mfc0	$26, $13		# Cause
	andi	$26, $26, 0x7c		# the exception code: 0 is an interrupt
	bnez	$26, exception
	nop

interrupt:
	andi	$26, $29, {GUARD_BITS}
	beqz	$26, stack_overflow
	nop
	addiu	$29, $29, -{FRAME_SIZE}
	save_call_clobbered
	mfc0	$8, $12			# Status
	mfc0	$9, $14			# EPC
	sw	$8, {FRAME_STATUS}($29)

	# A CPU that is on its way into WAIT goes on behind it (interrupts.rs, wait).
	lui	$10, %hi(reveille_wait_begin)
	addiu	$10, $10, %lo(reveille_wait_begin)
	lui	$11, %hi(reveille_wait_end)
	addiu	$11, $11, %lo(reveille_wait_end)
	sltu	$12, $9, $10
	sltu	$13, $9, $11
	xori	$13, $13, 1
	or	$12, $12, $13
	movz	$9, $11, $12
	sw	$9, {FRAME_EPC}($29)

	# The handler may switch threads: it runs without exception level, interrupts off.
	li	$10, ~{STATUS_LEVELS}
	and	$8, $8, $10
	mtc0	$8, $12
	ehb
	addiu	$4, $29, {ARGUMENT_AREA}
	lui	$25, %hi(handle_interrupt)
	addiu	$25, $25, %lo(handle_interrupt)
	jalr	$25
	nop

	# Back at the exception level before EPC is written.
	di
	ehb
	lw	$8, {FRAME_STATUS}($29)
	lw	$9, {FRAME_EPC}($29)
	mtc0	$8, $12
	mtc0	$9, $14
	lw	$8, {FRAME_HI}($29)
	lw	$9, {FRAME_LO}($29)
	mthi	$8
	mtlo	$9
	lw	$1, {FRAME_REGISTERS} + 4*1($29)
	lw	$2, {FRAME_REGISTERS} + 4*2($29)
	lw	$3, {FRAME_REGISTERS} + 4*3($29)
	lw	$4, {FRAME_REGISTERS} + 4*4($29)
	lw	$5, {FRAME_REGISTERS} + 4*5($29)
	lw	$6, {FRAME_REGISTERS} + 4*6($29)
	lw	$7, {FRAME_REGISTERS} + 4*7($29)
	lw	$8, {FRAME_REGISTERS} + 4*8($29)
	lw	$9, {FRAME_REGISTERS} + 4*9($29)
	lw	$10, {FRAME_REGISTERS} + 4*10($29)
	lw	$11, {FRAME_REGISTERS} + 4*11($29)
	lw	$12, {FRAME_REGISTERS} + 4*12($29)
	lw	$13, {FRAME_REGISTERS} + 4*13($29)
	lw	$14, {FRAME_REGISTERS} + 4*14($29)
	lw	$15, {FRAME_REGISTERS} + 4*15($29)
	lw	$24, {FRAME_REGISTERS} + 4*24($29)
	lw	$25, {FRAME_REGISTERS} + 4*25($29)
	lw	$28, {FRAME_REGISTERS} + 4*28($29)
	lw	$31, {FRAME_REGISTERS} + 4*31($29)
	addiu	$29, $29, {FRAME_SIZE}
	ehb				# ERET reads Status and EPC
	eret

# Everything that is no interrupt: all registers are kept for the report, and nothing returns.
exception:
	andi	$26, $29, {GUARD_BITS}
	beqz	$26, stack_overflow
	nop
	move	$26, $29
	addiu	$29, $29, -{FRAME_SIZE}
	sw	$0, {FRAME_REGISTERS}($29)
	save_call_clobbered
	sw	$16, {FRAME_REGISTERS} + 4*16($29)
	sw	$17, {FRAME_REGISTERS} + 4*17($29)
	sw	$18, {FRAME_REGISTERS} + 4*18($29)
	sw	$19, {FRAME_REGISTERS} + 4*19($29)
	sw	$20, {FRAME_REGISTERS} + 4*20($29)
	sw	$21, {FRAME_REGISTERS} + 4*21($29)
	sw	$22, {FRAME_REGISTERS} + 4*22($29)
	sw	$23, {FRAME_REGISTERS} + 4*23($29)
	sw	$0, {FRAME_REGISTERS} + 4*26($29)
	sw	$27, {FRAME_REGISTERS} + 4*27($29)
	sw	$26, {FRAME_REGISTERS} + 4*29($29)
	sw	$30, {FRAME_REGISTERS} + 4*30($29)
	mfc0	$8, $14			# EPC
	mfc0	$9, $12			# Status
	sw	$8, {FRAME_EPC}($29)
	sw	$9, {FRAME_STATUS}($29)
	addiu	$4, $29, {ARGUMENT_AREA}
	lui	$25, %hi(handle_exception)
	addiu	$25, $25, %lo(handle_exception)
	jr	$25
	nop

stack_overflow:
	move	$4, $29
	mfc0	$5, $14			# EPC
	mfc0	$26, $4, 2		# UserLocal
	lui	$27, %hi({overflow_stack} + {OVERFLOW_STACK_TOP})
	addiu	$27, $27, %lo({overflow_stack} + {OVERFLOW_STACK_TOP})
	addu	$29, $26, $27
	lui	$25, %hi(handle_stack_overflow)
	addiu	$25, $25, %lo(handle_stack_overflow)
	jr	$25
	nop
.set pop
