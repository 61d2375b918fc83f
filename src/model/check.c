/* check.c -- what must be true of a model, whatever file it came from.
 *
 * Norms and scales are few: all of them are looked at.  Weights may be many gigabytes that nobody
 * wants to read before the first token: up to CHECK_ALL_BYTES all are looked at, beyond that a
 * sample of each matrix, and all again by upg_verify() and by the compressor. */
#include "model/check.h"
#include "base/half.h"
#include "base/size.h"
#include "model/config.h"
#include "model/slots.h"
#include "text/text.h"

#include <math.h>
#include <string.h>

#define CHECK_ALL_BYTES ((uint64_t)256 << 20)
#define SAMPLE_BYTES ((size_t)64 << 10) /* at the beginning, in the middle and at the end */

/* ---- Finite values */

/* Values whose exponent is all ones are infinite or not a number. */
static bool has_bad_16(const uint8_t *bytes, size_t n, uint16_t exponent)
{
    int bad = 0;

    for (size_t i = 0; i < n; i++) { /* no early exit: compilers make vectors of this */
        uint16_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad;
}

static bool has_bad_32(const uint8_t *bytes, size_t n)
{
    int bad = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return bad;
}

static bool has_bad(enum upg_type type, const uint8_t *bytes, size_t n_bytes)
{
    switch (type) {
    case UPG_TYPE_BF16: return has_bad_16(bytes, n_bytes / 2, 0x7F80);
    case UPG_TYPE_F16: return has_bad_16(bytes, n_bytes / 2, 0x7C00);
    case UPG_TYPE_F32: return has_bad_32(bytes, n_bytes / 4);
    default: return false; /* integers; their scales are looked at apart */
    }
}

static upg_status check_finite(const char *where, const char *name, const float *values, size_t n,
                               upg_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %s: value %zu is not finite; get another copy of the model",
                            where, name, i);
    return UPG_OK;
}

static upg_status check_packed(const struct upg_matrix *matrix, const char *where, upg_error *err)
{
    const struct upg_packed *packed = &matrix->packed;
    const size_t n_gains = (packed->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;

    if (has_bad(UPG_TYPE_F16, (const uint8_t *)packed->row_scale,
                packed->padded_rows * sizeof *packed->row_scale))
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tensor %s: a row scale is not finite; get another copy of the model",
                        where, matrix->name);
    return check_finite(where, matrix->name, packed->gain, n_gains, err);
}

/* Scales in the blocks of GGUF types, of all rows or of a sample. */
static bool has_bad_scales(const struct upg_matrix *matrix, bool all)
{
    const size_t n_rows = matrix->n_rows, n = SAMPLE_BYTES / (matrix->n_bytes / n_rows) + 1;

    if (all || n >= n_rows)
        return !upg_matrix_scales_are_finite(matrix, 0, n_rows);
    return !upg_matrix_scales_are_finite(matrix, 0, n) ||
           !upg_matrix_scales_are_finite(matrix, (n_rows - n) / 2, n) ||
           !upg_matrix_scales_are_finite(matrix, n_rows - n, n);
}

/* Scales of rows always, of blocks with the weights; weights all or a sample. */
static upg_status check_values(const struct upg_matrix *matrix, const char *where, bool all,
                               upg_error *err)
{
    const uint8_t *bytes = matrix->data;
    const size_t n = matrix->n_bytes, sample = n < SAMPLE_BYTES ? n : SAMPLE_BYTES;
    const size_t middle = (n - sample) / 2 / 4 * 4, last = n - sample;
    bool bad;

    if (matrix->type == UPG_TYPE_PACKED)
        return check_packed(matrix, where, err);
    if (matrix->type == UPG_TYPE_I8_ROWS)
        return check_finite(where, matrix->name, matrix->row_scale, matrix->n_rows, err);
    if (all)
        bad = has_bad(matrix->type, bytes, n);
    else
        bad = has_bad(matrix->type, bytes, sample) ||
              has_bad(matrix->type, bytes + middle, sample) ||
              has_bad(matrix->type, bytes + last, sample);
    if (bad || has_bad_scales(matrix, all))
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tensor %s: has weights that are NaN or infinite; get another copy of "
                        "the model",
                        where, matrix->name);
    return UPG_OK;
}

/* ---- Shapes */

static upg_status check_matrix(const struct upg_matrix *matrix, const char *where, upg_error *err)
{
    size_t n_bytes = 0;
    bool fits;

    if (matrix->type == UPG_TYPE_PACKED)
        fits = upg_packed_code_bytes(matrix->packed.k, matrix->n_rows, matrix->n_cols, &n_bytes);
    else
        fits = upg_type_row_bytes(matrix->type, matrix->n_cols, &n_bytes) &&
               size_mul(n_bytes, matrix->n_rows, &n_bytes);
    if (!fits || n_bytes != matrix->n_bytes)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tensor %s: [%zu, %zu] of type %s needs %zu bytes, the file gives %zu",
                        where, matrix->name, matrix->n_rows, matrix->n_cols,
                        upg_type_name(matrix->type), n_bytes, matrix->n_bytes);
    return UPG_OK;
}

