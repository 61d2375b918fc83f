/* regex.c -- a grammar that is one pattern. */
#include "constrain/grammar.h"
#include "constrain/pattern.h"

static const char *name_pattern(const void *context, uint32_t rule)
{
    (void)context, (void)rule;
    return "the pattern";
}

upg_status upg_compile_regex(struct upg_grammar *g, const char *text, size_t n, upg_error *err)
{
    upg_expr e;
    const upg_status status = upg_pattern_whole(&g->exprs, "regular expression", text, n, &e, err);

    if (status != UPG_OK)
        return status;
    g->root = upg_unit_expr(&g->units, e);
    return upg_grammar_check(g, name_pattern, NULL, err);
}
