/* utf8.h -- one character at a time. */
#ifndef UPG_BASE_UTF8_H
#define UPG_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the valid UTF-8 character (no surrogates, no overlong forms, at most U+10FFFF) at
 * text[0], n >= 1 bytes left; 0 if there is none.  *code receives the code point (may be NULL). */
size_t upg_utf8_next(const char *text, size_t n, uint32_t *code);

/* The maximal prefix of text[n] that could still become a valid character: 0 if text[0] begins none
 * or n holds a whole one; otherwise n (1 .. 3).  "Maximal subpart" as in Unicode 15, section 3.9.
 */
size_t upg_utf8_partial(const char *text, size_t n);

/* Write code point `code` (<= 0x10FFFF) to out[4]; returns the number of bytes. */
size_t upg_utf8_put(char *out, uint32_t code);

#endif
