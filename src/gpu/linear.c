/* linear.c -- products with the model's matrices.
 *
 * Packed parts: quantize the rows (once for all parts of a map, which share the input side of the
 * transform), integer sums, outputs.  The sums of a pass over few rows take as much memory as
 * n_blocks outputs each.  For more rows than a packed program takes at a time a part is decoded to
 * bytes first, and its product needs no more than its outputs; a matrix too large for that (a head)
 * is multiplied in several passes. */
#include "gpu/state.h"

#include <string.h>

enum {
    SUMS_BYTES = 128 << 20,    /* a pass's sums; at most what lavapipe takes as one range */
    DECODED_BYTES = 128 << 20, /* a part that is decoded for many rows, at most */
    MAX_TILE = 8,              /* rows that a packed program takes at a time */
    LEAST_UNITS = 3, /* of packed.comp, for which a workgroup's tables are worth filling */
    MANY_ROWS = 49,  /* from here on decoding first is faster (H100: 75 ms a step). */
    /* With cooperative matrices: */
    FEW_MATRIX_ROWS = 9, /* from here on packed_matrix, */
    MATRIX_ROWS = 65     /* and decoding first (H100: 128 rows 77 ms with packed_matrix) */
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sums_bytes_of(const struct gpu_matrix *part)
{
    return (uint64_t)part->n_blocks * part->padded_rows * sizeof(int32_t);
}

static uint64_t row_sums_bytes(const struct gpu_linear *linear)
{
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < linear->n_parts; i++)
        if (linear->part[i].type == UPG_TYPE_PACKED)
            n_bytes += sums_bytes_of(&linear->part[i]);
    return n_bytes;
}

/* Rows of a pass: as many as the sums' buffer takes, whole tiles if several fit. */
static uint32_t pass_rows(const struct upg_gpu *gpu, const struct gpu_linear *linear)
{
    const uint64_t each = row_sums_bytes(linear);
    const uint64_t n_bytes = lesser(gpu->scratch.sums.n_bytes, gpu->device.limits.max_range);
    /* The parts' sums begin at multiples of GPU_ALIGN. */
    const uint64_t n = each ? (n_bytes - UPG_MAX_PARTS * GPU_ALIGN) / each : 1;
    const uint64_t tile = n >= GPU_PACKED_TOKENS ? GPU_PACKED_TOKENS : n >= MAX_TILE ? MAX_TILE : 1;

    return n > 0 ? (uint32_t)(n / tile * tile) : 1;
}

