/* small.h -- a tokenizer small enough to be written down in a test. */
#ifndef TESTS_TEXT_SMALL_H
#define TESTS_TEXT_SMALL_H

#include "text/text.h"

#include <jansson.h>

/* Ids of the small tokenizer.  0 .. 255 are the bytes in the order of their values. */
enum {
    SMALL_HE = 256,
    SMALL_LL,
    SMALL_HELL,
    SMALL_HELLO,
    SMALL_SPACE_HELLO,
    SMALL_AA,
    SMALL_START = 300, /* <|im_start|>, strips nothing */
    SMALL_SEP,         /* <|im_sep|>, strips on the right */
    SMALL_END,         /* <|im_end|>, strips on both sides */
    SMALL_ENDS,        /* <|im_end|>s, not special */
    SMALL_N_IDS
};

/* Its tokenizer.json, for tests to change; json_decref() it. */
json_t *small_json(void);

/* A tokenizer from a document, which is given up; `jinja` may be NULL. */
upg_status small_read(json_t *document, const char *jinja, upg_tokenizer **tokenizer,
                      upg_error *err);

/* The tokenizer as it is; fails the test if it cannot be read. */
upg_tokenizer *small_tokenizer(const char *jinja);

/* Fails the test unless text[n] gives these ids. */
void expect_ids(const upg_tokenizer *tokenizer, const char *text, size_t n, int flags,
                const int32_t *ids, size_t n_ids);

#define EXPECT_IDS(tokenizer, text, flags, ...)                                                    \
    do {                                                                                           \
        const int32_t ids_[] = {__VA_ARGS__};                                                      \
        expect_ids(tokenizer, text, sizeof(text) - 1, flags, ids_, sizeof ids_ / sizeof *ids_);    \
    } while (0)

#endif
