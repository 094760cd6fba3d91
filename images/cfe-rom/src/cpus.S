// What CPUs do once they run cached: the first goes on to Rust, the others wait for an order in their start records.

.set mips32r2

.section .text.cpus, "ax"

// first_cpu
//   entry: CPU 0 from reset, $s1 = 1 if there is a coherence block.
//   exit:  a call of rom_main($a0 = $s1) on the ROM's stack, .data copied to memory, .bss and start records zero.
.global first_cpu
first_cpu:
	la	$t0, __rom_data
	la	$t1, __data_start
	la	$t2, __data_end
	beq	$t1, $t2, 2f
1:	lw	$t3, 0($t0)
	sw	$t3, 0($t1)
	addiu	$t0, $t0, 4
	addiu	$t1, $t1, 4
	bne	$t1, $t2, 1b
2:	la	$t0, __bss_start
	la	$t1, __bss_end
3:	sw	$zero, 0($t0)
	addiu	$t0, $t0, 4
	bne	$t0, $t1, 3b

	la	$t0, start_records
	li	$t1, {KSEG1}
	or	$t0, $t0, $t1
	addiu	$t1, $t0, {RECORDS_SIZE}
4:	sw	$zero, 0($t0)
	addiu	$t0, $t0, 4
	bne	$t0, $t1, 4b

	la	$sp, cfe_stack_top - 16	// the o32 calling convention's room for four arguments
	move	$a0, $s1
	la	$t9, rom_main
	jr	$t9

// secondary_cpu
//   entry: any other CPU from reset, $s0 = its number.
//   exit:  to pc of its start record, $a0 = handle, $a1 = a1, $a2 = cfe_entry, $a3 = seal, $sp and $gp as the record has them;
//          where pc is 0, it notes that it is parked and sleeps. Nothing wakes it but another reset (start_record.rs).
.global secondary_cpu
secondary_cpu:
	sltiu	$t0, $s0, {MAX_CPUS}
	beqz	$t0, park		// there is no record for it
	// Through KSEG1: CPU 0 writes the records so, and need not ask whether this CPU is in the coherence domain yet.
	la	$t0, start_records
	li	$t1, {KSEG1}
	or	$t0, $t0, $t1
	sll	$t1, $s0, {RECORD_SHIFT}
	addu	$t0, $t0, $t1
	lw	$t1, {RECORD_PC}($t0)
	bnez	$t1, 1f
	li	$t2, {STATE_PARKED}
	sw	$t2, {RECORD_STATE}($t0)
	sync
	b	park

1:	sync				// pc was written last: nothing of the record is read before it
	li	$t2, {STATE_STARTED}
	sw	$t2, {RECORD_STATE}($t0)
	lw	$sp, {RECORD_SP}($t0)
	lw	$gp, {RECORD_GP}($t0)
	lw	$a1, {RECORD_A1}($t0)
	la	$a0, cfe_handle
	la	$a2, cfe_entry
	li	$a3, {SEAL}
	jr.hb	$t1			// the program may have been written since this CPU last fetched from there

// enter_program
//   entry: $a0 = where to go, on CPU 0, interrupts off, BEV 1.
//   exit:  there, as CFE enters a program: $a0 = handle, $a1 = 0, $a2 = cfe_entry, $a3 = seal.
.global enter_program
enter_program:
	move	$t0, $a0
	la	$a0, cfe_handle
	move	$a1, $zero
	la	$a2, cfe_entry
	li	$a3, {SEAL}
	jr.hb	$t0			// to instructions that this CPU has just written

// cfe_call
//   entry: a call by any CPU, $a0 = handle, $a1 = address of the request.
//   exit:  $v0 = status, from answer($a0, $a1) on the ROM's own stack, one CPU at a time. Keeps $s0..$s8, $k0, $k1, $gp, $sp,
//          $ra and Status, clobbers the other registers. Interrupts are off in between, since their handlers would find the lock
//          taken by their own CPU. The lock gives no turns: a CPU that is stopped while it waits would leave its own behind.
.global cfe_call
cfe_call:
	mfc0	$t0, $12		// Status
	di
	ehb				// no interrupt is taken from here on
	la	$t1, cfe_lock
1:	ll	$t2, 0($t1)
	beqz	$t2, 2f
	pause				// until the lock that was just looked at is written to
	b	1b
2:	li	$t2, 1
	sc	$t2, 0($t1)
	beqz	$t2, 1b
	sync				// nothing is read before the lock is this CPU's
	la	$t1, cfe_stack_top - 32
	sw	$sp, 28($t1)
	sw	$ra, 24($t1)
	sw	$t0, 20($t1)
	move	$sp, $t1
	la	$t9, answer
	jalr	$t9
	lw	$t0, 20($sp)
	lw	$ra, 24($sp)
	lw	$sp, 28($sp)
	la	$t1, cfe_lock
	sync				// all was written before the lock is free
	sw	$zero, 0($t1)
	mtc0	$t0, $12
	ehb				// as it was, before the next instruction
	jr	$ra

.section .bss.cfe_lock, "aw", %nobits
.balign 32
cfe_lock:
	.skip	32			// a line of its own, as others wait on it
exception_taken:
	.skip	4
// The handle: what it points to is the ROM's affair. Programs expect an address in KSEG0.
.global cfe_handle
cfe_handle:
	.skip	4

.section .start_records, "aw", %nobits
.balign 32
.global start_records
start_records:
	.skip	{RECORDS_SIZE}

.section .stack, "aw", %nobits
.balign 4096
	.skip	16384
cfe_stack_top:
	.skip	4096
exception_stack_top:
