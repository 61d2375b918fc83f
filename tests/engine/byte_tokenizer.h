/* byte_tokenizer.h -- a tokenizer for the formula models: one token a byte, and <|end|>. */
#ifndef UPG_TESTS_BYTE_TOKENIZER_H
#define UPG_TESTS_BYTE_TOKENIZER_H

#include "upg/upg.h"

enum { BYTE_TOKENIZER_END = 256, BYTE_TOKENIZER_N_IDS = 257 };

/* Ids 0 .. 255 are the bytes of these values, 256 is the special token <|end|>.  The caller owns
 * it. */
upg_tokenizer *byte_tokenizer(void);

#endif
