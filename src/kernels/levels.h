/* levels.h -- the levels of one architecture, inside this room.
 *
 * A level is a set of kernels that need the same CPU features.  upg_kernels_init() lets each level
 * that the machine has overwrite the table, from low to high; a kernel that a level lacks stays
 * that of the level below. */
#ifndef UPG_KERNELS_LEVELS_H
#define UPG_KERNELS_LEVELS_H

#include "kernels/kernels.h"

struct upg_kernel_level {
    const char *name;   /* struct upg_kernels' tier */
    const char *family; /* a shorter name that means the family's highest level */
    const char *needs;  /* CPU features, for people */
    bool (*available)(void);
    void (*fill)(struct upg_kernels *kernels);
};

/* The levels of this architecture above scalar, from low to high; they live forever. */
const struct upg_kernel_level *upg_kernel_levels(size_t *n_levels);

void upg_kernels_fill_scalar(struct upg_kernels *kernels);

#endif
