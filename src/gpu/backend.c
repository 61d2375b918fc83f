/* backend.c -- the operations of the forward pass as commands of a step. */
#include "gpu/state.h"

#include "base/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PARTIAL_BYTES = 64 << 20, /* of an attention dispatch */
    MOST_ROWS = 2048,         /* of a step: a product of more is not faster */
    MOST_LISTS = 256          /* sequences of a step */
};

static const struct upg_config *config_of(const struct upg_gpu *gpu)
{
    return &gpu->setup.model->config;
}

static struct gpu_range part_of(const struct gpu_buffer *buffer, uint64_t offset, uint64_t n_bytes)
{
    return (struct gpu_range){buffer->buffer, offset, n_bytes};
}

/* ---- Activations ---- */

static upg_status new_rows(void *state, size_t n_floats, float **rows, upg_error *err)
{
    struct upg_gpu *gpu = state;
    struct gpu_activation *to = &gpu->activations[gpu->n_activations];
    upg_status status;
    void *base;

    if (gpu->n_activations == GPU_MAX_ACTIVATIONS ||
        n_floats > gpu->device.limits.max_range / sizeof(float))
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "GPU: a step of %zu values is too large",
                        n_floats);
    status = gpu_buffer_new(&gpu->device, &to->buffer, n_floats * sizeof(float), GPU_LOCAL,
                            "a step's rows", err);
    if (status != UPG_OK)
        return status;
    base = mmap(NULL, n_floats * sizeof(float),
                gpu->setup.first_layer > 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        gpu_buffer_free(&gpu->device, &to->buffer);
        return upg_fail_memory(err, "addresses of a step's rows", n_floats * sizeof(float));
    }
    to->base = base;
    to->n_bytes = n_floats * sizeof(float);
    gpu->n_activations++;
    *rows = base;
    return UPG_OK;
}

struct gpu_place gpu_place_of(struct upg_gpu *gpu, const float *rows)
{
    for (size_t i = 0; i < gpu->n_activations; i++) {
        const struct gpu_activation *a = &gpu->activations[i];
        const uintptr_t distance = (uintptr_t)rows - (uintptr_t)a->base;

        if (distance < a->n_bytes)
            return (struct gpu_place){gpu_whole(&a->buffer), (uint32_t)(distance / sizeof *rows)};
    }
    return (struct gpu_place){gpu_whole(&gpu->logits), 0};
}

/* ---- The step's data ---- */

/* Programs for the types of caches stand in their order. */
_Static_assert(UPG_KV_Q8 == UPG_KV_F16 + 1 && UPG_KV_Q4 == UPG_KV_F16 + 2 &&
                   UPG_KV_F32 == UPG_KV_F16 + 3,
               "program.h lists f16, q8, q4, f32");

static uint32_t for_cache(const struct upg_gpu *gpu, enum gpu_program of_f16)
{
    return (uint32_t)of_f16 + (uint32_t)(gpu->setup.cache->type - UPG_KV_F16);
}

static bool is_coded(const struct upg_gpu *gpu)
{
    return upg_kv_is_coded(gpu->setup.cache->type);
}

/* Whether attention_matrix.comp can do it. */
static bool has_matrix_attention(const struct upg_gpu *gpu)
{
    const struct upg_config *c = config_of(gpu);

    return gpu->device.limits.has_half_matrix && gpu->setup.cache->type != UPG_KV_F32 &&
           c->head_dim % 16 == 0 && c->head_dim <= 128 &&
           c->n_heads / c->n_kv_heads <= GPU_TILE_QUERIES;
}

