// The loader's first instructions, on every CPU: LK's _start.
//
// _start
//   entry: EL1 or EL2, MMU and D-cache off. The boot CPU: x0 = the devicetree or 0 (booting.rst). Another that PSCI starts: x0 =
//          the context id of its kick, which is not 0. Another that comes from a pen: x0 = 0.
//   exit:  primary_entry, reveille_secondary_entry or reveille_holding_pen, with x0 as it was; at EL2 with the way back
//          to it that reveille_leave uses.
//   Clobbers x9, x10.

.pushsection .text.start, "ax"
.balign 4

.global _start
.type _start, %function
_start:
	msr	daifset, #0xf
	mrs	x9, CurrentEL
	cmp	x9, #(2 << 2)
	b.ne	0f
	adrp	x9, reveille_hyp_stub
	add	x9, x9, :lo12:reveille_hyp_stub
	msr	vbar_el2, x9
	isb
0:	adrp	x9, {others_enter}
	ldr	w9, [x9, :lo12:{others_enter}]
	cbz	w9, primary_entry
	cbz	x0, reveille_holding_pen
	b	reveille_secondary_entry
.size _start, . - _start

.popsection
