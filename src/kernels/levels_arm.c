/* levels_arm.c -- what an AArch64 CPU offers beyond NEON, which all of them have. */
#include "kernels/levels.h"

#include "kernels/neon/neon.h"

#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

static bool has_neon(void)
{
    return true;
}

static bool has_dotprod(void)
{
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
    int has = 0;
    size_t n_bytes = sizeof has;

    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &n_bytes, NULL, 0) == 0 && has;
#else
    return false;
#endif
}

static const struct upg_kernel_level levels[] = {
    {"neon-base", "neon", "NEON", has_neon, upg_kernels_fill_neon_base},
    {"neon-dotprod", "neon", "the dot products of Armv8.2", has_dotprod,
     upg_kernels_fill_neon_dotprod},
};

const struct upg_kernel_level *upg_kernel_levels(size_t *n_levels)
{
    *n_levels = sizeof levels / sizeof levels[0];
    return levels;
}
