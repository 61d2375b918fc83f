/* tokenizer.h -- the inside of a tokenizer, for the files of this room.
 *
 * A reader (read_json.c, read_arrays.c, pack.c) makes an empty tokenizer, fills tokens, merges,
 * added tokens, pattern and template, and calls upg_tokenizer_finish(), which checks what it got
 * and builds the tables.  Afterwards nothing changes any more, so threads may share it. */
#ifndef UPG_TEXT_TOKENIZER_H
#define UPG_TEXT_TOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/arena.h"
#include "text/added.h"
#include "text/chat.h"
#include "text/merge.h"
#include "text/pattern.h"
#include "text/text.h"

#include <pcre2.h>

enum {
    UPG_TOKEN_BASE = 1,   /* BPE may give it */
    UPG_TOKEN_ADDED = 2,  /* it is in the set of added tokens */
    UPG_TOKEN_SPECIAL = 4 /* that set calls it special */
};

/* Limits on what files may claim.  Phi-4-mini has 200 029 ids and tokens of up to 128 bytes, 1.5 MB
 * in all. */
enum { UPG_MAX_IDS = 1 << 22, UPG_MAX_TOKEN_BYTES = 1024, UPG_MAX_VOCABULARY_BYTES = 32 << 20 };

struct upg_token {
    const char *bytes; /* [n] in the arena; what the token decodes to */
    uint32_t n;
    uint8_t kind; /* UPG_TOKEN_*; 0: there is no token with this id */
};

/* Ids of the base tokens by their bytes. */
struct upg_token_index {
    int32_t *slots; /* [1 << log2_slots] owned; -1: free */
    unsigned log2_slots;
};

struct upg_tokenizer {
    struct upg_token *tokens; /* [n_ids] */
    size_t n_ids;
    struct upg_merge *merges; /* [n_merges] in order of rank */
    size_t n_merges;
    struct upg_added_set added;
    const struct upg_pattern *pattern;
    bool ignore_merges; /* a pre-token that is a token is not merged */
    int32_t unknown_id; /* stands for bytes without a token; -1: such bytes vanish */
    struct upg_chat_template chat;

    /* Built by upg_tokenizer_finish(). */
    int32_t byte_ids[256];        /* the token of each byte; -1: it has none */
    struct upg_pair_table pairs;  /* of merges */
    struct upg_token_index index; /* only with ignore_merges */
    pcre2_code *regex;

    struct upg_arena arena; /* tokens, their bytes, merges, added tokens */
    char *pool;             /* [pool_left] free bytes of the arena, for short texts */
    size_t pool_left;
    size_t n_token_bytes; /* of all tokens */
};

/* An empty tokenizer with room for n_ids tokens; NULL when out of memory. */
upg_tokenizer *upg_tokenizer_new(size_t n_ids);

/* Copy bytes[n] in as token id.  UPG_ERR_FORMAT if the id has one or the token is too long. */
upg_status upg_tokenizer_set_token(upg_tokenizer *tokenizer, const char *where, size_t id,
                                   const char *bytes, size_t n, upg_error *err);

/* The same for a token as files spell it in the byte alphabet; text that is not in the alphabet is
 * taken as it is (added tokens are). */
upg_status upg_tokenizer_set_spelled(upg_tokenizer *tokenizer, const char *where, size_t id,
                                     const char *text, size_t n, upg_error *err);

/* Copy an added token in.  Room for all of them must be there (upg_tokenizer_reserve_added). */
upg_status upg_tokenizer_reserve_added(upg_tokenizer *tokenizer, size_t n, upg_error *err);
upg_status upg_tokenizer_set_added(upg_tokenizer *tokenizer, const char *where, size_t id,
                                   const char *text, size_t n, uint8_t flags, upg_error *err);

/* UPG_ERR_FORMAT for tokens that were chosen to collide; the index is to be cleared in any case. */
upg_status upg_token_index_init(struct upg_token_index *index, const upg_tokenizer *tokenizer,
                                const char *where, upg_error *err);
void upg_token_index_clear(struct upg_token_index *index);

/* Id of the base token of these bytes; -1 if there is none. */
int32_t upg_token_index_find(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                             const char *bytes, size_t n);

/* The merge of two tokens as files spell them.  false if one of the two or the two joined are no
 * base token. */
bool upg_merge_of_spellings(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                            struct upg_text_span left, struct upg_text_span right,
                            struct upg_merge *merge);

/* The same of "left right". */
bool upg_merge_of_text(const struct upg_token_index *index, const upg_tokenizer *tokenizer,
                       struct upg_text_span text, struct upg_merge *merge);

/* Check, and build what encoding needs.  On failure the caller frees the tokenizer. */
upg_status upg_tokenizer_finish(upg_tokenizer *tokenizer, const char *where, upg_error *err);

/* Compare ids of a fixed text with recorded ones, if the vocabulary is one that upg knows;
 * UPG_ERR_FORMAT if they differ.  self_check.c */
upg_status upg_tokenizer_self_check(const upg_tokenizer *tokenizer, const char *where,
                                    upg_error *err);

#endif
