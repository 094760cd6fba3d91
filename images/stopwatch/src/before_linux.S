// What runs before Linux: the header of an arm64 Image, and a few instructions that note the counter in Linux's command line. Linux itself
// lies behind it, at the next multiple of 2 MiB, as it is.
//
// before_linux
//   entry: as the boot protocol has it: x0 = the devicetree, MMU off.
//   exit:  to Linux, in the same state, the last of its instructions but the branch having read nothing later than the counter.
//   Looks for "stopwatch=" in the devicetree, and puts the virtual counter behind it, as 16 digits in hexadecimal. Without it, Linux starts
//   all the same.

.pushsection .head.text, "ax"

.balign 4
head:
	b	before_linux
	.long	0
	.quad	0		// text_offset
	.quad	0		// image_size: set by who puts Linux behind it
	.quad	0xa		// little-endian, pages of 4 KiB, anywhere in memory
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

before_linux:
	adr	x4, head
	add	x4, x4, #0x200000	// Linux
	adr	x5, name
	mov	x6, x0
	ldr	w7, [x0, #4]
	rev	w7, w7
	add	x7, x0, x7		// the devicetree's end
1:	mov	x8, x6
	mov	x9, x5
2:	ldrb	w10, [x9], #1
	cbz	w10, 3f
	ldrb	w11, [x8], #1
	cmp	w10, w11
	b.eq	2b
	add	x6, x6, #1
	cmp	x6, x7
	b.lo	1b
	br	x4
3:	isb
	mrs	x10, cntvct_el0
	mov	x11, #16
4:	ror	x10, x10, #60
	and	x12, x10, #0xf
	cmp	x12, #10
	add	x13, x12, #'0'
	add	x14, x12, #'a' - 10
	csel	x13, x13, x14, lo
	strb	w13, [x8], #1
	subs	x11, x11, #1
	b.ne	4b
	dsb	sy
	br	x4

name:
	.asciz	"stopwatch="

.popsection