/* Rows, and the block lists of their sequences, one a sequence, with the open blocks in front. */
static void write_rows(struct upg_gpu *gpu, const struct upg_step *step)
{
    uint8_t *data = gpu->upload.mapped;
    struct gpu_row *rows = (struct gpu_row *)(void *)(data + gpu->layout.rows);
    uint32_t *lists = (uint32_t *)(void *)(data + gpu->layout.lists);
    const size_t n_open_blocks = gpu->setup.cache->blocks.n_open;
    uint32_t begin = 0, end = 0, n_lists = 0, first = 0;

    for (size_t i = 0; i < step->n_rows; i++) {
        const struct upg_kv_list *list = step->rows[i].list;

        if (i == 0 || list != step->rows[i - 1].list) {
            if (n_lists++ == MOST_LISTS) {
                gpu_step_fail(&gpu->step, UPG_ERR_UNSUPPORTED,
                              "GPU: a step of more than 256 sequences");
                return;
            }
            memcpy(lists + end, list->open, n_open_blocks * sizeof *lists);
            begin = end + (uint32_t)n_open_blocks;
            memcpy(lists + begin, list->blocks, list->n_blocks * sizeof *lists);
            end = begin + (uint32_t)list->n_blocks;
            first = (uint32_t)i;
        }
        rows[i] =
            (struct gpu_row){(uint32_t)step->rows[i].pos, begin, first, (uint32_t)list->n_tokens};
    }
}

/* Rows of the step that attention_matrix.comp takes together. */
static void write_tiles(struct upg_gpu *gpu, const struct upg_step *step)
{
    const struct upg_config *c = config_of(gpu);
    const uint32_t most = (uint32_t)(GPU_TILE_QUERIES / (c->n_heads / c->n_kv_heads));
    struct gpu_tile *tiles =
        (struct gpu_tile *)(void *)((uint8_t *)gpu->upload.mapped + gpu->layout.tiles);
    struct gpu_tile tile = {0, 0}; /* mapped memory is better not read */

    gpu->n_tiles = 0;
    for (uint32_t i = 0; i < step->n_rows; i++) {
        const bool is_cut = is_coded(gpu) && step->rows[i].pos % UPG_KV_BLOCK == 0;

        if (i > 0 &&
            (is_cut || step->rows[i].list != step->rows[i - 1].list || tile.n_rows == most)) {
            tiles[gpu->n_tiles++] = tile;
            tile = (struct gpu_tile){i, 0};
        }
        tile.n_rows++;
    }
    tiles[gpu->n_tiles++] = tile;
}

static void write_angles(struct upg_gpu *gpu, const struct upg_step *step)
{
    const size_t n = config_of(gpu)->rotary_dim / 2;
    float *angles = (float *)(void *)((uint8_t *)gpu->upload.mapped + gpu->layout.angles);

    for (size_t i = 0; i < step->n_rows; i++) {
        memcpy(angles + 2 * i * n, step->cosine + i * n, n * sizeof *angles);
        memcpy(angles + (2 * i + 1) * n, step->sine + i * n, n * sizeof *angles);
    }
}

/* Send the rows that are in `embedded` of the step's data. */
static void send_rows(struct upg_gpu *gpu, struct gpu_place to, uint32_t stride, size_t n_rows)
{
    const uint64_t n_bytes = n_rows * stride * sizeof(float);
    const struct gpu_command copy = {
        .program = GPU_COPY,
        .n_ranges = 2,
        .ranges = {part_of(&gpu->upload, gpu->layout.embedded, n_bytes),
                   {to.range.buffer, to.begin * sizeof(float), n_bytes}}};

    gpu_step_add(&gpu->step, &copy);
}

/* Rows that the host decodes. */
static void embed_on_host(struct upg_gpu *gpu, struct gpu_place to, uint32_t stride,
                          const struct upg_matrix *embedding, const struct upg_step *step)
{
    float *embedded = (float *)(void *)((uint8_t *)gpu->upload.mapped + gpu->layout.embedded);

    for (size_t i = 0; i < step->n_rows; i++)
        upg_matrix_rows(embedding, (size_t)step->rows[i].id, 1, embedded + i * stride,
                        gpu->decode_scratch);
    send_rows(gpu, to, stride, step->n_rows);
}

