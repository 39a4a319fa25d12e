//go:build !purego

#include "textflag.h"

// The registers: X0 to X3 are a, b, c, d of four messages, a message in each
// 32-bit lane. The words of the present block lie on the stack, those of four
// messages side by side, 16 bytes each. AX points to the constants, R8 to R11 are
// the messages.

// F of each round into X4, by VPTERNLOGD's table of (b, c, d).
#define F1 $0xca
#define F2 $0xe4
#define F3 $0x96
#define F4 $0x39

// STEP: a = b + rol(a + F(b,c,d) + word + constant, s). Only F, an addition, the
// rotation and another addition wait for the step before.
#define STEP(f, a, b, c, d, word, constant, s) \
	VMOVDQU    (16*word)(SP), X5;    \
	VPADDD.BCST (4*constant)(AX), X5, X5; \
	VPADDD     a, X5, X5;            \
	VMOVDQA32  b, X4;                \
	VPTERNLOGD f, d, c, X4;          \
	VPADDD     X4, X5, X5;           \
	VPROLD     $s, X5, X5;           \
	VPADDD     b, X5, a

// WORDS puts words 4*q to 4*q+3 of the four messages side by side.
#define WORDS(q) \
	VMOVDQU     (16*q)(R8), X8;          \
	VMOVDQU     (16*q)(R9), X9;          \
	VMOVDQU     (16*q)(R10), X10;        \
	VMOVDQU     (16*q)(R11), X11;        \
	VPUNPCKLDQ  X9, X8, X12;             \
	VPUNPCKHDQ  X9, X8, X13;             \
	VPUNPCKLDQ  X11, X10, X14;           \
	VPUNPCKHDQ  X11, X10, X15;           \
	VPUNPCKLQDQ X14, X12, X8;            \
	VPUNPCKHQDQ X14, X12, X9;            \
	VPUNPCKLQDQ X15, X13, X10;           \
	VPUNPCKHQDQ X15, X13, X11;           \
	VMOVDQU     X8, (16*(4*q+0))(SP);    \
	VMOVDQU     X9, (16*(4*q+1))(SP);    \
	VMOVDQU     X10, (16*(4*q+2))(SP);   \
	VMOVDQU     X11, (16*(4*q+3))(SP)

// func blocks(state *state, messages *[lanes]*byte, n int)
TEXT ·blocks(SB), NOSPLIT, $256-24
	MOVQ    state+0(FP), DI
	MOVQ    messages+8(FP), SI
	MOVQ    n+16(FP), CX
	LEAQ    constants<>(SB), AX
	MOVQ    0(SI), R8
	MOVQ    8(SI), R9
	MOVQ    16(SI), R10
	MOVQ    24(SI), R11
	VMOVDQU 0(DI), X0
	VMOVDQU 16(DI), X1
	VMOVDQU 32(DI), X2
	VMOVDQU 48(DI), X3

