/* utf8.c -- Unicode 15, table 3-7. */
#include "base/utf8.h"

/* Bounds of the second byte and the length for a lead byte; length 0 for bytes that begin nothing.
 */
static size_t lead_bounds(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0)
            *low = 0xA0; /* no overlong forms */
        if (lead == 0xED)
            *high = 0x9F; /* no surrogates */
        return 3;
    }
    if (lead == 0xF0)
        *low = 0x90;
    if (lead == 0xF4)
        *high = 0x8F; /* at most U+10FFFF */
    return 4;
}

/* Number of bytes at text that agree with table 3-7 (1 .. length), and the length they promise. */
static size_t well_formed_prefix(const char *text, size_t n, size_t *length)
{
    unsigned char low, high;
    size_t i;

    *length = lead_bounds((unsigned char)text[0], &low, &high);
    if (*length == 0)
        return 0;
    for (i = 1; i < *length && i < n; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte < low || byte > high)
            break;
        low = 0x80;
        high = 0xBF;
    }
    return i;
}

size_t upg_utf8_next(const char *text, size_t n, uint32_t *code)
{
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length;
    uint32_t value;

    if (n == 0 || well_formed_prefix(text, n, &length) == 0)
        return 0;
    if (well_formed_prefix(text, n, &length) != length)
        return 0;
    value = (unsigned char)text[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | ((unsigned char)text[i] & 0x3Fu);
    if (code)
        *code = value;
    return length;
}

size_t upg_utf8_partial(const char *text, size_t n)
{
    size_t length, good;

    if (n == 0)
        return 0;
    good = well_formed_prefix(text, n, &length);
    return good == n && good < length ? n : 0;
}

size_t upg_utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}
