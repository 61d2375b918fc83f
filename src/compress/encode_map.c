/* encode_map.c -- LDLQ with the trellis code as its quantizer.
 *
 * Row blocks are independent.  In each, G columns are encoded at a time, looking some groups ahead;
 * the errors of all columns so far correct the targets of those to the right:
 *
 *     target[:, j] = w[:, j] + sum over encoded columns i of (w - v)[:, i] M[i, j]
 *
 * in table units, with H = M D M^T (factor.h).  Chee et al. 2023 (QuIP), section 3; the block form
 * and the transform as in Tseng et al. 2024 (QTIP).  Measured against per-column feedback:
 * docs/quality.md. */
#include "compress/encode_map.h"

#include "base/arena.h"
#include "base/half.h"
#include "base/random.h"
#include "base/size.h"
#include "codec/scale.h"
#include "compress/factor.h"
#include "compress/gemm.h"
#include "compress/plain_rows.h"
#include "compress/rotate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIGNAL_ROWS = 2 * UPG_ROW_BLOCK, /* at a time: what one thread's targets and errors take */
    PANEL = 128 /* columns whose errors reach those far to the right together; a multiple of all
                   commits */
};

struct encoding {
    struct upg_coded_map *map;
    const struct upg_coded_part *part;
    const float *w;            /* [padded_rows, padded_cols] the part, transformed */
    const float *hessian;      /* [padded_cols, padded_cols] factorised, NULL: no feedback */
    const float *inverse_gain; /* [n_blocks] */
    const struct upg_effort *effort;
    struct upg_encoder **encoders; /* [n_threads] */
    float *scratch; /* [n_threads, 2, UPG_ROW_BLOCK, padded_cols] targets and errors; first, what
                       measure_signal() needs */
    double *energy, *error, *weighted; /* [row blocks] sums for the report */
    upg_status *status;                /* [n_threads] */
    upg_error *errors;                 /* [n_threads] */
};

static bool is_plain(const struct upg_coded_part *part)
{
    return part->k == UPG_PLAIN_BITS;
}

/* w in table units; a row of scale 0 is encoded as 0. */
static void set_targets(const struct encoding *e, size_t row, float *targets)
{
    const size_t n = e->map->padded_cols;

    for (size_t r = 0; r < UPG_ROW_BLOCK; r++) {
        const float scale = upg_f16_to_f32(e->part->row_scale[row + r]);
        const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
        const float *w = e->w + (row + r) * n;
        for (size_t c = 0; c < n; c++)
            targets[r * n + c] = w[c] * inverse * e->inverse_gain[c / UPG_SCALE_BLOCK];
    }
}

/* The squared errors that the feedback could not remove: e D e^T of one block of columns, where e
 * is target - value. */
static double block_loss(const float *errors, size_t n, const float *hessian, size_t col,
                         size_t width)
{
    double sum = 0.0;

    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < width; j++)
            sum += (double)errors[col + i] * (double)errors[col + j] *
                   (double)hessian[(col + i) * n + col + j];
    return sum;
}

/* Correct the targets of columns begin .. end by the errors of columns from .. to. */
static void feed_back(const struct encoding *e, const float *errors, size_t from, size_t to,
                      float *targets, size_t begin, size_t end, void *scratch)
{
    const size_t n = e->map->padded_cols;

    if (begin < end)
        upg_gemm_add(targets + begin, n, errors + from, n, e->hessian + from * n + begin, n,
                     UPG_ROW_BLOCK, end - begin, to - from, scratch);
}

/* Row block `block`: encode column by column, feeding errors back: to what the encoder looks at at
 * once, to the rest a panel at a time. */