static void embed_on_device(struct upg_gpu *gpu, struct gpu_place to, uint32_t stride,
                            const struct gpu_matrix *embedding, const struct upg_step *step)
{
    uint32_t *ids = (uint32_t *)(void *)((uint8_t *)gpu->upload.mapped + gpu->layout.ids);
    const struct gpu_command command = {
        .program = gpu_embed_program(embedding->k),
        .groups = {embedding->n_blocks, (uint32_t)step->n_rows, 1},
        .n_ranges = 7,
        .ranges = {embedding->codes, gpu_pairs(&gpu->weights, embedding->k), embedding->row_scale,
                   embedding->gain, embedding->signs_in,
                   part_of(&gpu->upload, gpu->layout.ids, gpu->setup.max_rows * sizeof *ids),
                   to.range},
        .constants = {embedding->padded_cols / UPG_COL_GROUP, embedding->n_cols, to.begin, stride}};

    for (size_t i = 0; i < step->n_rows; i++)
        ids[i] = (uint32_t)step->rows[i].id;
    gpu_step_add(&gpu->step, &command);
}

/* Whether a sequence begins the step within a block, whose exact tokens it reads, and ends it within
 * another, whose tokens take their place. */
static bool must_keep_late(const struct upg_step *step)
{
    for (size_t i = 0; i < step->n_rows; i++) {
        const struct upg_row *row = &step->rows[i];
        const bool is_first = i == 0 || row->list != row[-1].list;
        const size_t end = row->list->n_tokens;

        if (is_first && row->pos % UPG_KV_BLOCK != 0 && end % UPG_KV_BLOCK != 0 &&
            row->pos / UPG_KV_BLOCK != end / UPG_KV_BLOCK)
            return true;
    }
    return false;
}

static void write_step(struct upg_gpu *gpu, const struct upg_step *step)
{
    gpu->has_squares = false; /* rows of the step before */
    gpu->n_rows = (uint32_t)step->n_rows;
    gpu->keeps_late = must_keep_late(step);
    write_rows(gpu, step);
    write_angles(gpu, step);
    if (has_matrix_attention(gpu))
        write_tiles(gpu, step);
}

static void resume(void *state, struct upg_activation x, const struct upg_step *step)
{
    struct upg_gpu *gpu = state;

    write_step(gpu, step);
    memcpy((uint8_t *)gpu->upload.mapped + gpu->layout.embedded, x.rows,
           step->n_rows * x.stride * sizeof *x.rows);
    send_rows(gpu, gpu_place_of(gpu, x.rows), (uint32_t)x.stride, step->n_rows);
}

static void embed(void *state, struct upg_activation x, const struct upg_matrix *embedding,
                  const struct upg_step *step)
{
    struct upg_gpu *gpu = state;
    const struct gpu_matrix *on_device = gpu_embedding(&gpu->weights);
    const struct gpu_place to = gpu_place_of(gpu, x.rows);

    write_step(gpu, step);
    if (on_device)
        embed_on_device(gpu, to, (uint32_t)x.stride, on_device, step);
    else
        embed_on_host(gpu, to, (uint32_t)x.stride, embedding, step);
}

/* ---- Operations ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Squares of all rows of a step, unless the map that wrote them has summed them. */
static void sum_squares(struct upg_gpu *gpu, struct gpu_place x, uint32_t stride)
{
    const uint32_t n_cols = (uint32_t)config_of(gpu)->d_model;
    const struct gpu_command command = {.program = GPU_PROGRAM_squares,
                                        .groups = {gpu_n_squares(n_cols), gpu->n_rows, 1},
                                        .n_ranges = 2,
                                        .ranges = {x.range, gpu_whole(&gpu->scratch.squares)},
                                        .constants = {n_cols, x.begin, stride}};

    if (gpu->has_squares && gpu_is_same_place(x, gpu->squared))
        return;
    gpu_step_add(&gpu->step, &command);
    gpu->has_squares = true;
    gpu->squared = x;
}

static void norm(void *state, struct upg_activation out, struct upg_activation x,
                 const uint32_t *pick, const float *weight, size_t n_rows)
{
    struct upg_gpu *gpu = state;
    const struct gpu_place to = gpu_place_of(gpu, out.rows), from = gpu_place_of(gpu, x.rows);
    const struct gpu_command command = {
        .program = GPU_PROGRAM_norm,
        .groups = {(uint32_t)n_rows, 1, 1},
        .n_ranges = 5,
        .ranges = {from.range, to.range, *gpu_find_norm(&gpu->weights, weight),
                   part_of(&gpu->upload, gpu->layout.pick, gpu->setup.max_rows * sizeof *pick),
                   gpu_whole(&gpu->scratch.squares)},
        .constants = {(uint32_t)config_of(gpu)->d_model, to.begin, (uint32_t)out.stride, from.begin,
                      (uint32_t)x.stride, pick != NULL, bits_of((float)config_of(gpu)->norm_eps)}};

    if (pick)
        memcpy((uint8_t *)gpu->upload.mapped + gpu->layout.pick, pick, n_rows * sizeof *pick);
    sum_squares(gpu, from, (uint32_t)x.stride);
    gpu_step_add(&gpu->step, &command);
}

