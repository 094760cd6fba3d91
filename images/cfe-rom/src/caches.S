// Caches come out of reset holding anything. Every CPU gives its own invalid tags before it touches cached memory; CPU 0 also
// those of the second level, which all share.

.set mips32r2

.section .text.caches, "ax"

// invalidate_all: stores an invalid tag at every index of one cache, if there is one.
//   in:    \operation = number of Index Store Tag for that cache, \config = register that holds its configuration, in which
//          \sets, \line and \ways are the lowest bits of fields that are \width bits wide.
//   Clobbers $t1..$t4.
.macro invalidate_all operation, config, sets, line, ways, width
	ext	$t1, \config, \line, \width
	beqz	$t1, 2f			// no such cache
	li	$t2, 2
	sllv	$t2, $t2, $t1		// bytes in a line
	ext	$t1, \config, \sets, \width
.if \width == 3
	addiu	$t1, $t1, 1		// of the first level: 0 to 6 are 64 to 4096 sets, 7 is 32
	andi	$t1, $t1, 7
	li	$t3, 32
.else
	li	$t3, 64
.endif
	sllv	$t3, $t3, $t1
	ext	$t1, \config, \ways, \width
	addiu	$t1, $t1, 1
	mul	$t3, $t3, $t1
	mul	$t3, $t3, $t2		// bytes in the cache
	li	$t1, {KSEG0}		// an index is taken from an address, which is not accessed
	addu	$t3, $t3, $t1
1:	cache	\operation, 0($t1)
	addu	$t1, $t1, $t2
	bne	$t1, $t3, 1b
2:
.endm

// initialise_caches
//   entry: in KSEG1, so that neither fetches nor data come from what is being initialised; $s0 = number of the CPU.
//   exit:  all of the CPU's caches are empty. Clobbers $t0..$t4.
.global initialise_caches
initialise_caches:
	mtc0	$zero, $28, 0		// TagLo of the instruction cache: not valid, not locked
	mtc0	$zero, $28, 2		// of the data cache
	mtc0	$zero, $28, 4		// of the second level
	mtc0	$zero, $29, 0		// TagHi of the same
	mtc0	$zero, $29, 2
	mtc0	$zero, $29, 4
	ehb				// a cache instruction reads TagLo only behind a barrier
	mfc0	$t0, $16, 1		// Config1
	invalidate_all 0x08, $t0, 22, 19, 16, 3
	invalidate_all 0x09, $t0, 13, 10, 7, 3
	bnez	$s0, 3f
	mfc0	$t0, $16, 2		// Config2
	invalidate_all 0x0b, $t0, 8, 4, 0, 4
3:	sync				// cache instructions have completed before memory is accessed
	jr.hb	$ra			// and before an instruction is fetched
