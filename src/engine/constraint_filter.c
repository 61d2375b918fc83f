/* constraint_filter.c -- a constraint as the scheduler's token filter. */
#include "base/error.h"

static upg_status mask(void *context, size_t n_left, uint32_t *allowed, size_t n_words,
                       upg_error *err)
{
    return upg_constraint_mask_within(context, n_left, allowed, n_words, err);
}

static upg_status accept(void *context, int32_t id, upg_error *err)
{
    return upg_constraint_accept(context, id, err);
}

static void free_constraint(void *context)
{
    upg_constraint_free(context);
}

upg_token_filter upg_constraint_filter(upg_constraint *constraint)
{
    return (upg_token_filter){
        .context = constraint, .mask = mask, .accept = accept, .free = free_constraint};
}