static struct gpu_range rows_range(const struct upg_gpu *gpu)
{
    return part_of(&gpu->upload, gpu->layout.rows, gpu->setup.max_rows * sizeof(struct gpu_row));
}

static struct gpu_range lists_range(const struct upg_gpu *gpu)
{
    return part_of(&gpu->upload, gpu->layout.lists, gpu->layout.lists_bytes);
}

static uint32_t n_open(const struct upg_gpu *gpu)
{
    return (uint32_t)gpu->setup.cache->blocks.n_open;
}

static uint32_t block_words(const struct upg_gpu *gpu)
{
    return (uint32_t)(gpu->cache_block_bytes / sizeof(uint32_t));
}

static void rotate_and_append(void *state, struct upg_activation qkv, size_t layer,
                              const struct upg_step *step)
{
    struct upg_gpu *gpu = state;
    const struct upg_config *c = config_of(gpu);
    const struct gpu_place at = gpu_place_of(gpu, qkv.rows);
    const uint64_t angles = gpu->setup.max_rows * c->rotary_dim * sizeof(float);
    const struct gpu_command command = {
        .program = for_cache(gpu, GPU_PROGRAM_rope_f16),
        .groups = {(uint32_t)(c->n_heads + 2 * c->n_kv_heads), (uint32_t)step->n_rows, 1},
        .n_ranges = 5,
        .ranges = {at.range, rows_range(gpu), lists_range(gpu),
                   part_of(&gpu->upload, gpu->layout.angles, angles),
                   gpu_whole(&gpu->cache[layer])},
        .constants = {at.begin, (uint32_t)qkv.stride, (uint32_t)c->n_heads, (uint32_t)c->n_kv_heads,
                      (uint32_t)c->head_dim, (uint32_t)c->rotary_dim / 2, c->interleaved_pairs,
                      block_words(gpu), n_open(gpu), !gpu->keeps_late}};

    gpu_step_add(&gpu->step, &command);
}

/* Spans of positions that the step's rows reach over. */
static uint32_t n_spans_of(const struct upg_step *step)
{
    size_t last = 0;

    for (size_t i = 0; i < step->n_rows; i++)
        last = step->rows[i].pos > last ? step->rows[i].pos : last;
    return (uint32_t)(last / GPU_SPAN + 1);
}

/* The exact tokens of partly filled blocks, which a coded cache keeps besides. */
static void keep(struct upg_gpu *gpu, struct gpu_place at, uint32_t stride, size_t layer,
                 uint32_t n_rows)
{
    const struct upg_config *c = config_of(gpu);
    const struct gpu_command command = {
        .program = GPU_PROGRAM_keep,
        .groups = {2 * (uint32_t)c->n_kv_heads, n_rows, 1},
        .n_ranges = 4,
        .ranges = {at.range, rows_range(gpu), lists_range(gpu), gpu_whole(&gpu->cache[layer])},
        .constants = {at.begin, stride, (uint32_t)c->n_heads, (uint32_t)c->n_kv_heads,
                      (uint32_t)c->head_dim, block_words(gpu), n_open(gpu)}};

    if (is_coded(gpu) && gpu->keeps_late)
        gpu_step_add(&gpu->step, &command);
}

