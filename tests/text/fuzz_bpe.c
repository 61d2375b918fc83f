/* fuzz_bpe.c -- any bytes as text, for every pattern.
 *
 * The bytes of the ids are the bytes of the text; the detokenizer gives them back in any cut; and a
 * message never adds a control token to a conversation. */
#include "text/byte_alphabet.h"
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PATTERNS = 4, N_WORDS = 12, FIRST_ADDED = 256 + N_WORDS, N_ADDED = 3 };

static const char *const names[N_PATTERNS] = {"dbrx", "gpt-4o", "gpt-2", "smollm"};
static upg_tokenizer *tokenizers[N_PATTERNS];

static struct upg_text_span span(const char *text)
{
    return (struct upg_text_span){text, strlen(text)};
}

static void make_tokenizers(void)
{
    static const char *const merges[N_WORDS] = {"a a",
                                                "aa aa",
                                                "aaaa a",
                                                "\xC4\xA0 \xC4\xA0",
                                                "\xC4\xA0 a",
                                                "h e",
                                                "\xC3\xA4 \xC2\xB8",
                                                "\xC3\xA4\xC2\xB8 \xC5\x83",
                                                "1 2",
                                                "\xC4\x8A \xC4\x8A",
                                                "' s",
                                                "\xC4\xA0\xC4\xA0 \xC4\xA0\xC4\xA0"};
    static const char *const added[N_ADDED] = {"<|im_start|>", "<|im_sep|>", "<|im_end|>"};
    static char spellings[256][2], words[N_WORDS][16];
    static struct upg_text_span tokens[FIRST_ADDED + N_ADDED], pairs[N_WORDS];
    static int32_t types[FIRST_ADDED + N_ADDED];
    struct upg_tokenizer_arrays arrays = {.model = "gpt2",
                                          .tokens = tokens,
                                          .types = types,
                                          .n_tokens = FIRST_ADDED + N_ADDED,
                                          .merges = pairs,
                                          .n_merges = N_WORDS};

    for (int i = 0; i < 256; i++) {
        const char byte = (char)i;
        tokens[i] =
            (struct upg_text_span){spellings[i], upg_bytes_to_spelling(&byte, 1, spellings[i])};
        types[i] = 1;
    }
    for (int i = 0; i < N_WORDS; i++) {
        const char *space = strchr(merges[i], ' ');
        pairs[i] = span(merges[i]);
        snprintf(words[i], sizeof words[i], "%.*s%s", (int)(space - merges[i]), merges[i],
                 space + 1);
        tokens[256 + i] = span(words[i]);
        types[256 + i] = 1;
    }
    for (int i = 0; i < N_ADDED; i++) {
        tokens[FIRST_ADDED + i] = span(added[i]);
        types[FIRST_ADDED + i] = 3;
    }
    for (int i = 0; i < N_PATTERNS; i++) {
        arrays.pre = names[i];
        if (upg_tokenizer_from_arrays(&tokenizers[i], "fuzz", &arrays, NULL) != UPG_OK)
            abort();
    }
}

static void check_bytes(const upg_tokenizer *tokenizer, const char *text, size_t n, int flags)
{
    upg_tokens tokens = {0};
    size_t at = 0;

    if (upg_tokenize(tokenizer, text, n, flags, &tokens, NULL) != UPG_OK)
        abort();
    for (size_t i = 0; i < tokens.n; i++) {
        const char *bytes;
        size_t n_bytes;
        if (flags == UPG_TEXT_PLAIN && tokens.ids[i] >= FIRST_ADDED)
            abort();
        upg_token_bytes(tokenizer, tokens.ids[i], 0, &bytes, &n_bytes);
        if (n_bytes > n - at || memcmp(bytes, text + at, n_bytes) != 0)
            abort();
        at += n_bytes;
    }
    if (at != n)
        abort();
    upg_tokens_clear(&tokens);
}

static size_t count_control(const upg_tokenizer *tokenizer, const char *content)
{
    const upg_message messages[] = {{"system", content, NULL}, {"user", content, NULL}};
    upg_tokens tokens = {0};
    size_t n = 0;

    if (upg_chat_render(tokenizer, messages, 2, 1, &tokens, NULL, NULL) != UPG_OK)
        abort();
    for (size_t i = 0; i < tokens.n; i++)
        n += tokens.ids[i] >= FIRST_ADDED;
    upg_tokens_clear(&tokens);
    return n;
}

/* Cut after `cut` bytes or not at all: the same text comes out. */
static void check_detokenizer(const char *bytes, size_t n, size_t cut)
{
    upg_detokenizer one = {0}, two = {0};
    char *whole = malloc(UPG_DETOKENIZE_CAPACITY(n) + 12),
         *parts = malloc(UPG_DETOKENIZE_CAPACITY(n) + 24);
    size_t n_whole, n_parts;

    if (!whole || !parts)
        abort();
    n_whole = upg_detokenize(&one, bytes, n, whole);
    n_whole += upg_detokenize(&one, NULL, 0, whole + n_whole);
    n_parts = upg_detokenize(&two, bytes, cut, parts);
    n_parts += upg_detokenize(&two, bytes + cut, n - cut, parts + n_parts);
    n_parts += upg_detokenize(&two, NULL, 0, parts + n_parts);
    if (n_parts != n_whole || memcmp(whole, parts, n_whole) != 0)
        abort();
    free(whole);
    free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char *content;

    if (!tokenizers[0])
        make_tokenizers();
    content = malloc(size + 1);
    if (!content)
        abort();
    memcpy(content, data, size);
    content[size] = '\0';
    for (int i = 0; i < N_PATTERNS; i++) {
        check_bytes(tokenizers[i], text, size, UPG_TEXT_PLAIN);
        check_bytes(tokenizers[i], text, size, UPG_TEXT_PARSE_SPECIAL); /* these strip nothing */
        if (count_control(tokenizers[i], content) != count_control(tokenizers[i], "x"))
            abort();
    }
    if (size > 0)
        check_detokenizer(text, size, data[0] % size);
    free(content);
    return 0;
}
