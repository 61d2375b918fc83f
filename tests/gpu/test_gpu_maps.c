/* test_gpu_maps.c -- every kind of matrix on a GPU against the scalar kernels, on odd shapes. */
#include "unit.h"

#include "codec/random_matrix.h"
#include "engine/kv_cache.h"
#include "gpu/gpu.h"
#include "gpu/gpu_device.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TOKENS = 66 }; /* so many are multiplied in another way than few */

/* A model of one layer that has one map and nothing else; its embedding are the rows to multiply. */
struct fixture {
    struct upg_arena arena;
    struct upg_model model;
    struct upg_layer layer;
    struct upg_kv_cache cache;
    struct upg_gpu *gpu;
    struct upg_backend backend;
    float *x; /* [MAX_TOKENS, n_cols] */
};

static void open_fixture(struct fixture *f, const struct upg_linear *linear)
{
    const size_t n = linear->n_cols;
    struct upg_random random = {n};
    struct upg_backend_setup setup = {
        .model = &f->model, .cache = &f->cache, .context = 64, .max_rows = MAX_TOKENS};
    float *ones = upg_arena_alloc(&f->arena, n, sizeof *ones);
    upg_error err = {0};

    f->x = upg_arena_alloc(&f->arena, MAX_TOKENS * n, sizeof *f->x);
    for (size_t i = 0; i < MAX_TOKENS * n; i++)
        f->x[i] = (float)(upg_random_unit(&random) - 0.5) * (i % 37 == 0 ? 40 : 1);
    f->layer = (struct upg_layer){.attention_norm = ones, .mlp_norm = ones, .qkv = *linear};
    f->model = (struct upg_model){.layers = &f->layer, .norm = ones, .path = "(test)"};
    f->model.config = (struct upg_config){.n_layers = 1,
                                          .d_model = n,
                                          .d_ff = n,
                                          .n_heads = 1,
                                          .n_kv_heads = 1,
                                          .head_dim = 4,
                                          .rotary_dim = 4,
                                          .n_vocab = linear->n_rows,
                                          .context = 64};
    f->model.embedding =
        (struct upg_matrix){.type = UPG_TYPE_F32, .n_rows = MAX_TOKENS, .n_cols = n, .data = f->x};
    assert_ok(upg_kv_cache_init(&f->cache, UPG_KV_F32, 1, 1, 4, 64, &f->arena, &err), err);
    assert_ok(upg_gpu_open(&f->gpu, test_gpu(), &err), err);
    assert_ok(upg_gpu_backend(&f->backend, f->gpu, &setup, &err), err);
}

static void close_fixture(struct fixture *f)
{
    upg_gpu_close(f->gpu);
    upg_arena_clear(&f->arena);
}

/* y[n_tokens, n_rows] = W x on the GPU. */
static void multiply_on_gpu(struct fixture *f, struct upg_activation rows, float *y,
                            size_t n_tokens)
{
    uint32_t block = 0;
    const struct upg_kv_list list = {.blocks = &block, .n_blocks = 1};
    const struct upg_rope rope = {.n_pairs = 2};
    const float angles[2 * MAX_TOKENS] = {0};
    const struct upg_activation out = {.rows = y, .stride = f->layer.qkv.n_rows};
    struct upg_row step_rows[MAX_TOKENS];
    struct upg_step step = {
        .rows = step_rows, .n_rows = n_tokens, .cosine = angles, .sine = angles};
    upg_error err = {0};

    for (size_t i = 0; i < n_tokens; i++)
        step_rows[i] = (struct upg_row){.list = &list, .rope = &rope, .id = (int32_t)i};
    f->backend.embed(f->gpu, rows, &f->model.embedding, &step);
    f->backend.linear(f->gpu, out, &f->layer.qkv, rows, n_tokens);
    assert_ok(f->backend.finish(f->gpu, &err), err);
}

