/* byte_tokenizer.c -- written as a tokenizer.json and read back. */
#include "engine/byte_tokenizer.h"

#include "unit.h"

#include "base/utf8.h"
#include "text/text.h"

#include <jansson.h>
#include <stdlib.h>

/* The byte-level alphabet of GPT-2: visible Latin-1 characters stand for themselves, the other 68
 * bytes are U+0100 onwards in their order. */
static uint32_t letter_of(int byte)
{
    uint32_t n_hidden = 0;

    for (int b = 0; b <= byte; b++) {
        const int is_visible =
            (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);

        if (b == byte && is_visible)
            return (uint32_t)byte;
        n_hidden += !is_visible;
    }
    return 0xFF + n_hidden;
}

upg_tokenizer *byte_tokenizer(void)
{
    json_t *vocab = json_object();
    json_t *file;
    upg_tokenizer *tokenizer = NULL;
    upg_error err = {0};
    char *text;

    for (int byte = 0; byte < 256; byte++) {
        char letter[5] = {0};

        upg_utf8_put(letter, letter_of(byte));
        json_object_set_new(vocab, letter, json_integer(byte));
    }
    file = json_pack("{s:[{s:i,s:s,s:b,s:b,s:b,s:b,s:b}],s:n,s:{s:s,s:b,s:b,s:b},s:{s:s,s:o,s:[]}}",
                     "added_tokens", "id", BYTE_TOKENIZER_END, "content", "<|end|>", "special", 1,
                     "lstrip", 0, "rstrip", 0, "single_word", 0, "normalized", 0, "normalizer",
                     "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                     "use_regex", 1, "model", "type", "BPE", "vocab", vocab, "merges");
    assert_non_null(file);
    text = json_dumps(file, 0);
    assert_non_null(text);
    assert_ok(
        upg_tokenizer_from_json(&tokenizer, "bytes", text, strlen(text), NULL, 0, NULL, 0, &err),
        err);
    free(text);
    json_decref(file);
    return tokenizer;
}
