/* tokens.c -- the growable list of ids. */
#include "base/error.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

void upg_tokens_clear(upg_tokens *tokens)
{
    free(tokens->ids);
    memset(tokens, 0, sizeof *tokens);
}

upg_status upg_tokens_append(upg_tokens *tokens, const int32_t *ids, size_t n, upg_error *err)
{
    size_t need, n_bytes;

    if (n == 0)
        return UPG_OK;
    if (!size_add(tokens->n, n, &need))
        return upg_fail_memory(err, "a list of tokens", n);
    if (need > tokens->capacity) {
        size_t capacity = tokens->capacity ? tokens->capacity : 32;
        int32_t *grown = NULL;
        while (capacity < need)
            if (!size_mul(capacity, 2, &capacity))
                return upg_fail_memory(err, "a list of tokens", n);
        if (size_mul(capacity, sizeof *grown, &n_bytes))
            grown = realloc(tokens->ids, n_bytes);
        if (!grown)
            return upg_fail_memory(err, "a list of tokens", capacity);
        tokens->ids = grown;
        tokens->capacity = capacity;
    }
    memcpy(tokens->ids + tokens->n, ids, n * sizeof *ids);
    tokens->n = need;
    return UPG_OK;
}
