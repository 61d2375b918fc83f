/* levels_none.c -- an architecture for which there is only the scalar tier. */
#include "kernels/levels.h"

const struct upg_kernel_level *upg_kernel_levels(size_t *n_levels)
{
    *n_levels = 0;
    return NULL;
}
