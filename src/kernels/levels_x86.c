/* levels_x86.c -- what an x86-64 CPU and its system offer.
 *
 * A CPU feature counts only if the system saves its registers: XCR0 says so, and AMX's tiles have
 * to be asked for besides.  Intel SDM volume 1, chapters 14.3, 15.2 and 18.3. */
#include "kernels/levels.h"

#include "kernels/amx/amx.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx512/avx512.h"

#include <cpuid.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum leaf { LEAF_1_ECX, LEAF_7_EBX, LEAF_7_ECX, LEAF_7_EDX, LEAF_7_1_EAX };

enum { /* of XCR0 */
       STATE_AVX = 1 << 1 | 1 << 2,
       STATE_AVX512 = 1 << 5 | 1 << 6 | 1 << 7,
       STATE_AMX = 1 << 17 | 1 << 18
};

/* All of `bits` in one output of CPUID? */
static bool has(enum leaf leaf, uint32_t bits)
{
    uint32_t eax, ebx, ecx, edx;

    if (!__get_cpuid_count(leaf == LEAF_1_ECX ? 1 : 7, leaf == LEAF_7_1_EAX, &eax, &ebx, &ecx,
                           &edx))
        return false;
    const uint32_t outputs[] = {[LEAF_1_ECX] = ecx,
                                [LEAF_7_EBX] = ebx,
                                [LEAF_7_ECX] = ecx,
                                [LEAF_7_EDX] = edx,
                                [LEAF_7_1_EAX] = eax};
    return (outputs[leaf] & bits) == bits;
}

/* Does the system save these registers? */
static bool saves(uint32_t states)
{
    uint32_t low, high;

    if (!has(LEAF_1_ECX, bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & states) == states;
}

static bool has_avx2_fma(void)
{
    return has(LEAF_1_ECX, bit_FMA | bit_F16C) && has(LEAF_7_EBX, bit_AVX2) && saves(STATE_AVX);
}

static bool has_avx2_vnni(void)
{
    return has_avx2_fma() && has(LEAF_7_1_EAX, 1 << 4) && has(LEAF_7_ECX, bit_GFNI);
}

static bool has_avx512_bw(void)
{
    return has_avx2_fma() && saves(STATE_AVX512) &&
           has(LEAF_7_EBX, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
}

static bool has_avx512_vnni(void)
{
    return has_avx512_bw() && has(LEAF_7_ECX, bit_AVX512VNNI);
}

static bool has_avx512_vbmi(void)
{
    return has_avx512_vnni() && has(LEAF_7_ECX, bit_AVX512VBMI | bit_GFNI);
}

/* Linux gives a process the tiles on request, and from then on saves them. */
static bool may_use_tiles(void)
{
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

static bool has_amx(void)
{
    return has_avx512_vbmi() && has(LEAF_7_EDX, 1 << 24 | 1 << 25) && saves(STATE_AMX) &&
           may_use_tiles();
}

static const struct upg_kernel_level levels[] = {
    {"avx2-fma", "avx2", "AVX2, FMA and F16C", has_avx2_fma, upg_kernels_fill_avx2_fma},
    {"avx2-vnni", "avx2", "AVX-VNNI and GFNI", has_avx2_vnni, upg_kernels_fill_avx2_vnni},
    {"avx512-bw", "avx512", "AVX-512 F, BW, DQ and VL", has_avx512_bw, upg_kernels_fill_avx512_bw},
    {"avx512-vnni", "avx512", "AVX-512 VNNI", has_avx512_vnni, upg_kernels_fill_avx512_vnni},
    {"avx512-vbmi", "avx512", "AVX-512 VBMI and GFNI", has_avx512_vbmi,
     upg_kernels_fill_avx512_vbmi},
    {"amx", "amx", "AMX-INT8", has_amx, upg_kernels_fill_amx},
};

const struct upg_kernel_level *upg_kernel_levels(size_t *n_levels)
{
    *n_levels = sizeof levels / sizeof levels[0];
    return levels;
}