static uint64_t align(uint64_t n_bytes)
{
    return (n_bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
}

/* ---- Commands that take over what the command before them does ----
 *
 * What norm, gate and attention write is read by the map that follows and by nothing else, so that
 * the quantization of that map's rows can compute it on the way; and what the maps o and down write
 * is only added to the residual stream. */

static bool is_same_place(const struct gpu_range *range, uint32_t begin, struct gpu_place place)
{
    return range->buffer == place.range.buffer && range->offset == place.range.offset &&
           begin == place.begin;
}

/* The command that wrote the rows x of this step, if a quantization can do its work. */
static const struct gpu_command *find_source(const struct upg_gpu *gpu, struct gpu_place x,
                                             uint32_t n_rows)
{
    const struct gpu_command *last = gpu_step_last(&gpu->step);

    if (!last)
        return NULL;
    if (last->program == GPU_PROGRAM_norm && last->groups[0] == n_rows &&
        is_same_place(&last->ranges[1], last->constants[1], x))
        return last;
    if (last->program == GPU_PROGRAM_gate && last->groups[1] == n_rows &&
        is_same_place(&last->ranges[0], last->constants[1], x))
        return last;
    if (last->program == GPU_PROGRAM_combine && last->groups[1] == n_rows &&
        is_same_place(&last->ranges[0], last->constants[0], x))
        return last;
    return NULL;
}

/* Turn the quantization of rows into one of what `source` computes. */
static void take_over(struct gpu_command *command, const struct gpu_command *source)
{
    const uint32_t *c = source->constants;

    command->n_ranges = 6;
    if (source->program == GPU_PROGRAM_norm) { /* constants as in backend.c, norm() */
        command->program = GPU_PROGRAM_quantize_norm;
        command->ranges[0] = source->ranges[0];
        command->ranges[4] = source->ranges[2];
        command->ranges[5] = source->ranges[3];
        command->ranges[6] = source->ranges[4];
        command->n_ranges = 7;
        memcpy(&command->constants[2], (uint32_t[]){c[3], c[4], c[5], c[6]}, 4 * sizeof *c);
    } else if (source->program == GPU_PROGRAM_gate) {
        command->program = GPU_PROGRAM_quantize_gate;
        command->n_ranges = 4;
        command->constants[4] = c[0];
    } else {
        command->program = GPU_PROGRAM_quantize_combine;
        command->n_ranges = 5;
        command->ranges[0] = source->ranges[2];
        command->ranges[4] = source->ranges[1];
        memcpy(&command->constants[4], (uint32_t[]){c[2], c[6], c[3], c[5]}, 4 * sizeof *c);
    }
}

bool gpu_add_by_map(struct upg_gpu *gpu, struct gpu_place x, uint32_t x_stride, struct gpu_place y,
                    uint32_t n_cols, uint32_t n_rows)
{
    struct gpu_command *last = gpu_step_last(&gpu->step);

    if (!last || (last->program != GPU_PROGRAM_finish && last->program != GPU_PROGRAM_finish_sums))
        return false;
    if (last->groups[1] != n_rows || last->constants[0] != n_cols ||
        !is_same_place(&last->ranges[3], last->constants[2], y))
        return false;
    last->ranges[3] = x.range;
    last->constants[2] = x.begin;
    last->constants[3] = x_stride;
    last->constants[5] = 1; /* adds */
    return true;
}

/* source: the command to take over, whose result is x; NULL: none. */
static void quantize(struct upg_gpu *gpu, const struct gpu_matrix *part, struct gpu_place x,
                     uint32_t x_stride, uint32_t n_rows, const struct gpu_command *source)
{
    struct gpu_command command = {
        .program = GPU_PROGRAM_quantize,
        .groups = {part->n_blocks, n_rows, 1},
        .n_ranges = 4,
        .ranges = {x.range, part->signs_in, gpu_whole(&gpu->scratch.codes),
                   gpu_whole(&gpu->scratch.scales)},
        .constants = {part->n_cols, part->padded_cols, x.begin, x_stride}};

    if (source) {
        take_over(&command, source);
        gpu_step_take_back(&gpu->step);
    }
    gpu_step_add(&gpu->step, &command);
}

/* Whether packed_matrix.comp multiplies n_rows at a time: for fewer it is slower, and its sums are of
 * whole tiles. */
static bool has_matrix_pass(const struct upg_gpu *gpu, uint32_t n_rows)
{
    const struct gpu_limits *l = &gpu->device.limits;

    return l->has_matrix && l->has_dot && n_rows >= FEW_MATRIX_ROWS;
}

static void multiply(struct upg_gpu *gpu, const struct gpu_matrix *part, struct gpu_range sums,
                     uint32_t n_rows, bool with_matrix, uint32_t joined)
{
    const uint32_t log2_tile = n_rows > 4 ? 3 : n_rows > 2 ? 2 : n_rows > 1 ? 1 : 0;
    const uint32_t tile = with_matrix ? GPU_PACKED_TOKENS : 1U << log2_tile;
    const uint32_t n_units = part->padded_rows / UPG_ROW_BLOCK * part->n_blocks;
    const uint32_t most = (n_units + LEAST_UNITS - 1) / LEAST_UNITS;
    const uint32_t n_groups = gpu->programs.tuning.n_groups;
    const struct gpu_command command = {
        .program = with_matrix ? gpu_packed_matrix_program(part->k)
                               : gpu_packed_program(part->k, log2_tile),
        .joined = joined,
        .groups = {most < n_groups ? most : n_groups, 1, (n_rows + tile - 1) / tile},
        .n_ranges = 4,
        .ranges = {part->codes, gpu_whole(&gpu->scratch.codes), gpu_pairs(&gpu->weights, part->k),
                   sums},
        .constants = {part->padded_cols / UPG_COL_GROUP, n_rows, part->n_blocks,
                      part->padded_rows}};

    gpu_step_add(&gpu->step, &command);
}

/* What a product leaves of a part: the range, rows of all parts that it is of, and those in front. */
struct gpu_product {
    struct gpu_range range;
    uint32_t n_rows, first_row;
};

/* Outputs from float32 totals or, with_sums, from those of multiply(). */
static void finish_part(struct upg_gpu *gpu, const struct gpu_matrix *part,
                        const struct gpu_product *from, bool with_sums, uint32_t bias,
                        struct gpu_place y, uint32_t y_stride, uint32_t n_rows, uint32_t joined)
{
    const struct gpu_command command = {
        .program = with_sums ? GPU_PROGRAM_finish_sums : GPU_PROGRAM_finish,
        .joined = joined,
        .groups = {(part->padded_rows + 255) / 256, n_rows, 1},
        .n_ranges = 7,
        .ranges = {from->range, part->row_scale, part->signs_out, y.range,
                   gpu_whole(&gpu->scratch.scales), part->gain, gpu_whole(&gpu->scratch.squares)},
        .constants = {part->n_rows, part->padded_rows, y.begin, y_stride,
                      part->has_output_transform, 0, part->n_blocks, bias, from->n_rows,
                      from->first_row}};

    gpu_step_add(&gpu->step, &command);
}

static void plain_part(struct upg_gpu *gpu, const struct gpu_matrix *part, struct gpu_place x,
                       uint32_t x_stride, struct gpu_place y, uint32_t y_stride, uint32_t n_rows,
                       uint32_t joined)
{
    const enum gpu_program program = part->type == UPG_TYPE_F32    ? GPU_PROGRAM_plain_f32
                                     : part->type == UPG_TYPE_F16  ? GPU_PROGRAM_plain_f16
                                     : part->type == UPG_TYPE_BF16 ? GPU_PROGRAM_plain_bf16
                                                                   : GPU_PROGRAM_plain_i8;
    const struct gpu_command command = {.program = program,
                                        .joined = joined,
                                        .groups = {(part->n_rows + 7) / 8, n_rows, 1},
                                        .n_ranges = 4,
                                        .ranges = {part->codes, part->row_scale, x.range, y.range},
                                        .constants = {part->n_rows, part->n_cols, part->row_words,
                                                      x.begin, x_stride, y.begin, y_stride}};

    gpu_step_add(&gpu->step, &command);
}

static void plain_parts(struct upg_gpu *gpu, const struct gpu_linear *linear, struct gpu_place x,
                        uint32_t x_stride, struct gpu_place y, uint32_t y_stride, uint32_t n_rows)
{
    uint32_t joined = 0;

    for (size_t i = 0; i < linear->n_parts; i++) {
        const struct gpu_matrix *part = &linear->part[i];

        if (part->type != UPG_TYPE_PACKED) {
            plain_part(gpu, part, x, x_stride, y, y_stride, n_rows, joined);
            joined = 1;
        }
        y.begin += part->n_rows;
    }
}

/* The *n parts from the i-th on that can be multiplied as one matrix: of as many bits, and one behind
 * the other in memory. */
static struct gpu_matrix parts_together(const struct upg_gpu *gpu, const struct gpu_linear *linear,
                                        size_t i, size_t *n)
{
    struct gpu_matrix all = linear->part[i];

    for (*n = 1; i + *n < linear->n_parts && all.type == UPG_TYPE_PACKED; ++*n) {
        const struct gpu_matrix *next = &linear->part[i + *n];

        if (next->type != UPG_TYPE_PACKED || next->k != all.k ||
            next->codes.offset != all.codes.offset + all.codes.n_bytes ||
            all.codes.n_bytes + next->codes.n_bytes > gpu->device.limits.max_range)
            break;
        all.codes.n_bytes += next->codes.n_bytes;
        all.padded_rows += next->padded_rows;
    }
    return all;
}

/* One pass over all packed parts. */
static void packed_parts(struct upg_gpu *gpu, const struct gpu_linear *linear, struct gpu_place x,
                         uint32_t x_stride, struct gpu_place y, uint32_t y_stride, uint32_t n_rows,
                         uint32_t pass, const struct gpu_command *source)
{
    const bool with_matrix = has_matrix_pass(gpu, n_rows) && pass % GPU_PACKED_TOKENS == 0;
    const uint32_t n_sums = with_matrix ? (n_rows + 15) / 16 * 16 : n_rows;
    struct gpu_product products[UPG_MAX_PARTS];
    uint64_t end = 0;
    uint32_t joined = 0;

    for (size_t i = 0, n; i < linear->n_parts; i += n) {
        const struct gpu_matrix together = parts_together(gpu, linear, i, &n);
        struct gpu_product product = {
            .range = {gpu->scratch.sums.buffer, end, n_sums * sums_bytes_of(&together)},
            .n_rows = together.padded_rows};

        if (together.type != UPG_TYPE_PACKED)
            continue;
        if (!joined)
            quantize(gpu, &together, x, x_stride, n_rows, source);
        multiply(gpu, &together, product.range, n_rows, with_matrix, joined);
        for (size_t j = i; j < i + n; j++) {
            products[j] = product;
            product.first_row += linear->part[j].padded_rows;
        }
        end += align(product.range.n_bytes);
        joined = 1;
    }
    joined = 0;
    for (size_t i = 0; i < linear->n_parts; i++) {
        const struct gpu_matrix *part = &linear->part[i];

        if (part->type == UPG_TYPE_PACKED) {
            finish_part(gpu, part, &products[i], true, with_matrix ? 0 : 128, y, y_stride, n_rows,
                        joined);
            joined = 1;
        }
        y.begin += part->n_rows;
    }
}

/* ---- Many rows: decode a part once, multiply bytes ---- */

static uint64_t decoded_bytes(const struct gpu_matrix *part)
{
    return (uint64_t)part->padded_rows * part->padded_cols;
}

/* Tokens of a workgroup of the program that multiplies. */
static uint32_t gemm_tile(const struct upg_gpu *gpu)
{
    return gpu->device.limits.has_matrix ? GPU_MATRIX_TOKENS : GPU_GEMM_TOKENS;
}

/* Rows of sums with those that fill up the last tile. */
static uint64_t gemm_rows(const struct upg_gpu *gpu, uint64_t n_rows)
{
    return (n_rows + gemm_tile(gpu) - 1) / gemm_tile(gpu) * gemm_tile(gpu);
}

/* Rows that go this way together, whole tiles; 0 if not all parts are packed and fit its buffers. */
static uint32_t decoded_rows(const struct upg_gpu *gpu, const struct gpu_linear *linear)
{
    const uint64_t max_range = gpu->device.limits.max_range / sizeof(float);
    uint64_t n_rows = gemm_rows(gpu, gpu->setup.max_rows), all = 0, decoded = 0;

    for (size_t i = 0; i < linear->n_parts; i++) {
        const struct gpu_matrix *part = &linear->part[i];

        if (part->type != UPG_TYPE_PACKED || decoded_bytes(part) > DECODED_BYTES)
            return 0;
        decoded += decoded_bytes(part);
        all += part->padded_rows;
        n_rows = lesser(n_rows, max_range / part->padded_rows);
    }
    if (all == 0 || decoded > gpu->scratch.decoded.n_bytes)
        return 0;
    n_rows = lesser(n_rows, gpu->scratch.sums.n_bytes / sizeof(float) / all);
    return (uint32_t)(n_rows / gemm_tile(gpu) * gemm_tile(gpu));
}

/* Parts of a map go through three programs side by side, each with its own piece of the buffers. */

static void decode_part(struct upg_gpu *gpu, const struct gpu_matrix *part, struct gpu_range to,
                        uint32_t joined)
{
    const uint32_t n_groups = part->padded_cols / UPG_COL_GROUP;
    const enum gpu_program program = gpu_decode_program(part->k);
    const uint32_t wide = gpu_threads_of(&gpu->programs.tuning, program) / 16 * GPU_DECODE_RUN;
    const struct gpu_command command = {
        .program = program,
        .joined = joined,
        .groups = {(n_groups + wide - 1) / wide, part->padded_rows / UPG_ROW_BLOCK, 1},
        .n_ranges = 3,
        .ranges = {part->codes, gpu_pairs(&gpu->weights, part->k), to},
        .constants = {n_groups}};

    gpu_step_add(&gpu->step, &command);
}

static void multiply_decoded(struct upg_gpu *gpu, const struct gpu_matrix *part,
                             struct gpu_range decoded, struct gpu_range sums, uint32_t n_rows,
                             uint32_t joined)
{
    const struct gpu_command command = {
        .program = gpu->device.limits.has_matrix ? GPU_PROGRAM_gemm_matrix : GPU_PROGRAM_gemm,
        .joined = joined,
        .groups = {(uint32_t)gemm_rows(gpu, n_rows) / gemm_tile(gpu),
                   part->padded_rows / UPG_ROW_BLOCK, 1},
        .n_ranges = 5,
        .ranges = {decoded, gpu_whole(&gpu->scratch.codes), gpu_whole(&gpu->scratch.scales),
                   part->gain, sums},
        .constants = {part->padded_cols / (4 * UPG_COL_GROUP), n_rows, part->n_blocks,
                      part->padded_rows}};

    gpu_step_add(&gpu->step, &command);
}

static void decoded_parts(struct upg_gpu *gpu, const struct gpu_linear *linear, struct gpu_place x,
                          uint32_t x_stride, struct gpu_place y, uint32_t y_stride, uint32_t n_rows,
                          const struct gpu_command *source)
{
    struct gpu_range decoded[UPG_MAX_PARTS], sums[UPG_MAX_PARTS];
    uint64_t decoded_end = 0, sums_end = 0;

    quantize(gpu, &linear->part[0], x, x_stride, n_rows, source);
    for (size_t i = 0; i < linear->n_parts; i++) {
        const struct gpu_matrix *part = &linear->part[i];

        decoded[i] = (struct gpu_range){gpu->scratch.decoded.buffer, decoded_end,
                                        decoded_bytes(part)}; /* multiples of GPU_ALIGN */
        sums[i] = (struct gpu_range){gpu->scratch.sums.buffer, sums_end,
                                     gemm_rows(gpu, n_rows) * part->padded_rows * sizeof(float)};
        decoded_end += decoded[i].n_bytes;
        sums_end += sums[i].n_bytes;
        decode_part(gpu, part, decoded[i], 1); /* as quantization, it depends on nothing here */
    }
    for (size_t i = 0; i < linear->n_parts; i++)
        multiply_decoded(gpu, &linear->part[i], decoded[i], sums[i], n_rows, i > 0);
    for (size_t i = 0; i < linear->n_parts; i++) {
        finish_part(gpu, &linear->part[i],
                    &(struct gpu_product){sums[i], linear->part[i].padded_rows, 0}, false, 0, y,
                    y_stride, n_rows, i > 0);
        y.begin += linear->part[i].n_rows;
    }
}

void gpu_linear_op(void *state, struct upg_activation out, const struct upg_linear *linear,
                   struct upg_activation x, size_t n_rows)
{
    struct upg_gpu *gpu = state;
    const struct gpu_linear *loaded = gpu_find_linear(&gpu->weights, linear);
    const uint32_t many = gpu->device.limits.has_matrix ? MATRIX_ROWS : MANY_ROWS;
    const uint32_t n = (uint32_t)n_rows, decoded = n < many ? 0 : decoded_rows(gpu, loaded);
    const uint32_t pass = decoded ? decoded : pass_rows(gpu, loaded);
    const uint32_t x_stride = (uint32_t)x.stride, y_stride = (uint32_t)out.stride;
    struct gpu_place from = gpu_place_of(gpu, x.rows), to = gpu_place_of(gpu, out.rows);
    bool is_packed = true; /* altogether */

    for (size_t i = 0; i < loaded->n_parts; i++)
        is_packed = is_packed && loaded->part[i].type == UPG_TYPE_PACKED;
    plain_parts(gpu, loaded, from, x_stride, to, y_stride, n);
    if (row_sums_bytes(loaded) == 0)
        return;
    for (uint32_t first = 0; first < n; first += pass) {
        const uint32_t here = n - first < pass ? n - first : pass;
        const struct gpu_command *source =
            is_packed && here == n ? find_source(gpu, from, n) : NULL;

        if (decoded)
            decoded_parts(gpu, loaded, from, x_stride, to, y_stride, here, source);
        else
            packed_parts(gpu, loaded, from, x_stride, to, y_stride, here, pass, source);
        from.begin += pass * x_stride;
        to.begin += pass * y_stride;
    }
}

/* What the buffers must hold, over all maps. */
struct needs {
    uint64_t row_sums, codes, n_blocks, decoded, rows;
};

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_needs(struct needs *needs, const struct gpu_linear *linear)
{
    uint64_t decoded = 0, rows = 0;

    needs->row_sums = greater(needs->row_sums, row_sums_bytes(linear));
    for (size_t i = 0; i < linear->n_parts; i++) {
        const struct gpu_matrix *part = &linear->part[i];

        rows += part->padded_rows;
        if (decoded_bytes(part) <= DECODED_BYTES)
            decoded += decoded_bytes(part);
        needs->codes = greater(needs->codes, part->padded_cols);
        needs->n_blocks = greater(needs->n_blocks, part->n_blocks);
    }
    needs->rows = greater(needs->rows, rows);
    needs->decoded = greater(needs->decoded, decoded);
}

upg_status gpu_linear_init(struct upg_gpu *gpu, upg_error *err)
{
    const size_t n_layers = gpu->setup.model->config.n_layers;
    const uint64_t max_rows = gpu->setup.max_rows;
    const uint64_t alignment = UPG_MAX_PARTS * GPU_ALIGN;
    const uint64_t whole_rows =
        (max_rows + GPU_PACKED_TOKENS - 1) / GPU_PACKED_TOKENS * GPU_PACKED_TOKENS;
    struct needs needs = {0};
    uint64_t sums, rows;
    upg_status status;

    for (size_t i = gpu->weights.first; i < n_layers; i++)
        for (size_t j = 0; j < GPU_N_MAPS; j++)
            add_needs(&needs, &gpu->weights.layers[i].maps[j]);
    rows = needs.rows; /* products of decoded matrices: the head's are passes over few rows */
    add_needs(&needs, &gpu->weights.layers[n_layers].maps[0]);
    sums = needs.row_sums * whole_rows + alignment;
    if (sums > SUMS_BYTES)
        sums = greater(needs.row_sums + alignment, SUMS_BYTES);
    sums = greater(sums, gemm_rows(gpu, max_rows) * rows * sizeof(float));
    status = gpu_buffer_new(&gpu->device, &gpu->scratch.codes, max_rows * needs.codes, GPU_LOCAL,
                            "quantized rows", err);
    if (status == UPG_OK)
        status = gpu_buffer_new(&gpu->device, &gpu->scratch.scales,
                                max_rows * needs.n_blocks * 2 * sizeof(float), GPU_LOCAL,
                                "scales of rows", err);
    if (status == UPG_OK)
        status = gpu_buffer_new(&gpu->device, &gpu->scratch.sums, sums, GPU_LOCAL, "sums", err);
    if (status == UPG_OK)
        status = gpu_buffer_new(&gpu->device, &gpu->scratch.decoded, needs.decoded, GPU_LOCAL,
                                "a decoded matrix", err);
    return status;
}
