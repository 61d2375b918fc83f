/* fuzz_tokenizer_json.c -- any bytes as tokenizer.json, with tokenizer_config.json behind a zero
 * byte.
 *
 * A tokenizer that is read must also work, pack and come back, whatever file it is from. */
#include "base/buffer.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const upg_tokenizer *tokenizer)
{
    static const char text[] = "hello  world\n<|im_end|> 12 \xFF";
    const upg_message message = {"user", text, NULL};
    struct upg_buffer packed = {0}, again = {0}, json = {0}, config = {0};
    upg_tokenizer *back = NULL;
    upg_tokens tokens = {0};

    if (upg_tokenize(tokenizer, text, sizeof text - 1, UPG_TEXT_PARSE_SPECIAL, &tokens, NULL) !=
        UPG_OK)
        abort();
    upg_chat_render(tokenizer, &message, 1, 1, &tokens, NULL, NULL);
    upg_tokenizer_to_json(tokenizer, &json, &config, NULL);
    if (upg_tokenizer_pack(tokenizer, &packed, NULL) == UPG_OK) {
        if (upg_tokenizer_unpack(&back, "packed", (const uint8_t *)packed.bytes, packed.n, NULL) !=
            UPG_OK)
            abort();
        if (upg_tokenizer_pack(back, &again, NULL) != UPG_OK || again.n != packed.n ||
            memcmp(again.bytes, packed.bytes, packed.n) != 0)
            abort();
    }
    upg_tokenizer_free(back);
    upg_tokens_clear(&tokens);
    upg_buffer_clear(&packed);
    upg_buffer_clear(&again);
    upg_buffer_clear(&json);
    upg_buffer_clear(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *zero = size ? memchr(text, '\0', size) : NULL;
    const size_t n = zero ? (size_t)(zero - text) : size;
    upg_tokenizer *tokenizer = NULL;

    if (upg_tokenizer_from_json(&tokenizer, "fuzz", text, n, zero ? zero + 1 : NULL,
                                zero ? size - n - 1 : 0, NULL, 0, NULL) == UPG_OK)
        use(tokenizer);
    upg_tokenizer_free(tokenizer);
    return 0;
}
