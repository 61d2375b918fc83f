/* schema.c */
#include "constrain/grammar.h"
upg_status upg_compile_schema(struct upg_grammar *g, const char *text, size_t n,
                              upg_whitespace whitespace, upg_error *err)
{
    (void)g, (void)text, (void)n, (void)whitespace;
    return upg_fail(err, UPG_ERR_UNSUPPORTED, "JSON Schemas are not compiled yet");
}
