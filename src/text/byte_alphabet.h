/* byte_alphabet.h -- the alphabet in which byte-level tokenizer files spell bytes.
 *
 * Files are text, tokens are bytes: bytes 33..126, 161..172 and 174..255 are spelt by the character
 * of the same number, the other 68 bytes, in increasing order, by U+0100..U+0143 (a space is
 * U+0120).  Radford et al. 2019 (GPT-2), section 2.2, and its published encoder. */
#ifndef UPG_TEXT_BYTE_ALPHABET_H
#define UPG_TEXT_BYTE_ALPHABET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes spelt by text[n], written to out[n].  false if a character is not of the alphabet; then out
 * holds nothing useful. */
bool upg_bytes_from_spelling(const char *text, size_t n, char *out, size_t *n_out);

/* The spelling of bytes[n], written to out[2 * n]; returns its length. */
size_t upg_bytes_to_spelling(const char *bytes, size_t n, char *out);

#endif
