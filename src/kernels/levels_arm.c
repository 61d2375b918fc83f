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

#if defined(__linux__)

static bool has_dotprod(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

static bool has_i8mm(void)
{
    return has_dotprod() && getauxval(AT_HWCAP2) & HWCAP2_I8MM;
}

#elif defined(__APPLE__)

static bool has_feature(const char *name)
{
    int has = 0;
    size_t n_bytes = sizeof has;

    return sysctlbyname(name, &has, &n_bytes, NULL, 0) == 0 && has;
}

static bool has_dotprod(void)
{
    return has_feature("hw.optional.arm.FEAT_DotProd");
}

static bool has_i8mm(void)
{
    return has_dotprod() && has_feature("hw.optional.arm.FEAT_I8MM");
}

#else

static bool has_dotprod(void)
{
    return false;
}

static bool has_i8mm(void)
{
    return false;
}

#endif

static const struct upg_kernel_level levels[] = {
    {"neon-base", "neon", "NEON", has_neon, upg_kernels_fill_neon_base},
    {"neon-dotprod", "neon", "the dot products of Armv8.2", has_dotprod,
     upg_kernels_fill_neon_dotprod},
    {"neon-i8mm", "neon", "the matrix products of Armv8.6", has_i8mm, upg_kernels_fill_neon_i8mm},
};

const struct upg_kernel_level *upg_kernel_levels(size_t *n_levels)
{
    *n_levels = sizeof levels / sizeof levels[0];
    return levels;
}