static upg_status encode_row_block(const struct encoding *e, size_t block, size_t thread,
                                   void *scratch)
{
    const size_t n = e->map->padded_cols, row = block * UPG_ROW_BLOCK;
    const size_t width = e->effort->commit_groups * UPG_COL_GROUP;
    const size_t look_ahead = e->effort->look_ahead_groups * UPG_COL_GROUP;
    const size_t block_bytes = (size_t)(UPG_LANES * e->part->k);
    float *targets = e->scratch + thread * 2 * UPG_ROW_BLOCK * n;
    float *errors = targets + UPG_ROW_BLOCK * n; /* of what is fed back: original target - value */
    uint8_t *codes = e->part->codes + row / UPG_ROW_BLOCK * (n / UPG_COL_GROUP) * block_bytes;
    int8_t values[UPG_ROW_BLOCK * 64];
    struct upg_lanes lanes = {{0}};

    set_targets(e, row, targets);
    memcpy(errors, targets, UPG_ROW_BLOCK * n * sizeof *errors);
    for (size_t col = 0; col < n; col += width) {
        const size_t known = (n - col) / UPG_COL_GROUP;
        const size_t wanted = e->effort->commit_groups + e->effort->look_ahead_groups;
        const upg_status status = upg_encoder_commit(
            e->encoders[thread], &lanes, targets + col, n, e->effort->commit_groups,
            known < wanted ? known : wanted, codes + col / UPG_COL_GROUP * block_bytes, values,
            &e->errors[thread]);
        if (status != UPG_OK)
            return status;
        for (size_t r = 0; r < UPG_ROW_BLOCK; r++) {
            const float scale = upg_f16_to_f32(e->part->row_scale[row + r]);
            float *target = targets + r * n;
            for (size_t c = col; c < col + width; c++) {
                const float v = (float)values[r * width + c - col];
                const float unit = scale / e->inverse_gain[c / UPG_SCALE_BLOCK];
                e->part->values[(row + r) * n + c] = values[r * width + c - col];
                target[c] -= v; /* what feedback could not remove */
                errors[r * n + c] -= v;
                e->energy[block] +=
                    (double)e->w[(row + r) * n + c] * (double)e->w[(row + r) * n + c];
                e->error[block] +=
                    (double)(errors[r * n + c] * unit) * (double)(errors[r * n + c] * unit);
            }
            if (e->hessian)
                e->weighted[block] +=
                    (double)scale * (double)scale * block_loss(target, n, e->hessian, col, width);
        }
        if (e->hessian) {
            const size_t panel = col / PANEL * PANEL, panel_end = size_min(panel + PANEL, n);
            const size_t near = size_min(panel_end + look_ahead, n);
            feed_back(e, errors, col, col + width, targets, col + width, near, scratch);
            if (col + width == panel_end)
                feed_back(e, errors, panel, panel_end, targets, near, n, scratch);
        }
    }
    return UPG_OK;
}

static void encode_row_blocks(void *context, size_t thread, size_t n_threads)
{
    const struct encoding *e = context;
    const size_t n_row_blocks = e->part->padded_rows / UPG_ROW_BLOCK;
    void *scratch = upg_gemm_scratch();

    for (size_t block = thread; block < n_row_blocks && e->status[thread] == UPG_OK;
         block += n_threads)
        e->status[thread] = encode_row_block(e, block, thread, scratch);
    free(scratch);
}

/* Encode one part with encoders of its k. */
static upg_status encode_part(struct encoding *e, struct upg_pool *pool, upg_error *err)
{
    const size_t n_threads = upg_pool_n_threads(pool);
    const size_t max_groups = e->effort->commit_groups + e->effort->look_ahead_groups;
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n_threads && status == UPG_OK; i++)
        status = upg_encoder_new(&e->encoders[i], e->part->k, max_groups, NULL, err);
    if (status == UPG_OK)
        upg_pool_run(pool, encode_row_blocks, e);
    for (size_t i = 0; i < n_threads; i++) {
        if (status == UPG_OK && e->status[i] != UPG_OK) {
            status = e->status[i];
            if (err)
                *err = e->errors[i];
        }
        upg_encoder_free(e->encoders[i]);
        e->encoders[i] = NULL;
    }
    return status;
}

