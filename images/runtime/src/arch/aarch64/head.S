// The image's first bytes: the 64-byte header of an arm64 Image (Linux, Documentation/arch/arm64/booting.rst), and the way
// from the boot protocol's entry state to Rust.
//
// primary_entry
//   entry: EL1 or EL2, MMU and D-cache off, x0 = physical address of the devicetree or 0, at any 4 KiB aligned address.
//   exit:  a call of boot_cpu_main at EL1, or at EL2 where VHE lets it use EL1's register names, with MMU and caches on (the GiB blocks around the image and the devicetree mapped to
//          themselves), relocated, BSS zero, on the boot stack.
//   x19 = exception level at entry, x20 = devicetree, x21 = time of entry, x22 = where the image lies.

.section .head.text, "ax"

.global _head
_head:
	b	_start
	nop
	.quad	0			// text_offset
	.quad	_image_size
	.quad	0xa			// little endian, 4 KiB pages, anywhere in memory
	.quad	0
	.quad	0
	.quad	0
	.ascii	"ARM\x64"
	.long	0

// An image that has something to do before, or that lets all its CPUs enter here, has a _start of its own.
.weak _start
_start:
.global primary_entry
primary_entry:
	msr	daifset, #0xf
	mrs	x19, CurrentEL
	lsr	x19, x19, #2
	mov	x20, x0
	mov	x0, #2
	bl	reveille_init_el2
	mrs	x21, cntvct_el0

	// Relocate: R_AARCH64_RELATIVE only, as a static position-independent link leaves them.
	adrp	x22, _head
	adrp	x1, __rela_start
	add	x1, x1, :lo12:__rela_start
	adrp	x2, __rela_end
	add	x2, x2, :lo12:__rela_end
0:	cmp	x1, x2
	b.hs	1f
	ldp	x3, x4, [x1], #16
	ldr	x5, [x1], #8
	add	x5, x5, x22
	str	x5, [x22, x3]
	b	0b

1:	adrp	x1, __bss_start
	adrp	x2, _end
2:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	2b

	// The first translation tables: the GiB of the image's start and end, and of the devicetree.
	adrp	x9, idmap_level_0
	adrp	x10, idmap_level_1
	mov	x11, xzr
	mov	x0, x22
	bl	map_gibibyte
	adrp	x0, _end
	bl	map_gibibyte
	mov	x0, x20
	bl	map_gibibyte

	// What was written with the D-cache off must not be hidden by what the cache still holds.
	adrp	x1, __data_start
	adrp	x2, _end
	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4
	mov	x4, #4
	lsl	x4, x4, x3
3:	dc	ivac, x1
	add	x1, x1, x4
	cmp	x1, x2
	b.lo	3b
	dsb	sy

	bl	__cpu_setup
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	msr	sctlr_el1, x0
	isb

	adrp	x1, boot_stack_top
	mov	sp, x1
	msr	tpidr_el1, xzr
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x20
	mov	x1, x19
	mov	x2, x21
	bl	boot_cpu_main
	b	.

// Maps the GiB around x0 to itself as normal memory. x9 = level 0 table, x10 = level 1 table, x11 = 0 before the first
// call (there is one level 1 table: what lies in another 512 GiB than the first address stays unmapped). Clobbers x1..x3.
map_gibibyte:
	ubfx	x1, x0, #39, #9
	ldr	x2, [x9, x1, lsl #3]
	cbnz	x2, 0f
	cbnz	x11, 1f			// the table serves another range
	mov	x11, #1
	orr	x2, x10, #3
	str	x2, [x9, x1, lsl #3]
0:	ubfx	x1, x0, #30, #9
	lsr	x2, x0, #30
	lsl	x2, x2, #30
	mov	x3, #0xf01		// block, normal memory (attribute 0), inner shareable, accessed, not global
	orr	x2, x2, x3
	str	x2, [x10, x1, lsl #3]
1:	ret

// Sets the translation registers for 48-bit addresses in 4 KiB pages below, nothing above; returns SCTLR_EL1 in x0.
// Clobbers x1, x2.
__cpu_setup:
	tlbi	vmalle1
	dsb	nsh
	mov	x0, #{MAIR}
	msr	mair_el1, x0
	mov	x0, #{TCR_LOW}
	movk	x0, #{TCR_MIDDLE}, lsl #16
	mrs	x1, id_aa64mmfr0_el1
	and	x1, x1, #0xf
	mov	x2, #5			// no more than 48 bits of physical address
	cmp	x1, x2
	csel	x1, x1, x2, lo
	orr	x0, x0, x1, lsl #32
	msr	tcr_el1, x0
	adrp	x1, idmap_level_0
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, xzr
	msr	cpacr_el1, xzr
	ic	iallu
	dsb	nsh
	isb
	mov	x0, #{SCTLR_LOW}
	movk	x0, #{SCTLR_HIGH}, lsl #16
	ret

.section .bss.idmap, "aw", %nobits
.balign 4096
idmap_level_0:
	.skip	4096
idmap_level_1:
	.skip	4096

// A guard page below, never mapped again once the final tables are in force, and bits 14:12 of every address in it 0.
.section .bss.boot_stack, "aw", %nobits
.balign {STACK_SLOT}
.global boot_stack
boot_stack:
	.skip	{STACK_SLOT}
boot_stack_top:
