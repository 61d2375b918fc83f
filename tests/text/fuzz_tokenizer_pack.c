/* fuzz_tokenizer_pack.c -- any bytes as a packed tokenizer. */
#include "base/buffer.h"
#include "text/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "hello  world\n<|im_end|> 12 \xFF";
    const upg_message message = {"user", text, NULL};
    struct upg_buffer packed = {0};
    upg_tokenizer *tokenizer = NULL;
    upg_tokens tokens = {0};

    if (upg_tokenizer_unpack(&tokenizer, "fuzz", data, size, NULL) != UPG_OK)
        return 0;
    if (upg_tokenize(tokenizer, text, sizeof text - 1, UPG_TEXT_PARSE_SPECIAL, &tokens, NULL) !=
            UPG_OK ||
        upg_tokenizer_pack(tokenizer, &packed, NULL) != UPG_OK)
        abort();
    upg_chat_render(tokenizer, &message, 1, 1, &tokens, NULL, NULL);
    upg_tokens_clear(&tokens);
    upg_buffer_clear(&packed);
    upg_tokenizer_free(tokenizer);
    return 0;
}