/* tr(W H W^T) of each row block of w[n_rows, n]; h[n, n] is symmetric.  scratch [SIGNAL_ROWS, n] */
static void measure_signal(struct upg_pool *pool, const float *w, size_t n_rows, const float *h,
                           size_t n, float *scratch, double *signal)
{
    for (size_t row = 0; row < n_rows; row += SIGNAL_ROWS) {
        const size_t rows = n_rows - row < SIGNAL_ROWS ? n_rows - row : SIGNAL_ROWS;
        upg_gemm_xwt(pool, scratch, w + row * n, h, rows, n, n);
        for (size_t r = row; r < row + rows; r++) {
            double sum = 0.0;
            for (size_t c = 0; c < n; c++)
                sum += (double)scratch[(r - row) * n + c] * (double)w[r * n + c];
            signal[r / UPG_ROW_BLOCK] += sum;
        }
    }
}

static double sum_of(const double *values, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum;
}

/* Copy the part's rows into a padded matrix and transform both sides. */
static void transform_part(struct upg_pool *pool, const struct upg_coded_map *map,
                           const struct upg_coded_part *part, const float *w, float *out)
{
    for (size_t r = 0; r < part->n_rows; r++)
        memcpy(out + r * map->padded_cols, w + r * map->n_cols, map->n_cols * sizeof *out);
    upg_rotate_rows(pool, out, part->n_rows, map->padded_cols, map->seed_in);
    if (part->has_output_transform)
        upg_rotate_columns(pool, out, part->padded_rows, map->padded_cols, part->seed_out);
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

void upg_coded_map_layout(struct upg_coded_map *map, uint64_t seed, bool output_transform)
{
    map->padded_cols = round_up(map->n_cols, UPG_COL_UNIT);
    map->n_blocks = (map->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    map->seed_in = upg_splitmix64(seed);
    for (size_t i = 0; i < map->n_parts; i++) {
        struct upg_coded_part *part = &map->part[i];
        const bool plain = is_plain(part);
        part->padded_rows = plain ? part->n_rows : round_up(part->n_rows, UPG_ROW_BLOCK);
        part->has_output_transform =
            output_transform && !plain && part->padded_rows == part->n_rows;
        part->seed_out = upg_splitmix64(seed + 1 + i);
    }
}

bool upg_coded_part_bytes(const struct upg_coded_map *map, size_t i, size_t *n_bytes)
{
    const struct upg_coded_part *part = &map->part[i];

    return is_plain(part) ? size_mul(part->n_rows, map->n_cols, n_bytes)
                          : upg_packed_code_bytes(part->k, part->n_rows, map->n_cols, n_bytes);
}

upg_status upg_coded_map_allocate(struct upg_coded_map *map, upg_error *err)
{
    map->gain = calloc(map->n_blocks, sizeof *map->gain);
    if (!map->gain)
        return upg_fail_memory(err, "gains", map->n_blocks * sizeof *map->gain);
    for (size_t i = 0; i < map->n_blocks; i++)
        map->gain[i] = 1.0f; /* what it stays if no part is packed */
    for (size_t i = 0; i < map->n_parts; i++) {
        struct upg_coded_part *part = &map->part[i];
        const bool plain = is_plain(part);
        size_t n_bytes;

        if (!upg_coded_part_bytes(map, i, &n_bytes))
            return upg_fail_memory(err, "codes", SIZE_MAX);
        part->codes = upg_aligned_alloc(n_bytes, 1);
        if (plain) {
            part->row_step = calloc(part->n_rows, sizeof *part->row_step);
        } else {
            part->row_scale = calloc(part->padded_rows, sizeof *part->row_scale);
            part->values = upg_aligned_alloc(part->padded_rows, map->padded_cols);
        }
        if (!part->codes || (plain ? !part->row_step : !part->row_scale || !part->values))
            return upg_fail_memory(err, "codes", n_bytes);
    }
    return UPG_OK;
}

/* Gains from all packed rows together, row scales from the sigma of each part's k.
 * w [n_rows, padded_cols], transformed. */
static upg_status fit_map_scales(struct upg_coded_map *map, const float *w, size_t n_rows,
                                 upg_error *err)
{
    const struct upg_coded_part *first = map->part;
    uint16_t *row_scale = malloc(n_rows * sizeof *row_scale);
    const uint16_t *scale = row_scale;
    upg_status status;

    if (!row_scale)
        return upg_fail_memory(err, "row scales", n_rows * sizeof *row_scale);
    while (is_plain(first))
        first++;
    status = upg_fit_scales(first->k, w, n_rows, map->padded_cols, row_scale, map->gain, err);
    for (size_t i = 0; i < map->n_parts && status == UPG_OK; i++) {
        struct upg_coded_part *part = &map->part[i];
        const float factor =
            is_plain(part) ? 0.0f : upg_code_of(first->k)->sigma / upg_code_of(part->k)->sigma;
        for (size_t r = 0; r < part->padded_rows && !is_plain(part); r++, scale++)
            part->row_scale[r] =
                part == first ? *scale : upg_f32_to_f16(upg_f16_to_f32(*scale) * factor);
    }
    free(row_scale);
    return status;
}

/* hessian -> rotated, padded copy in h, in the units of targets (columns times gains). */
static void transform_hessian(struct upg_pool *pool, const struct upg_coded_map *map,
                              const float *hessian, float *h)
{
    const size_t n = map->padded_cols;

    memset(h, 0, n * n * sizeof *h);
    for (size_t i = 0; i < map->n_cols; i++)
        memcpy(h + i * n, hessian + i * map->n_cols, map->n_cols * sizeof *h);
    upg_rotate_symmetric(pool, h, n, map->seed_in);
    upg_gemm_gram_end(pool, h, n, 1.0f); /* rounding left it not quite symmetric */
}

struct gains {
    const struct upg_coded_map *map;
    float *h;
};

static void scale_hessian_rows(void *context, size_t thread, size_t n_threads)
{
    const struct gains *g = context;
    const size_t n = g->map->padded_cols;
    const float *gain = g->map->gain;

    for (size_t i = thread; i < n; i += n_threads)
        for (size_t j = 0; j < n; j++)
            g->h[i * n + j] *= gain[i / UPG_SCALE_BLOCK] * gain[j / UPG_SCALE_BLOCK];
}

/* The parts that are transformed; n_rows of them in all, padded. */
static upg_status encode_packed_parts(struct upg_pool *pool, struct upg_coded_map *map,
                                      size_t n_rows, const float *w, const float *hessian,
                                      double damping, const struct upg_effort *effort,
                                      upg_error *err)
{
    const size_t n_threads = upg_pool_n_threads(pool);
    struct encoding e = {.map = map, .effort = effort};
    float *transformed = NULL, *h = NULL, *inverse_gain = NULL;
    double *sums = NULL, *signal = NULL;
    size_t row = 0, source_row = 0;
    const size_t n = map->padded_cols;
    upg_status status;

    transformed = upg_aligned_alloc(n_rows * n, sizeof *transformed);
    h = hessian ? upg_aligned_alloc(n * n, sizeof *h) : NULL;
    inverse_gain = calloc(map->n_blocks, sizeof *inverse_gain);
    sums = calloc(4 * n_rows / UPG_ROW_BLOCK, sizeof *sums);
    e.encoders = calloc(n_threads, sizeof *e.encoders);
    e.status = calloc(n_threads, sizeof *e.status);
    e.errors = calloc(n_threads, sizeof *e.errors);
    e.scratch = upg_aligned_alloc(n_threads * 2 * UPG_ROW_BLOCK * n, sizeof *e.scratch);
    if (!transformed || (hessian && !h) || !inverse_gain || !sums || !e.encoders || !e.status ||
        !e.errors || !e.scratch) {
        status = upg_fail_memory(err, "a matrix to compress", n_rows * n * sizeof *transformed);
        goto done;
    }
    for (size_t i = 0; i < map->n_parts; i++) {
        if (!is_plain(&map->part[i])) {
            transform_part(pool, map, &map->part[i], w + source_row * map->n_cols,
                           transformed + row * n);
            row += map->part[i].padded_rows;
        }
        source_row += map->part[i].n_rows;
    }
    status = fit_map_scales(map, transformed, n_rows, err);
    if (status != UPG_OK)
        goto done;
    for (size_t i = 0; i < map->n_blocks; i++)
        inverse_gain[i] = 1.0f / map->gain[i];

    signal = sums;
    if (hessian) {
        struct gains gains = {map, h};
        transform_hessian(pool, map, hessian, h);
        measure_signal(pool, transformed, n_rows, h, n, e.scratch, signal);
        upg_pool_run(pool, scale_hessian_rows, &gains);
        status = upg_factorise(pool, h, n, effort->commit_groups * UPG_COL_GROUP, damping,
                               &map->damping, err);
        if (status != UPG_OK)
            goto done;
    }
    e.hessian = h;
    e.inverse_gain = inverse_gain;
    row = 0;
    for (size_t i = 0; i < map->n_parts && status == UPG_OK; i++) {
        const size_t n_row_blocks = map->part[i].padded_rows / UPG_ROW_BLOCK;
        if (is_plain(&map->part[i]))
            continue;
        e.part = &map->part[i];
        e.w = transformed + row * n;
        e.energy = sums + n_rows / UPG_ROW_BLOCK;
        e.error = e.energy + n_rows / UPG_ROW_BLOCK;
        e.weighted = e.error + n_rows / UPG_ROW_BLOCK;
        memset(e.energy, 0, 3 * n_rows / UPG_ROW_BLOCK * sizeof *e.energy);
        status = encode_part(&e, pool, err);
        if (status == UPG_OK) {
            const double energy = sum_of(e.energy, n_row_blocks);
            const double all = sum_of(signal + row / UPG_ROW_BLOCK, n_row_blocks);
            map->part[i].nmse = energy > 0.0 ? sum_of(e.error, n_row_blocks) / energy : 0.0;
            map->part[i].proxy_loss =
                hessian && all > 0.0 ? sum_of(e.weighted, n_row_blocks) / all : map->part[i].nmse;
        }
        row += map->part[i].padded_rows;
    }
done:
    free(transformed);
    free(h);
    free(inverse_gain);
    free(sums);
    free(e.encoders);
    free(e.status);
    free(e.errors);
    free(e.scratch);
    return status;
}

upg_status upg_encode_map(struct upg_pool *pool, struct upg_coded_map *map, const float *w,
                          const float *hessian, double damping, const struct upg_effort *effort,
                          upg_error *err)
{
    const float *rows = w;
    upg_status status = UPG_OK;
    size_t n_packed = 0;

    for (size_t i = 0; i < map->n_parts && status == UPG_OK; i++) {
        if (is_plain(&map->part[i]))
            status = upg_plain_rows_encode(&map->part[i], rows, map->n_cols, err);
        else
            n_packed += map->part[i].padded_rows;
        rows += map->part[i].n_rows * map->n_cols;
    }
    return status == UPG_OK && n_packed > 0
               ? encode_packed_parts(pool, map, n_packed, w, hessian, damping, effort, err)
               : status;
}

void upg_coded_map_clear(struct upg_coded_map *map)
{
    for (size_t i = 0; i < map->n_parts; i++) {
        free(map->part[i].codes);
        free(map->part[i].row_scale);
        free(map->part[i].values);
        free(map->part[i].row_step);
        map->part[i].codes = NULL;
        map->part[i].row_scale = NULL;
        map->part[i].values = NULL;
        map->part[i].row_step = NULL;
    }
    free(map->gain);
    map->gain = NULL;
}

struct upg_matrix upg_coded_part_matrix(const struct upg_coded_map *map, size_t i)
{
    const struct upg_coded_part *part = &map->part[i];
    struct upg_matrix matrix = {.type = UPG_TYPE_PACKED,
                                .n_rows = part->n_rows,
                                .n_cols = map->n_cols,
                                .data = part->codes,
                                .packed = {.k = part->k,
                                           .n_rows = part->n_rows,
                                           .n_cols = map->n_cols,
                                           .padded_rows = part->padded_rows,
                                           .padded_cols = map->padded_cols,
                                           .codes = part->codes,
                                           .row_scale = part->row_scale,
                                           .gain = map->gain,
                                           .seed_in = map->seed_in,
                                           .seed_out = part->seed_out,
                                           .has_output_transform = part->has_output_transform}};

    if (is_plain(part))
        return upg_plain_rows_matrix(part, map->n_cols, NULL);
    upg_coded_part_bytes(map, i, &matrix.n_bytes); /* held already: no overflow */
    return matrix;
}

size_t upg_coded_map_scratch(const struct upg_coded_map *map)
{
    size_t rows = 0;

    for (size_t i = 0; i < map->n_parts; i++)
        if (!is_plain(&map->part[i]) && map->part[i].padded_rows > rows)
            rows = map->part[i].padded_rows;
    return rows * map->padded_cols;
}

struct scaling {
    const struct upg_coded_map *map;
    const struct upg_coded_part *part;
    const float *row_scale, *gain;
    float *out;
};

static void scale_values(void *context, size_t thread, size_t n_threads)
{
    const struct scaling *s = context;
    const size_t n = s->map->padded_cols;

    for (size_t r = thread; r < s->part->padded_rows; r += n_threads) {
        const float scale = s->row_scale ? s->row_scale[r] : upg_f16_to_f32(s->part->row_scale[r]);
        for (size_t c = 0; c < n; c++)
            s->out[r * n + c] =
                scale * s->gain[c / UPG_SCALE_BLOCK] * (float)s->part->values[r * n + c];
    }
}

void upg_coded_map_expand(struct upg_pool *pool, const struct upg_coded_map *map,
                          const float *row_scale, const float *gain, float *out, float *scratch)
{
    const size_t n = map->padded_cols;

    for (size_t i = 0; i < map->n_parts; i++) {
        const struct upg_coded_part *part = &map->part[i];
        struct scaling scaling = {map, part, row_scale, gain ? gain : map->gain, scratch};

        if (is_plain(part)) {
            const struct upg_matrix rows = upg_plain_rows_matrix(part, map->n_cols, row_scale);
            upg_matrix_rows(&rows, 0, part->n_rows, out, NULL);
        } else {
            upg_pool_run(pool, scale_values, &scaling);
            if (part->has_output_transform)
                upg_rotate_columns_back(pool, scratch, part->padded_rows, n, part->seed_out);
            upg_rotate_rows_back(pool, scratch, part->n_rows, n, map->seed_in);
            for (size_t r = 0; r < part->n_rows; r++)
                memcpy(out + r * map->n_cols, scratch + r * n, map->n_cols * sizeof *out);
        }
        out += part->n_rows * map->n_cols;
        if (row_scale)
            row_scale += part->padded_rows;
    }
}

upg_status upg_coded_map_decode(struct upg_pool *pool, const struct upg_coded_map *map, float *out,
                                upg_error *err)
{
    const size_t n = upg_coded_map_scratch(map);
    float *scratch = upg_aligned_alloc(n, sizeof *scratch);

    if (!scratch)
        return upg_fail_memory(err, "decoding", n * sizeof *scratch);
    upg_coded_map_expand(pool, map, NULL, NULL, out, scratch);
    free(scratch);
    return UPG_OK;
}
