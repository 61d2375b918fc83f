/* fuzz_grammar.c -- any bytes as a schema, a pattern or a grammar, followed for a while.
 *
 * The first byte chooses the kind.  Whatever compiles has a text: random allowed tokens never
 * lead to an empty mask, and what a mask allows is accepted. */
#include "base/random.h"
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { END = 256, N_IDS = 257, N_WORDS = (N_IDS + 31) / 32, MAX_STEPS = 40 };

static upg_vocabulary *vocabulary;

/* Token b is byte b: visible Latin-1 characters stand for themselves, the other bytes are U+0100
 * onwards; token END is <|end|>. */
static void write_tokenizer(char *json, size_t n)
{
    static const char head[] =
        "{\"added_tokens\": [{\"id\": 256, \"content\": \"<|end|>\", "
        "\"special\": true, \"lstrip\": false, \"rstrip\": false, "
        "\"single_word\": false, \"normalized\": false}], \"normalizer\": null, "
        "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": true}, \"model\": {\"type\": "
        "\"BPE\", \"merges\": [], \"vocab\": {";
    size_t at = (size_t)snprintf(json, n, "%s", head);
    unsigned n_hidden = 0;

    for (unsigned b = 0; b < 256; b++) {
        const int is_visible = (b > 32 && b < 127) || (b > 160 && b != 173);

        at += (size_t)snprintf(json + at, n - at, "%s\"\\u%04x\": %u", b > 0 ? ", " : "",
                               is_visible ? b : 256 + n_hidden, b);
        n_hidden += !is_visible;
    }
    snprintf(json + at, n - at, "}}}");
}

static void make_vocabulary(void)
{
    static char json[8192];
    const int32_t end = END;
    upg_tokenizer *tokenizer = NULL;

    write_tokenizer(json, sizeof json);
    if (upg_tokenizer_from_json(&tokenizer, "bytes", json, strlen(json), NULL, 0, NULL, 0, NULL) !=
            UPG_OK ||
        upg_vocabulary_new(&vocabulary, tokenizer, &end, 1, NULL) != UPG_OK)
        abort();
    upg_tokenizer_free(tokenizer);
}

/* One of the allowed tokens; -1 if there is none. */
static int32_t choose(const uint32_t *bits, struct upg_random *random)
{
    int32_t allowed[N_IDS];
    size_t n = 0;

    for (int32_t id = 0; id < N_IDS; id++)
        if (bits[id / 32] >> (id % 32) & 1)
            allowed[n++] = id;
    return n > 0 ? allowed[upg_random_u64(random) % n] : -1;
}

static void follow(upg_constraint *constraint, uint64_t seed)
{
    struct upg_random random = {seed};
    uint32_t bits[N_WORDS];

    for (size_t step = 0; step < MAX_STEPS; step++) {
        int32_t id;

        if (upg_constraint_mask(constraint, bits, N_WORDS, NULL) != UPG_OK)
            return; /* beyond the limits */
        id = choose(bits, &random);
        if (id < 0)
            abort();
        if (upg_constraint_accept(constraint, id, NULL) != UPG_OK)
            abort();
        if (id == END)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    upg_grammar *grammar = NULL;
    upg_constraint *constraint = NULL;

    if (!vocabulary)
        make_vocabulary();
    if (size == 0)
        return 0;
    if (upg_grammar_new(&grammar, vocabulary, (upg_grammar_kind)(data[0] % 3),
                        (const char *)data + 1, size - 1, NULL, NULL) != UPG_OK)
        return 0;
    if (upg_constraint_new(&constraint, grammar, NULL) == UPG_OK)
        follow(constraint, size);
    upg_constraint_free(constraint);
    upg_grammar_free(grammar);
    return 0;
}