/* The same with the scalar kernels, one part. */
static void multiply_part(const struct fixture *f, const struct upg_matrix *part, float *y,
                          size_t y_stride, size_t n_tokens)
{
    const struct upg_packed *w = &part->packed;
    struct upg_arena arena = {0};
    struct upg_kernels kernels;

    assert_int_equal(upg_kernels_init(&kernels, "scalar", NULL, 0, NULL), UPG_OK);
    if (part->type != UPG_TYPE_PACKED) {
        float *rows = upg_arena_alloc(&arena, part->n_rows * part->n_cols, sizeof *rows);

        upg_matrix_rows(part, 0, part->n_rows, rows, NULL);
        kernels.matmul_f32(y, y_stride, rows, f->x, part->n_cols, part->n_rows, part->n_cols,
                           n_tokens);
    } else {
        struct upg_q8_rows q = {.n_tokens = n_tokens,
                                .padded_cols = w->padded_cols,
                                .n_blocks = (w->padded_cols + 255) / 256};
        float *padded = upg_arena_alloc(&arena, n_tokens * w->padded_rows, sizeof *padded);

        q.values = upg_arena_alloc(&arena, n_tokens * w->padded_cols, 1);
        q.scales = upg_arena_alloc(&arena, n_tokens * q.n_blocks, sizeof *q.scales);
        q.sums = upg_arena_alloc(&arena, n_tokens * q.n_blocks, sizeof *q.sums);
        kernels.rotate_quantize(&q, f->x, w->n_cols, w->n_cols, w->seed_in, 0, q.n_blocks);
        kernels.packed_matmul(padded, w->padded_rows, w, &q, 0, w->padded_rows / 128, NULL);
        for (size_t t = 0; t < n_tokens; t++) {
            if (w->has_output_transform)
                kernels.transform_out(padded + t * w->padded_rows, w->padded_rows, w->seed_out);
            memcpy(y + t * y_stride, padded + t * w->padded_rows, w->n_rows * sizeof *y);
        }
    }
    upg_arena_clear(&arena);
}

/* Differences in units of the outputs' root mean square; a code of an activation may be rounded the
 * other way, as GPUs divide less exactly. */
static void check(const char *name, const struct upg_linear *linear, double tolerance)
{
    const size_t counts[] = {1, 2, 3, 17, MAX_TOKENS};
    const size_t n = MAX_TOKENS * linear->n_rows;
    float *expected = malloc(n * sizeof *expected), *actual = malloc(n * sizeof *actual);
    double squares = 0, greatest = 0;
    struct fixture f = {0};
    struct upg_activation rows = {.stride = linear->n_cols};
    upg_error err = {0};
    size_t first = 0;

    open_fixture(&f, linear);
    assert_ok(f.backend.new_rows(f.gpu, MAX_TOKENS * rows.stride, &rows.rows, &err), err);
    for (size_t p = 0; p < linear->n_parts; p++) {
        multiply_part(&f, &linear->part[p], expected + first, linear->n_rows, MAX_TOKENS);
        first += linear->part[p].n_rows;
    }
    for (size_t i = 0; i < n; i++)
        squares += (double)expected[i] * expected[i];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        multiply_on_gpu(&f, rows, actual, counts[c]);
        for (size_t i = 0; i < counts[c] * linear->n_rows; i++)
            greatest = fmax(greatest, fabs((double)actual[i] - expected[i]));
    }
    greatest /= sqrt(squares / (double)n);
    print_message("  %-28s %.1e\n", name, greatest);
    assert_true(greatest <= tolerance);
    close_fixture(&f);
    free(expected);
    free(actual);
}

