/* check_ladder.c -- which tier upg_kernels_init() chooses, and what it says about it. */
#include "check_ladder.h"

#include "kernels/levels.h"

#include <stdio.h>
#include <string.h>

static int n_failures;

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    printf("FAILED ladder: %s\n", what);
    n_failures++;
}

/* The tier in use when `highest` is allowed. */
static const char *tier_of(const char *highest)
{
    struct upg_kernels kernels;
    upg_error err;

    return upg_kernels_init(&kernels, highest, NULL, 0, &err) == UPG_OK ? kernels.tier : "(none)";
}

static void every_level_is_reached_by_its_name(void)
{
    size_t n_levels;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);

    for (size_t i = 0; i < n_levels; i++) {
        char what[100];
        snprintf(what, sizeof what, "%s gives %s", levels[i].name, tier_of(levels[i].name));
        expect(levels[i].available() == !strcmp(tier_of(levels[i].name), levels[i].name), what);
        expect(i + 1 < n_levels || !strcmp(tier_of(levels[i].family), tier_of(NULL)),
               "the highest family allows all");
    }
}

static void a_family_allows_its_highest_level(void)
{
    size_t n_levels;
    const struct upg_kernel_level *levels = upg_kernel_levels(&n_levels);

    for (size_t i = 0; i + 1 < n_levels; i++)
        if (strcmp(levels[i].family, levels[i + 1].family) != 0)
            expect(!strcmp(tier_of(levels[i].family), tier_of(levels[i].name)), levels[i].family);
}

static void scalar_is_always_there(void)
{
    struct upg_kernels kernels;
    char why[100];
    upg_error err;

    expect(upg_kernels_init(&kernels, "scalar", why, sizeof why, &err) == UPG_OK, "scalar");
    expect(!strcmp(kernels.tier, "scalar"), "the tier's name");
    expect(!strncmp(why, "scalar (", 8), why);
    expect(!strcmp(tier_of(""), tier_of(NULL)), "an empty name is no limit");
}

static void an_unknown_tier_is_refused_with_the_names_there_are(void)
{
    struct upg_kernels kernels = {.tier = "as before"};
    upg_error err;

    expect(upg_kernels_init(&kernels, "sse9", NULL, 0, &err) == UPG_ERR_ARGUMENT, "sse9");
    expect(!strcmp(kernels.tier, "as before"), "the table after a failure");
    expect(strstr(err.message, "'sse9'") && strstr(err.message, "scalar"), err.message);
}

int check_ladder(void)
{
    n_failures = 0;
    every_level_is_reached_by_its_name();
    a_family_allows_its_highest_level();
    scalar_is_always_there();
    an_unknown_tier_is_refused_with_the_names_there_are();
    printf("%-12s %-16s %s\n", "", "ladder", n_failures ? "FAILED" : "ok");
    return n_failures;
}
