/* detokenize.c -- bytes to whole characters. */
#include "base/utf8.h"
#include "upg/upg.h"

#include <string.h>

static size_t put_replacement(char *out)
{
    return upg_utf8_put(out, 0xFFFD);
}

/* What is held is always a beginning of a character that may still become one.  When a byte shows
 * that it cannot, all before that byte is one maximal subpart (Unicode 15, section 3.9), which
 * gives one U+FFFD, and the byte begins anew. */
size_t upg_detokenize(upg_detokenizer *detokenizer, const char *bytes, size_t n_bytes, char *out)
{
    char *held = (char *)detokenizer->held;
    size_t n = detokenizer->n_held, n_out = 0;

    for (size_t i = 0; bytes && i < n_bytes; i++) {
        held[n++] = bytes[i];
        if (n > 1 && upg_utf8_next(held, n, NULL) == 0 && upg_utf8_partial(held, n) == 0) {
            n_out += put_replacement(out + n_out);
            held[0] = bytes[i];
            n = 1;
        }
        if (upg_utf8_next(held, n, NULL) > 0) {
            memcpy(out + n_out, held, n);
            n_out += n;
            n = 0;
        } else if (upg_utf8_partial(held, n) == 0) {
            n_out += put_replacement(out + n_out);
            n = 0;
        }
    }
    if (!bytes && n > 0) {
        n_out += put_replacement(out + n_out);
        n = 0;
    }
    detokenizer->n_held = (unsigned)n;
    return n_out;
}