static void packed_maps(void **state)
{
    const struct {
        int k;
        size_t n_rows, n_cols;
        bool output_transform;
    } cases[] = {{2, 130, 70, false}, {2, 128, 256, true},  {2, 384, 1100, true},
                 {3, 1, 64, false},   {3, 257, 700, false}, {3, 640, 2050, true},
                 {4, 128, 1, false},  {4, 256, 300, true},  {4, 300, 1030, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_arena arena = {0};
        struct upg_linear linear = {
            .n_parts = 1, .n_rows = cases[i].n_rows, .n_cols = cases[i].n_cols};
        char name[64];

        linear.part[0] = (struct upg_matrix){.name = "test",
                                             .type = UPG_TYPE_PACKED,
                                             .n_rows = linear.n_rows,
                                             .n_cols = linear.n_cols};
        linear.part[0].packed = random_matrix(&arena, cases[i].k, linear.n_rows, linear.n_cols,
                                              cases[i].output_transform, i);
        snprintf(name, sizeof name, "k=%d %zu x %zu%s", cases[i].k, linear.n_rows, linear.n_cols,
                 cases[i].output_transform ? " both sides" : "");
        check(name, &linear, 1e-3);
        upg_arena_clear(&arena);
    }
}

/* Parts of different k share the input side; a plain part may stand beside them. */
static void maps_in_parts(void **state)
{
    struct upg_arena arena = {0};
    struct upg_linear linear = {.n_parts = 3, .n_rows = 128 + 37 + 256, .n_cols = 320};
    float *plain = upg_arena_alloc(&arena, 37 * 320, sizeof *plain);

    (void)state;
    for (size_t i = 0; i < 37 * 320; i++)
        plain[i] = (float)(i % 61) * 0.01F - 0.3F;
    for (size_t i = 0; i < 3; i++)
        linear.part[i] = (struct upg_matrix){
            .name = "test", .type = UPG_TYPE_PACKED, .n_rows = i ? 256 : 128, .n_cols = 320};
    linear.part[0].packed = random_matrix(&arena, 2, 128, 320, true, 1);
    linear.part[2].packed = random_matrix(&arena, 4, 256, 320, true, 2);
    linear.part[2].packed.seed_in = linear.part[0].packed.seed_in;
    linear.part[1] = (struct upg_matrix){
        .name = "test", .type = UPG_TYPE_F32, .n_rows = 37, .n_cols = 320, .data = plain};
    check("k=2, F32, k=4", &linear, 1e-3);
    upg_arena_clear(&arena);
}

/* Neighbours of equal k are multiplied as one matrix, padded rows and all. */
static void parts_of_equal_k(void **state)
{
    const size_t n_rows[UPG_MAX_PARTS] = {130, 37, 256};
    struct upg_arena arena = {0};
    struct upg_linear linear = {.n_parts = 3, .n_rows = 130 + 37 + 256, .n_cols = 700};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        linear.part[i] = (struct upg_matrix){
            .name = "test", .type = UPG_TYPE_PACKED, .n_rows = n_rows[i], .n_cols = 700};
        linear.part[i].packed = random_matrix(&arena, 3, n_rows[i], 700, i == 2, i);
        linear.part[i].packed.seed_in = linear.part[0].packed.seed_in;
    }
    check("three times k=3", &linear, 1e-3);
    upg_arena_clear(&arena);
}

static void plain_maps(void **state)
{
    const enum upg_type types[] = {UPG_TYPE_F32, UPG_TYPE_F16, UPG_TYPE_BF16, UPG_TYPE_I8_ROWS,
                                   UPG_TYPE_Q8_0};
    struct upg_random random = {7};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct upg_arena arena = {0};
        struct upg_linear linear = {
            .n_parts = 1, .n_rows = 21, .n_cols = types[i] == UPG_TYPE_Q8_0 ? 96 : 107};
        uint8_t *data = upg_arena_alloc(&arena, linear.n_rows * linear.n_cols, sizeof(float));
        float *scale = upg_arena_alloc(&arena, linear.n_rows, sizeof *scale);

        for (size_t j = 0; j < linear.n_rows; j++)
            scale[j] = 0.01F * (float)(j + 1);
        for (size_t j = 0; j < linear.n_rows * linear.n_cols; j++) {
            const float w = (float)upg_random_unit(&random) - 0.5F;
            const uint16_t half =
                types[i] == UPG_TYPE_BF16 ? upg_f32_to_bf16(w) : upg_f32_to_f16(w);

            if (types[i] == UPG_TYPE_F32)
                memcpy(data + 4 * j, &w, 4);
            else if (types[i] == UPG_TYPE_F16 || types[i] == UPG_TYPE_BF16)
                memcpy(data + 2 * j, &half, 2);
            else if (types[i] == UPG_TYPE_I8_ROWS)
                data[j] = (uint8_t)(int8_t)(250 * w);
            else if (j % 32 == 0)
                memcpy(data + j / 32 * 34, &half, 2);
            else
                data[j / 32 * 34 + 2 + j % 32] = (uint8_t)(int8_t)(250 * w);
        }
        linear.part[0] = (struct upg_matrix){.name = "test",
                                             .type = types[i],
                                             .n_rows = linear.n_rows,
                                             .n_cols = linear.n_cols,
                                             .data = data,
                                             .row_scale = scale};
        check(upg_type_name(types[i]), &linear, types[i] == UPG_TYPE_Q8_0 ? 2e-3 : 4e-6);
        upg_arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_maps),
        cmocka_unit_test(maps_in_parts),
        cmocka_unit_test(parts_of_equal_k),
        cmocka_unit_test(plain_maps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
