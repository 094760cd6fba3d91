// The ROM's first KiB: what the architecture and CFE expect at fixed offsets from 0xbfc00000, and the way of every CPU from
// reset to where its start record sends it.

.set mips32r2

.section .reset, "ax"

// reset
//   entry: a CPU out of reset, in KSEG1, caches undefined, no register defined but those of CP0 that the architecture resets.
//   exit:  CPU 0 to first_cpu, the others to secondary_cpu, both in KSEG0 with caches on, in the coherence domain if there is
//          one, interrupts off, BEV 1; $s0 = number of the CPU, $s1 = 1 if there is a coherence block.
.global reset
reset:
	b	reset_cpu

.org reset + 0x10
	.word	0			// malta reads its board's revision here, so QEMU puts it there

reset_cpu:
	// BEV stays: the vectors below are the only ones there are. ERL goes, or else an exception could not be told from reset.
	li	$t0, {STATUS_BEV}
	mtc0	$t0, $12		// Status
	mtc0	$zero, $13		// Cause: no software interrupts, Count runs
	ehb				// the writes above before an exception that what follows may take
	mfc0	$s0, $15, 1		// EBase
	andi	$s0, $s0, 0x3ff		// CPUNum

	bal	initialise_caches

	// Without a coherence block (malta has none where there is one CPU) KSEG0 must not be coherent, and nothing is joined.
	li	$a0, {GCR_BASE}
	bal	probe_word
	move	$s1, $v1
	li	$t1, {CCA_WRITE_BACK}
	beqz	$s1, 1f
	// Once other CPUs' caches are asked for what this CPU reads, and they ask its own, which is empty by now.
	li	$t0, {COHERENCE_DOMAIN_ALL}
	sw	$t0, {GCR_CL_COHERENCE}($a0)
	lw	$zero, {GCR_CL_COHERENCE}($a0)	// a load from the block waits for the store into it
	sync				// and nothing that follows is accessed before
	li	$t1, {CCA_COHERENT}

1:	mfc0	$t0, $16		// Config
	ins	$t0, $t1, 0, 3		// K0: the cache attribute of KSEG0
	mtc0	$t0, $16
	ehb				// the attribute holds for accesses from the next instruction on
	la	$t0, first_cpu
	beqz	$s0, 2f
	la	$t0, secondary_cpu
2:	jr.hb	$t0			// and for fetches: what the pipeline fetched under the old one is dropped

// Exceptions, while BEV is 1: TLB refill, the same for 64 bits, cache error, all others, interrupts, debug.
.org reset + 0x200
	b	exception
.org reset + 0x280
	b	exception
.org reset + 0x300
	b	exception
.org reset + 0x380
	b	general_exception
.org reset + 0x400
	b	exception
.org reset + 0x480
	b	exception

// By these two words a program that was handed nothing recognises CFE.
.org reset + 0x4e0
	.word	{SEAL}
	.word	{SEAL}

// cfe_entry: the interface's entry point, at its fixed address in either segment.
.org reset + 0x500
.global cfe_entry
cfe_entry:
	la	$t0, cfe_call		// in KSEG0, from wherever it was called
	jr	$t0

// general_exception
//   entry: as the architecture leaves it, BEV 1.
//   exit:  at probe_end with $v1 = 0, if probe_word's access is what failed; else at exception. Clobbers $k0, $k1.
general_exception:
	mfc0	$k0, $14		// EPC
	ext	$k0, $k0, 0, 29		// as a physical address: the probe runs in KSEG1 and in KSEG0
	la	$k1, probe_access
	ext	$k1, $k1, 0, 29
	subu	$k0, $k0, $k1
	sltiu	$k0, $k0, probe_end - probe_access
	beqz	$k0, exception
	move	$v1, $zero
	la	$k1, probe_end
	mfc0	$k0, $14
	ins	$k0, $k1, 0, 29		// on in the segment where it was
	mtc0	$k0, $14
	ehb				// EPC is written before eret reads it
	eret

// probe_word: reads a word that may not exist. Runs in KSEG1 and in KSEG0.
//   entry: $a0 = address in KSEG1.
//   exit:  $v1 = 1 and $v0 = the word, or $v1 = 0 where a bus error is the answer. Clobbers $k0, $k1.
.global probe_word
probe_word:
	li	$v1, 1
probe_access:
	lw	$v0, 0($a0)
	sync				// a bus error need not be precise: it comes here at the latest
probe_end:
	jr	$ra

// exception
//   entry: any exception that is nobody's, BEV 1, on any CPU, from any segment.
//   exit:  a call of report_exception($a0 = ExceptionFrame), which ends the run, on a stack of its own, for the CPU that comes first;
//          all others stay here.
exception:
	la	$k0, exception_taken
1:	ll	$k1, 0($k0)
	bnez	$k1, park
	li	$k1, 1
	sc	$k1, 0($k0)
	beqz	$k1, 1b
	la	$k0, exception_stack_top - {EXCEPTION_FRAME_SIZE}
	sw	$sp, {FRAME_SP}($k0)
	sw	$ra, {FRAME_RA}($k0)
	move	$sp, $k0
	mfc0	$t0, $12
	sw	$t0, {FRAME_STATUS}($sp)
	mfc0	$t0, $13
	sw	$t0, {FRAME_CAUSE}($sp)
	mfc0	$t0, $14
	sw	$t0, {FRAME_EPC}($sp)
	mfc0	$t0, $30
	sw	$t0, {FRAME_ERROR_EPC}($sp)
	mfc0	$t0, $8
	sw	$t0, {FRAME_BAD_VADDR}($sp)
	move	$a0, $sp
	addiu	$sp, $sp, -16		// the o32 calling convention's room for four arguments
	la	$t9, report_exception
	jr	$t9

// park: nothing wakes a CPU from here but a reset. Clobbers nothing.
.global park
park:
	wait
	b	park
