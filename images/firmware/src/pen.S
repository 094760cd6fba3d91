// Where CPUs wait that the next stage releases by writing an address (Linux, Documentation/arch/arm64/booting.rst). It is copied to
// memory that the devicetree reserves, and runs there.
//
// pen
//   entry: non-secure, at the next stage's level, MMU off, x0 = the address of the CPU's word.
//   exit:  at what the word says, with x0 to x3 zero.

.pushsection .rodata.pen, "a"
.balign 8
.global pen_begin
pen_begin:
	ldr	x4, [x0]
	cbnz	x4, 0f
	wfe
	b	pen_begin
0:	mov	x0, xzr
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	br	x4
.global pen_end
pen_end:
.popsection