block:
	WORDS(0)
	WORDS(1)
	WORDS(2)
	WORDS(3)

	STEP(F1, X0, X1, X2, X3, 0, 0, 7)
	STEP(F1, X3, X0, X1, X2, 1, 1, 12)
	STEP(F1, X2, X3, X0, X1, 2, 2, 17)
	STEP(F1, X1, X2, X3, X0, 3, 3, 22)
	STEP(F1, X0, X1, X2, X3, 4, 4, 7)
	STEP(F1, X3, X0, X1, X2, 5, 5, 12)
	STEP(F1, X2, X3, X0, X1, 6, 6, 17)
	STEP(F1, X1, X2, X3, X0, 7, 7, 22)
	STEP(F1, X0, X1, X2, X3, 8, 8, 7)
	STEP(F1, X3, X0, X1, X2, 9, 9, 12)
	STEP(F1, X2, X3, X0, X1, 10, 10, 17)
	STEP(F1, X1, X2, X3, X0, 11, 11, 22)
	STEP(F1, X0, X1, X2, X3, 12, 12, 7)
	STEP(F1, X3, X0, X1, X2, 13, 13, 12)
	STEP(F1, X2, X3, X0, X1, 14, 14, 17)
	STEP(F1, X1, X2, X3, X0, 15, 15, 22)

	STEP(F2, X0, X1, X2, X3, 1, 16, 5)
	STEP(F2, X3, X0, X1, X2, 6, 17, 9)
	STEP(F2, X2, X3, X0, X1, 11, 18, 14)
	STEP(F2, X1, X2, X3, X0, 0, 19, 20)
	STEP(F2, X0, X1, X2, X3, 5, 20, 5)
	STEP(F2, X3, X0, X1, X2, 10, 21, 9)
	STEP(F2, X2, X3, X0, X1, 15, 22, 14)
	STEP(F2, X1, X2, X3, X0, 4, 23, 20)
	STEP(F2, X0, X1, X2, X3, 9, 24, 5)
	STEP(F2, X3, X0, X1, X2, 14, 25, 9)
	STEP(F2, X2, X3, X0, X1, 3, 26, 14)
	STEP(F2, X1, X2, X3, X0, 8, 27, 20)
	STEP(F2, X0, X1, X2, X3, 13, 28, 5)
	STEP(F2, X3, X0, X1, X2, 2, 29, 9)
	STEP(F2, X2, X3, X0, X1, 7, 30, 14)
	STEP(F2, X1, X2, X3, X0, 12, 31, 20)

	STEP(F3, X0, X1, X2, X3, 5, 32, 4)
	STEP(F3, X3, X0, X1, X2, 8, 33, 11)
	STEP(F3, X2, X3, X0, X1, 11, 34, 16)
	STEP(F3, X1, X2, X3, X0, 14, 35, 23)
	STEP(F3, X0, X1, X2, X3, 1, 36, 4)
	STEP(F3, X3, X0, X1, X2, 4, 37, 11)
	STEP(F3, X2, X3, X0, X1, 7, 38, 16)
	STEP(F3, X1, X2, X3, X0, 10, 39, 23)
	STEP(F3, X0, X1, X2, X3, 13, 40, 4)
	STEP(F3, X3, X0, X1, X2, 0, 41, 11)
	STEP(F3, X2, X3, X0, X1, 3, 42, 16)
	STEP(F3, X1, X2, X3, X0, 6, 43, 23)
	STEP(F3, X0, X1, X2, X3, 9, 44, 4)
	STEP(F3, X3, X0, X1, X2, 12, 45, 11)
	STEP(F3, X2, X3, X0, X1, 15, 46, 16)
	STEP(F3, X1, X2, X3, X0, 2, 47, 23)

	STEP(F4, X0, X1, X2, X3, 0, 48, 6)
	STEP(F4, X3, X0, X1, X2, 7, 49, 10)
	STEP(F4, X2, X3, X0, X1, 14, 50, 15)
	STEP(F4, X1, X2, X3, X0, 5, 51, 21)
	STEP(F4, X0, X1, X2, X3, 12, 52, 6)
	STEP(F4, X3, X0, X1, X2, 3, 53, 10)
	STEP(F4, X2, X3, X0, X1, 10, 54, 15)
	STEP(F4, X1, X2, X3, X0, 1, 55, 21)
	STEP(F4, X0, X1, X2, X3, 8, 56, 6)
	STEP(F4, X3, X0, X1, X2, 15, 57, 10)
	STEP(F4, X2, X3, X0, X1, 6, 58, 15)
	STEP(F4, X1, X2, X3, X0, 13, 59, 21)
	STEP(F4, X0, X1, X2, X3, 4, 60, 6)
	STEP(F4, X3, X0, X1, X2, 11, 61, 10)
	STEP(F4, X2, X3, X0, X1, 2, 62, 15)
	STEP(F4, X1, X2, X3, X0, 9, 63, 21)

	VPADDD  0(DI), X0, X0
	VPADDD  16(DI), X1, X1
	VPADDD  32(DI), X2, X2
	VPADDD  48(DI), X3, X3
	VMOVDQU X0, 0(DI)
	VMOVDQU X1, 16(DI)
	VMOVDQU X2, 32(DI)
	VMOVDQU X3, 48(DI)
	ADDQ    $64, R8
	ADDQ    $64, R9
	ADDQ    $64, R10
	ADDQ    $64, R11
	DECQ    CX
	JNZ     block
	RET