/* Put the spans of n rows from the first on together, which partial holds. */
static void combine(struct upg_gpu *gpu, struct gpu_place to, uint32_t stride, uint32_t first,
                    uint32_t n)
{
    const struct upg_config *c = config_of(gpu);
    const struct gpu_command command = {
        .program = GPU_PROGRAM_combine,
        .groups = {(uint32_t)c->n_heads, n, 1},
        .n_ranges = 3,
        .ranges = {to.range, rows_range(gpu), gpu_whole(&gpu->scratch.partial)},
        .constants = {to.begin, stride, (uint32_t)c->n_heads, (uint32_t)c->head_dim, first,
                      gpu->scratch.n_spans, is_coded(gpu)}};

    gpu_step_add(&gpu->step, &command);
}

/* Spans that a workgroup goes through, so that it is worth its start, and no more than needed to keep
 * the device busy. */
static uint32_t spans_of_a_group(const struct upg_gpu *gpu, uint32_t n)
{
    const uint32_t most = 4,
                   each = (n + gpu->device.limits.n_cores - 1) / gpu->device.limits.n_cores;

    return each < most ? each : most;
}

/* A workgroup goes through all spans of a tile where tiles keep the device busy. */
static void attend_with_matrices(struct upg_gpu *gpu, struct gpu_place to, uint32_t to_stride,
                                 struct gpu_place at, uint32_t stride, size_t layer,
                                 const struct upg_step *step)
{
    const struct upg_config *c = config_of(gpu);
    const uint32_t n_rows = (uint32_t)step->n_rows, n_spans = n_spans_of(step);
    const uint32_t n_kv_heads = (uint32_t)c->n_kv_heads;
    const uint32_t is_whole = n_rows > gpu->scratch.partial_rows ||
                              gpu->n_tiles * n_kv_heads >= 2 * gpu->device.limits.n_cores;
    const uint32_t each = spans_of_a_group(gpu, n_spans * n_kv_heads * gpu->n_tiles);
    const struct gpu_command command = {
        .program = for_cache(gpu, GPU_PROGRAM_attention_matrix),
        .groups = {is_whole ? 1 : (n_spans + each - 1) / each, n_kv_heads, gpu->n_tiles},
        .n_ranges = 7,
        .ranges = {at.range, rows_range(gpu), lists_range(gpu), gpu_whole(&gpu->cache[layer]),
                   gpu_whole(&gpu->scratch.partial),
                   part_of(&gpu->upload, gpu->layout.tiles,
                           gpu->setup.max_rows * sizeof(struct gpu_tile)),
                   to.range},
        .constants = {at.begin, stride, (uint32_t)c->n_heads, n_kv_heads, (uint32_t)c->head_dim,
                      is_whole, gpu->scratch.n_spans, bits_of(1 / sqrtf((float)c->head_dim)),
                      to.begin, to_stride, block_words(gpu), n_open(gpu), each}};

    gpu_step_add(&gpu->step, &command);
    keep(gpu, at, stride, layer, n_rows);
    if (!is_whole)
        combine(gpu, to, to_stride, 0, n_rows);
}

static void attend(void *state, struct upg_activation out, struct upg_activation qkv, size_t layer,
                   const struct upg_step *step)
{
    struct upg_gpu *gpu = state;
    const struct upg_config *c = config_of(gpu);
    const struct gpu_place to = gpu_place_of(gpu, out.rows), at = gpu_place_of(gpu, qkv.rows);
    const uint32_t n_rows = (uint32_t)step->n_rows, each = gpu->scratch.partial_rows;
    const size_t group = c->n_heads / c->n_kv_heads;
    const uint32_t n_fours = (uint32_t)(c->n_kv_heads * ((group + 3) / 4)); /* of query heads */

    if (has_matrix_attention(gpu)) {
        attend_with_matrices(gpu, to, (uint32_t)out.stride, at, (uint32_t)qkv.stride, layer, step);
        return;
    }
    for (uint32_t first = 0; first < n_rows; first += each) {
        const uint32_t n = n_rows - first < each ? n_rows - first : each;
        const struct gpu_command command = {
            .program = for_cache(gpu, GPU_PROGRAM_attention_f16),
            .groups = {n_spans_of(step), n_fours, n},
            .n_ranges = 5,
            .ranges = {at.range, rows_range(gpu), lists_range(gpu), gpu_whole(&gpu->cache[layer]),
                       gpu_whole(&gpu->scratch.partial)},
            .constants = {at.begin, (uint32_t)qkv.stride, (uint32_t)c->n_heads,
                          (uint32_t)c->n_kv_heads, (uint32_t)c->head_dim, first,
                          gpu->scratch.n_spans, bits_of(1 / sqrtf((float)c->head_dim)),
                          block_words(gpu), n_open(gpu)}};

        gpu_step_add(&gpu->step, &command);
        if (first + n == n_rows)
            keep(gpu, at, (uint32_t)qkv.stride, layer, n_rows);
        combine(gpu, to, (uint32_t)out.stride, first, n);
    }
}

