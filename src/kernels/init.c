/* init.c -- fill the kernel table, from scalar up to the highest level that is there and allowed.
 */
#include "kernels/kernels.h"

#include "kernels/levels.h"

#include <stdio.h>
#include <string.h>

/* Number of levels that `highest` allows; n_levels + 1 for an unknown name. */
static size_t allowed_levels(const struct upg_kernel_level *levels, size_t n_levels,
                             const char *highest)
{
    if (!highest || !*highest)
        return n_levels;
    if (!strcmp(highest, "scalar"))
        return 0;
    for (size_t n = n_levels; n > 0; n--)
        if (!strcmp(highest, levels[n - 1].name) || !strcmp(highest, levels[n - 1].family))
            return n;
    return n_levels + 1;
}

static upg_status fail_unknown(const struct upg_kernel_level *levels, size_t n_levels,
                               const char *highest, upg_error *err)
{
    char names[256] = "scalar";

    for (size_t i = 0; i < n_levels; i++) {
        const size_t n = strlen(names);
        const bool last_of_family =
            i + 1 == n_levels || strcmp(levels[i].family, levels[i + 1].family) != 0;
        if (last_of_family && strcmp(levels[i].family, levels[i].name) != 0)
            snprintf(names + n, sizeof names - n, ", %s, %s", levels[i].name, levels[i].family);
        else
            snprintf(names + n, sizeof names - n, ", %s", levels[i].name);
    }
    return upg_fail(err, UPG_ERR_ARGUMENT,
                    "CPU tier '%s': this build has no such tier; use one of %s", highest, names);
}

upg_status upg_kernels_init(struct upg_kernels *kernels, const char *highest, char *why,
                            size_t n_why, upg_error *err)
{
    size_t n_levels;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);
    const size_t n_allowed = allowed_levels(levels, n_levels, highest);
    const struct upg_kernel_level *missing = NULL; /* the lowest allowed level above the one used */

    if (n_allowed > n_levels)
        return fail_unknown(levels, n_levels, highest, err);

    upg_kernels_fill_scalar(kernels);
    for (size_t i = 0; i < n_allowed; i++) {
        if (levels[i].available()) {
            levels[i].fill(kernels);
            kernels->tier = levels[i].name;
            missing = NULL;
        } else if (!missing) {
            missing = &levels[i];
        }
    }
    if (why && missing)
        snprintf(why, n_why, "%s (%s needs %s, which this machine lacks)", kernels->tier,
                 missing->name, missing->needs);
    else if (why && n_allowed < n_levels)
        snprintf(why, n_why, "%s (limited to '%s')", kernels->tier, highest);
    else if (why)
        snprintf(why, n_why, "%s (the highest there is)", kernels->tier);
    return UPG_OK;
}
