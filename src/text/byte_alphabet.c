/* byte_alphabet.c -- the rule of the alphabet, and its inverse. */
#include "text/byte_alphabet.h"

#include "base/utf8.h"

/* Bytes that have no printable character of their own in Latin-1; they are spelt U+0100 + their
 * rank among themselves: 0..32 -> 0..32, 127..160 -> 33..66, 173 -> 67. */
static bool is_unprintable(uint32_t byte)
{
    return byte <= 32 || (byte >= 127 && byte <= 160) || byte == 173;
}

static uint32_t spell(uint32_t byte)
{
    if (!is_unprintable(byte))
        return byte;
    if (byte <= 32)
        return 0x100 + byte;
    return byte == 173 ? 0x143 : 0x100 + 33 + (byte - 127);
}

static bool unspell(uint32_t code, uint32_t *byte)
{
    if (code < 0x100)
        *byte = code;
    else if (code <= 0x120)
        *byte = code - 0x100;
    else if (code < 0x143)
        *byte = code - 0x121 + 127;
    else
        *byte = 173;
    return code <= 0x143 && is_unprintable(*byte) == (code >= 0x100);
}

bool upg_bytes_from_spelling(const char *text, size_t n, char *out, size_t *n_out)
{
    size_t length, n_bytes = 0;
    uint32_t code, byte;

    for (size_t i = 0; i < n; i += length) {
        length = upg_utf8_next(text + i, n - i, &code);
        if (length == 0 || !unspell(code, &byte))
            return false;
        out[n_bytes++] = (char)byte;
    }
    *n_out = n_bytes;
    return true;
}

size_t upg_bytes_to_spelling(const char *bytes, size_t n, char *out)
{
    size_t length = 0;

    for (size_t i = 0; i < n; i++)
        length += upg_utf8_put(out + length, spell((unsigned char)bytes[i]));
    return length;
}