static void gate(void *state, struct upg_activation gate_up, size_t n_rows)
{
    struct upg_gpu *gpu = state;
    const struct gpu_place at = gpu_place_of(gpu, gate_up.rows);
    const uint32_t d_ff = (uint32_t)config_of(gpu)->d_ff;
    const struct gpu_command command = {.program = GPU_PROGRAM_gate,
                                        .groups = {(d_ff + 255) / 256, (uint32_t)n_rows, 1},
                                        .n_ranges = 1,
                                        .ranges = {at.range},
                                        .constants = {d_ff, at.begin, (uint32_t)gate_up.stride}};

    gpu_step_add(&gpu->step, &command);
}

static void add(void *state, struct upg_activation x, struct upg_activation y, size_t n_rows)
{
    struct upg_gpu *gpu = state;
    const struct gpu_place to = gpu_place_of(gpu, x.rows), from = gpu_place_of(gpu, y.rows);
    const uint32_t d_model = (uint32_t)config_of(gpu)->d_model;
    const struct gpu_command command = {
        .program = GPU_PROGRAM_add,
        .groups = {(d_model + 255) / 256, (uint32_t)n_rows, 1},
        .n_ranges = 2,
        .ranges = {to.range, from.range},
        .constants = {d_model, to.begin, (uint32_t)x.stride, from.begin, (uint32_t)y.stride}};

    gpu->has_squares = gpu_add_by_map(gpu, to, (uint32_t)x.stride, from, d_model, (uint32_t)n_rows);
    gpu->squared = to;
    if (!gpu->has_squares)
        gpu_step_add(&gpu->step, &command);
}

/* ---- Logits ---- */

/* Room for rows that the host wants. */
static upg_status reserve_logits(struct upg_gpu *gpu, uint64_t n_bytes, upg_error *err)
{
    upg_status status = UPG_OK;

    if (n_bytes <= gpu->logits.n_bytes)
        return UPG_OK;
    if (n_bytes > gpu->device.limits.max_range)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: logits of %.1f MB are more than %s takes; ask for fewer at a time",
                        1e-6 * (double)n_bytes, gpu->device.limits.name);
    gpu_buffer_free(&gpu->device, &gpu->logits); /* no step runs */
    gpu_buffer_free(&gpu->device, &gpu->readback);
    status = gpu_buffer_new(&gpu->device, &gpu->logits, n_bytes, GPU_LOCAL, "logits", err);
    if (status == UPG_OK)
        status = gpu_buffer_new(&gpu->device, &gpu->readback, n_bytes, GPU_READBACK, "logits", err);
    return status;
}

static bool is_on_device(const struct upg_gpu *gpu, const float *rows)
{
    for (size_t i = 0; i < gpu->n_activations; i++)
        if ((uintptr_t)rows - (uintptr_t)gpu->activations[i].base < gpu->activations[i].n_bytes)
            return true;
    return false;
}

static void linear(void *state, struct upg_activation out, const struct upg_linear *map,
                   struct upg_activation x, size_t n_rows)
{
    struct upg_gpu *gpu = state;
    upg_error err = {.status = UPG_OK};

    if (!is_on_device(gpu, out.rows)) {
        gpu->logits_to = out.rows;
        gpu->logits_bytes = n_rows * out.stride * sizeof(float);
        if (reserve_logits(gpu, gpu->logits_bytes, &err) != UPG_OK) {
            gpu_step_fail(&gpu->step, err.status, err.message);
            return;
        }
    }
    gpu_linear_op(gpu, out, map, x, n_rows);
}

