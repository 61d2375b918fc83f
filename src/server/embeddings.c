/* embeddings.c -- answers of /v1/embeddings: one vector a text, of length 1. */
#include "server/chat.h"

#include "server/state.h"
#include "server/usage.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Only the first n numbers, of length 1 again. */
static size_t shorten(struct choice *choice, int64_t dimensions)
{
    double sum = 0;
    size_t n = choice->n_embedding;

    if (dimensions <= 0 || (size_t)dimensions >= n)
        return n;
    n = (size_t)dimensions;
    for (size_t i = 0; i < n; i++)
        sum += (double)choice->embedding[i] * (double)choice->embedding[i];
    for (size_t i = 0; sum > 0 && i < n; i++)
        choice->embedding[i] = (float)((double)choice->embedding[i] / sqrt(sum));
    return n;
}

static json_t *numbers_json(const float *values, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_real((double)values[i]));
    return array;
}

/* Little-endian float32 in base64 (RFC 4648), which clients ask for because it is shorter. */
static json_t *base64_json(const float *values, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct text_buffer text = {0};
    unsigned char three[3];
    json_t *result;

    for (size_t i = 0; i < 4 * n; i += 3) {
        const size_t n_bytes = 4 * n - i < 3 ? 4 * n - i : 3;
        char four[4] = "===";

        memset(three, 0, sizeof three);
        for (size_t k = 0; k < n_bytes; k++) {
            uint32_t bits;
            memcpy(&bits, &values[(i + k) / 4], sizeof bits);
            three[k] = (unsigned char)(bits >> (8 * ((i + k) % 4)));
        }
        four[0] = digits[three[0] >> 2];
        four[1] = digits[(three[0] & 3) << 4 | three[1] >> 4];
        four[2] = n_bytes > 1 ? digits[(three[1] & 15) << 2 | three[2] >> 6] : '=';
        four[3] = n_bytes > 2 ? digits[three[2] & 63] : '=';
        text_buffer_add(&text, four, 4);
    }
    result = text.failed ? NULL : json_stringn(text.bytes ? text.bytes : "", text.n);
    text_buffer_clear(&text);
    return result;
}

static json_t *document(struct generation *generation)
{
    json_t *data = json_array();

    for (size_t i = 0; i < generation->n_choices; i++) {
        struct choice *choice = &generation->choices[i];
        const size_t n = shorten(choice, generation->request.dimensions);
        json_t *vector = generation->request.embeddings_base64 ? base64_json(choice->embedding, n)
                                                               : numbers_json(choice->embedding, n);
        json_array_append_new(data, json_pack("{s:s, s:i, s:o}", "object", "embedding", "index",
                                              (int)i, "embedding", vector));
    }
    return json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model",
                     generation->server->model_name, "usage", "prompt_tokens",
                     (json_int_t)generation->n_prompt_tokens, "total_tokens",
                     (json_int_t)generation->n_prompt_tokens);
}

const struct answer_format embedding_format = {
    .id_prefix = "embd-", .kind = UPG_REQUEST_EMBED_MEAN, .document = document};