DATA constants<>+0(SB)/4, $0xd76aa478
DATA constants<>+4(SB)/4, $0xe8c7b756
DATA constants<>+8(SB)/4, $0x242070db
DATA constants<>+12(SB)/4, $0xc1bdceee
DATA constants<>+16(SB)/4, $0xf57c0faf
DATA constants<>+20(SB)/4, $0x4787c62a
DATA constants<>+24(SB)/4, $0xa8304613
DATA constants<>+28(SB)/4, $0xfd469501
DATA constants<>+32(SB)/4, $0x698098d8
DATA constants<>+36(SB)/4, $0x8b44f7af
DATA constants<>+40(SB)/4, $0xffff5bb1
DATA constants<>+44(SB)/4, $0x895cd7be
DATA constants<>+48(SB)/4, $0x6b901122
DATA constants<>+52(SB)/4, $0xfd987193
DATA constants<>+56(SB)/4, $0xa679438e
DATA constants<>+60(SB)/4, $0x49b40821
DATA constants<>+64(SB)/4, $0xf61e2562
DATA constants<>+68(SB)/4, $0xc040b340
DATA constants<>+72(SB)/4, $0x265e5a51
DATA constants<>+76(SB)/4, $0xe9b6c7aa
DATA constants<>+80(SB)/4, $0xd62f105d
DATA constants<>+84(SB)/4, $0x02441453
DATA constants<>+88(SB)/4, $0xd8a1e681
DATA constants<>+92(SB)/4, $0xe7d3fbc8
DATA constants<>+96(SB)/4, $0x21e1cde6
DATA constants<>+100(SB)/4, $0xc33707d6
DATA constants<>+104(SB)/4, $0xf4d50d87
DATA constants<>+108(SB)/4, $0x455a14ed
DATA constants<>+112(SB)/4, $0xa9e3e905
DATA constants<>+116(SB)/4, $0xfcefa3f8
DATA constants<>+120(SB)/4, $0x676f02d9
DATA constants<>+124(SB)/4, $0x8d2a4c8a
DATA constants<>+128(SB)/4, $0xfffa3942
DATA constants<>+132(SB)/4, $0x8771f681
DATA constants<>+136(SB)/4, $0x6d9d6122
DATA constants<>+140(SB)/4, $0xfde5380c
DATA constants<>+144(SB)/4, $0xa4beea44
DATA constants<>+148(SB)/4, $0x4bdecfa9
DATA constants<>+152(SB)/4, $0xf6bb4b60
DATA constants<>+156(SB)/4, $0xbebfbc70
DATA constants<>+160(SB)/4, $0x289b7ec6
DATA constants<>+164(SB)/4, $0xeaa127fa
DATA constants<>+168(SB)/4, $0xd4ef3085
DATA constants<>+172(SB)/4, $0x04881d05
DATA constants<>+176(SB)/4, $0xd9d4d039
DATA constants<>+180(SB)/4, $0xe6db99e5
DATA constants<>+184(SB)/4, $0x1fa27cf8
DATA constants<>+188(SB)/4, $0xc4ac5665
DATA constants<>+192(SB)/4, $0xf4292244
DATA constants<>+196(SB)/4, $0x432aff97
DATA constants<>+200(SB)/4, $0xab9423a7
DATA constants<>+204(SB)/4, $0xfc93a039
DATA constants<>+208(SB)/4, $0x655b59c3
DATA constants<>+212(SB)/4, $0x8f0ccc92
DATA constants<>+216(SB)/4, $0xffeff47d
DATA constants<>+220(SB)/4, $0x85845dd1
DATA constants<>+224(SB)/4, $0x6fa87e4f
DATA constants<>+228(SB)/4, $0xfe2ce6e0
DATA constants<>+232(SB)/4, $0xa3014314
DATA constants<>+236(SB)/4, $0x4e0811a1
DATA constants<>+240(SB)/4, $0xf7537e82
DATA constants<>+244(SB)/4, $0xbd3af235
DATA constants<>+248(SB)/4, $0x2ad7d2bb
DATA constants<>+252(SB)/4, $0xeb86d391
GLOBL constants<>(SB), RODATA|NOPTR, $256