static upg_status finish(void *state, upg_error *err)
{
    struct upg_gpu *gpu = state;
    upg_status status;

    if (gpu->logits_to) {
        const struct gpu_command copy = {.program = GPU_COPY,
                                         .n_ranges = 2,
                                         .ranges = {part_of(&gpu->logits, 0, gpu->logits_bytes),
                                                    part_of(&gpu->readback, 0, gpu->logits_bytes)}};

        gpu_step_add(&gpu->step, &copy);
    }
    status = gpu_step_run(&gpu->step, err);
    if (status == UPG_OK && gpu->logits_to)
        memcpy(gpu->logits_to, gpu->readback.mapped, gpu->logits_bytes);
    gpu->logits_to = NULL;
    return status;
}

/* ---- The cache ---- */

static void copy_block(void *context, uint32_t to, uint32_t from)
{
    struct upg_gpu *gpu = context;
    const uint64_t n_bytes = gpu->cache_block_bytes;

    for (size_t layer = gpu->setup.first_layer; layer < config_of(gpu)->n_layers; layer++) {
        const struct gpu_command copy = {
            .program = GPU_COPY,
            .joined = layer > gpu->setup.first_layer,
            .n_ranges = 2,
            .ranges = {part_of(&gpu->cache[layer], from * n_bytes, n_bytes),
                       part_of(&gpu->cache[layer], to * n_bytes, n_bytes)}};

        gpu_step_add(&gpu->step, &copy);
    }
}

static upg_status make_cache(struct upg_gpu *gpu, upg_error *err)
{
    const struct upg_kv_cache *cache = gpu->setup.cache;
    const size_t n_layers = config_of(gpu)->n_layers;
    const size_t shared_bytes = 32 << 10; /* that attention.comp takes for q8 and q4 */
    upg_status status = UPG_OK;
    uint64_t n_bytes;

    if (is_coded(gpu) && gpu->device.limits.shared_bytes < shared_bytes)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: %s has too little shared memory for this type of cache; use --kv f16 "
                        "or device cpu",
                        gpu->device.limits.name);
    if (cache->head_dim % 2 || cache->head_dim > 256)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: heads of %zu values (they must be even, 256 at most); use device cpu",
                        cache->head_dim);
    gpu->cache_block_bytes =
        cache->block_bytes / n_layers; /* open blocks suffice for a layer, too */
    n_bytes = cache->blocks.n_blocks * gpu->cache_block_bytes;
    if (n_bytes > gpu->device.limits.max_range)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "GPU: a cache of %.1f MB a layer is more than %s takes; use a smaller "
                        "context or cache",
                        1e-6 * (double)n_bytes, gpu->device.limits.name);
    gpu->cache = calloc(n_layers, sizeof *gpu->cache);
    if (!gpu->cache)
        return upg_fail_memory(err, "a table of caches", n_layers * sizeof *gpu->cache);
    for (size_t i = gpu->setup.first_layer; status == UPG_OK && i < n_layers; i++)
        status =
            gpu_buffer_new(&gpu->device, &gpu->cache[i], n_bytes, GPU_LOCAL, "the KV cache", err);
    return status;
}

/* ---- Making and ending ---- */

