/* calibration.c -- reading, tokenizing, shuffling. */
#include "compress/calibration.h"

#include "base/buffer.h"
#include "base/random.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_TEXT_BYTES = 256 << 20 };

static upg_status read_texts(struct upg_buffer *text, struct upg_buffer *source,
                             const char *const *paths, size_t n_paths, upg_error *err)
{
    upg_status status = UPG_OK;
    size_t n_bytes;

    if (n_paths == 0) {
        const char *own = upg_calibration_text(&n_bytes);
        status = upg_buffer_append(text, own, n_bytes, err);
        return status == UPG_OK ? upg_buffer_append(source, "built-in", 8, err) : status;
    }
    for (size_t i = 0; i < n_paths && status == UPG_OK; i++) {
        const char *name = strrchr(paths[i], '/') ? strrchr(paths[i], '/') + 1 : paths[i];
        status = upg_buffer_read_file(text, paths[i], MAX_TEXT_BYTES, err);
        if (status == UPG_OK && i > 0)
            status = upg_buffer_append(source, ", ", 2, err);
        if (status == UPG_OK)
            status = upg_buffer_append(source, name, strlen(name), err);
    }
    return status;
}

/* Fisher and Yates. */
static void shuffle(size_t *order, size_t n, uint64_t seed)
{
    struct upg_random random = {seed};

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)(upg_random_u64(&random) % i), keep = order[i - 1];
        order[i - 1] = order[j];
        order[j] = keep;
    }
}

static upg_status cut_windows(struct upg_calibration *calibration, const upg_tokens *tokens,
                              uint64_t seed, upg_error *err)
{
    const size_t window = calibration->window, n = tokens->n / window;
    size_t *order, n_bytes;

    if (n < calibration->n_held + 1)
        return upg_fail(
            err, UPG_ERR_ARGUMENT,
            "calibration: the text has %zu tokens, at least %zu are needed; add text with "
            "--calibration",
            tokens->n, (calibration->n_held + 1) * window);
    if (!size_mul(n * window, sizeof *calibration->ids, &n_bytes))
        return upg_fail_memory(err, "calibration tokens", SIZE_MAX);
    order = malloc(n * sizeof *order);
    calibration->ids = malloc(n_bytes);
    if (!order || !calibration->ids) {
        free(order);
        return upg_fail_memory(err, "calibration tokens", n_bytes);
    }
    shuffle(order, n, seed);
    for (size_t i = 0; i < n; i++)
        memcpy(calibration->ids + i * window, tokens->ids + order[i] * window,
               window * sizeof *calibration->ids);
    calibration->n_windows = n;
    free(order);
    return UPG_OK;
}

upg_status upg_calibration_open(struct upg_calibration *calibration, const upg_tokenizer *tokenizer,
                                const char *const *paths, size_t n_paths, size_t window,
                                size_t n_held, uint64_t seed, upg_error *err)
{
    struct upg_buffer text = {0}, source = {0};
    upg_tokens tokens = {0};
    upg_status status;

    *calibration = (struct upg_calibration){.window = window, .n_held = n_held};
    status = read_texts(&text, &source, paths, n_paths, err);
    if (status == UPG_OK)
        status = upg_tokenize(tokenizer, text.bytes, text.n, UPG_TEXT_PARSE_SPECIAL, &tokens, err);
    if (status == UPG_OK)
        status = cut_windows(calibration, &tokens, seed, err);
    if (status == UPG_OK) {
        calibration->hash = XXH3_64bits(text.bytes, text.n);
        calibration->source = source.bytes;
        source.bytes = NULL;
    }
    upg_tokens_clear(&tokens);
    upg_buffer_clear(&text);
    upg_buffer_clear(&source);
    return status;
}

void upg_calibration_clear(struct upg_calibration *calibration)
{
    free(calibration->ids);
    free(calibration->source);
    memset(calibration, 0, sizeof *calibration);
}