/* The parts of a slot, one below the other, are what the config says. */
static upg_status check_slot(const struct upg_slot *slot, const char *where, upg_error *err)
{
    const size_t n_parts = upg_slot_n_parts(slot);
    size_t n_rows = 0;
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n_parts && status == UPG_OK; i++) {
        const struct upg_matrix *part = &slot->parts[i];
        n_rows += part->n_rows;
        if (part->n_cols != slot->n_cols || n_rows > slot->n_rows)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %s: is [%zu, %zu], the config needs [%zu, %zu] for %s",
                            where, part->name, part->n_rows, part->n_cols, slot->n_rows,
                            slot->n_cols, slot->name);
        status = check_matrix(part, where, err);
    }
    if (status == UPG_OK &&
        (n_rows != slot->n_rows || (slot->linear && (slot->linear->n_rows != n_rows ||
                                                     slot->linear->n_cols != slot->n_cols))))
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: %s: has %zu rows, the config needs %zu", where,
                          slot->name, n_rows, slot->n_rows);
    return status;
}

/* The file that holds these bytes: of a model in several, the one to get again. */
static const char *file_of(const struct upg_model *model, const void *data)
{
    const uintptr_t address = (uintptr_t)data;

    for (size_t i = 0; i < model->n_maps; i++) {
        const uintptr_t begin = (uintptr_t)model->maps[i].bytes;
        if (address >= begin && address - begin < model->maps[i].n_bytes)
            return model->maps[i].path;
    }
    return model->path;
}

/* ---- The whole */

static upg_status check_shapes(const struct upg_model *model, upg_error *err)
{
    const size_t n = upg_n_slots(&model->config);
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        status = check_slot(&slot, model->path, err);
    }
    return status;
}

upg_status upg_model_check_values(const struct upg_model *model, bool all, upg_error *err)
{
    const size_t n_norms = upg_n_norms(&model->config), n_slots = upg_n_slots(&model->config);
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n_norms && status == UPG_OK; i++) {
        const struct upg_norm norm = upg_norm_of(model, i);
        status = check_finite(model->path, norm.name, *norm.values, model->config.d_model, err);
    }
    for (size_t i = 0; i < n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        for (size_t p = 0; p < upg_slot_n_parts(&slot) && status == UPG_OK; p++)
            status = check_values(&slot.parts[p], file_of(model, slot.parts[p].data), all, err);
    }
    return status;
}

/* Ids of the tokenizer need rows of the embedding; rows without a token are common and harmless. */
static upg_status check_vocabulary(struct upg_model *model, upg_error *err)
{
    const size_t n_vocab = model->config.n_vocab;
    upg_tokens ids = {0};
    upg_status status = UPG_OK;

    if (model->tokenizer && upg_tokenizer_n_ids(model->tokenizer) > n_vocab)
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: the tokenizer has ids up to %zu, but vocab_size and the embedding's rows "
            "are %zu; tokenizer and weights are of different models",
            model->path, upg_tokenizer_n_ids(model->tokenizer) - 1, n_vocab);
    if (model->tokenizer)
        status = upg_tokenizer_stop_ids(model->tokenizer, &ids, err);
    for (size_t i = 0; i < ids.n && status == UPG_OK; i++) {
        bool known = false;
        for (size_t j = 0; j < model->stop_ids.n; j++)
            known |= model->stop_ids.ids[j] == ids.ids[i];
        if (!known)
            status = upg_tokens_append(&model->stop_ids, &ids.ids[i], 1, err);
    }
    upg_tokens_clear(&ids);
    for (size_t i = 0; i < model->stop_ids.n && status == UPG_OK; i++)
        if ((size_t)model->stop_ids.ids[i] >= n_vocab)
            status = upg_fail(err, UPG_ERR_FORMAT,
                              "%s: eos_token_id: %d is not in the vocabulary of %zu", model->path,
                              (int)model->stop_ids.ids[i], n_vocab);
    return status;
}

upg_status upg_model_check(struct upg_model *model, upg_error *err)
{
    upg_status status = upg_config_check_family(&model->config, model->path, err);

    if (status == UPG_OK)
        status = check_shapes(model, err);
    if (status == UPG_OK)
        status = check_vocabulary(model, err);
    if (status == UPG_OK)
        status = upg_model_check_values(model, model->n_file_bytes <= CHECK_ALL_BYTES, err);
    return status;
}