static uint64_t take(uint64_t *end, uint64_t n_bytes)
{
    const uint64_t begin = *end;

    *end += (n_bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
    return begin;
}

static upg_status make_buffers(struct upg_gpu *gpu, upg_error *err)
{
    const struct upg_config *c = config_of(gpu);
    const uint64_t n = gpu->setup.max_rows;
    const uint64_t n_blocks = gpu->setup.context / UPG_KV_BLOCK + 1;
    struct gpu_scratch *s = &gpu->scratch;
    struct gpu_step_layout *l = &gpu->layout;
    uint64_t row_bytes;
    upg_status status;

    l->lists_bytes = (n < MOST_LISTS ? n : MOST_LISTS) *
                     (n_blocks + gpu->setup.cache->blocks.n_open) * sizeof(uint32_t);
    l->rows = take(&l->end, n * sizeof(struct gpu_row));
    l->tiles = take(&l->end, n * sizeof(struct gpu_tile));
    l->ids = take(&l->end, n * sizeof(uint32_t));
    l->pick = take(&l->end, n * sizeof(uint32_t));
    l->angles = take(&l->end, n * c->rotary_dim * sizeof(float));
    l->lists = take(&l->end, l->lists_bytes);
    if (!gpu_embedding(&gpu->weights))
        l->embedded = take(&l->end, n * (c->d_model + UPG_CACHE_LINE) * sizeof(float));
    status = gpu_buffer_new(&gpu->device, &gpu->upload, l->end, GPU_UPLOAD, "a step's data", err);

    s->n_spans = (uint32_t)(gpu->setup.context / GPU_SPAN + 1);
    row_bytes = c->n_heads * s->n_spans * (c->head_dim + 2) * sizeof(float);
    s->partial_rows = (uint32_t)(PARTIAL_BYTES / row_bytes);
    s->partial_rows = s->partial_rows > n ? (uint32_t)n : s->partial_rows ? s->partial_rows : 1;
    if (status == UPG_OK)
        status = gpu_buffer_new(&gpu->device, &s->partial, s->partial_rows * row_bytes, GPU_LOCAL,
                                "parts of attention", err);
    if (status == UPG_OK)
        status =
            gpu_buffer_new(&gpu->device, &s->squares, n * gpu_n_squares(c->d_model) * sizeof(float),
                           GPU_LOCAL, "squares", err);
    if (status == UPG_OK)
        status = reserve_logits(gpu, c->n_vocab * sizeof(float), err);
    if (status == UPG_OK && l->embedded && gpu->setup.first_layer == 0 &&
        gpu->setup.model->embedding.type == UPG_TYPE_PACKED) {
        const size_t n_scratch = upg_packed_row_scratch(&gpu->setup.model->embedding.packed);

        gpu->decode_scratch = malloc(n_scratch * sizeof *gpu->decode_scratch);
        if (!gpu->decode_scratch)
            status = upg_fail_memory(err, "a row of the embedding", n_scratch * sizeof(float));
    }
    return status;
}

/* Rows of a step: the more, the seldomer weights are decoded, in a sixteenth of the memory. */
static size_t rows_of_a_step(const struct upg_gpu *gpu, size_t least)
{
    const struct upg_config *c = config_of(gpu);
    const struct gpu_limits *l = &gpu->device.limits;
    const uint64_t widest = 2 * c->d_ff * sizeof(float); /* of a row's buffers */
    const uint64_t all =
        2 * widest + (5 * c->d_model + 3 * c->n_heads * c->head_dim) * sizeof(float);
    size_t n = least;

    if (l->type != VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU || gpu->setup.first_layer > 0)
        return n; /* a step should not take seconds */
    while (2 * n <= MOST_ROWS && 2 * n * widest <= l->max_range &&
           2 * n * all <= l->local_bytes / 16)
        n *= 2;
    return n;
}

upg_status upg_gpu_backend(struct upg_backend *backend, struct upg_gpu *gpu,
                           const struct upg_backend_setup *setup, upg_error *err)
{
    upg_status status;

    gpu->setup = *setup;
    gpu->setup.max_rows = rows_of_a_step(gpu, setup->max_rows);
    status = make_cache(gpu, err);
    if (status == UPG_OK)
        status =
            gpu_weights_load(&gpu->weights, &gpu->device, setup->model, setup->first_layer, err);
    if (status == UPG_OK)
        status = gpu_linear_init(gpu, err);
    if (status == UPG_OK)
        status = make_buffers(gpu, err);
    if (status != UPG_OK)
        return status;
    setup->cache->elsewhere = gpu;
    setup->cache->copy_elsewhere = copy_block;
    setup->cache->n_layers_here = setup->first_layer;
    *backend = (struct upg_backend){.state = gpu,
                                    .max_rows = gpu->setup.max_rows,
                                    .new_rows = new_rows,
                                    .embed = embed,
                                    .norm = norm,
                                    .linear = linear,
                                    .rotate_and_append = rotate_and_append,
                                    .attend = attend,
                                    .gate = gate,
                                    .add = add,
                                    .resume = resume,
                                    .finish = finish};
    return UPG_OK;
}
