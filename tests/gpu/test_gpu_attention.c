/* test_gpu_attention.c -- rotation, cache and attention on a GPU against the reference backend. */
#include "unit.h"

#include "base/pool.h"
#include "base/random.h"
#include "engine/backend.h"
#include "gpu/gpu.h"
#include "gpu/gpu_device.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 40, MAX_ROWS = 2 * CHUNK, MAX_TOKENS = 300 };

/* Two sequences, the second a third as long, in steps of at most CHUNK rows of each. */
struct shape {
    size_t n_heads, n_kv_heads, head_dim, rotary_dim, n_tokens;
    bool interleaved;
};

/* A model without layers' maps: rows of qkv come in as its embedding, attended heads go out through
 * its head, an identity. */
struct fixture {
    struct upg_arena arena;
    struct upg_model model;
    struct upg_layer layer;
    struct upg_rope rope;
    size_t n[2], n_rows, width; /* tokens of the sequences, of both; floats of an output */
};

struct side {
    struct upg_kv_cache cache;
    struct upg_pool *pool; /* of a CPU backend with a coded cache */
    struct upg_kernels kernels;
    struct upg_backend backend;
    struct upg_kv_list lists[2];
    struct upg_activation qkv, heads;
    float *out; /* [n_rows, width] */
};

static void make_model(struct fixture *f, const struct shape *shape)
{
    const size_t qkv_dim = (shape->n_heads + 2 * shape->n_kv_heads) * shape->head_dim;
    struct upg_random random = {shape->head_dim};
    float *rows, *identity, *ones;

    f->n[0] = shape->n_tokens;
    f->n[1] = shape->n_tokens / 3;
    f->n_rows = f->n[0] + f->n[1];
    f->width = shape->n_heads * shape->head_dim;
    rows = upg_arena_alloc(&f->arena, f->n_rows * qkv_dim, sizeof *rows);
    identity = upg_arena_alloc(&f->arena, f->width * f->width, sizeof *identity);
    ones = upg_arena_alloc(&f->arena, qkv_dim, sizeof *ones);
    for (size_t i = 0; i < f->n_rows * qkv_dim; i++)
        rows[i] = 3 * (float)(upg_random_unit(&random) - 0.5);
    for (size_t i = 0; i < f->width; i++)
        identity[i * f->width + i] = 1;
    f->layer = (struct upg_layer){.attention_norm = ones, .mlp_norm = ones};
    f->layer.o.part[0].n_cols = f->width; /* n_parts stays 0 */
    f->model = (struct upg_model){.layers = &f->layer, .norm = ones, .path = "(test)"};
    f->model.config = (struct upg_config){.n_layers = 1,
                                          .d_model = qkv_dim,
                                          .d_ff = qkv_dim,
                                          .n_heads = shape->n_heads,
                                          .n_kv_heads = shape->n_kv_heads,
                                          .head_dim = shape->head_dim,
                                          .rotary_dim = shape->rotary_dim,
                                          .interleaved_pairs = shape->interleaved,
                                          .rope_theta = 10000,
                                          .n_vocab = f->width,
                                          .context = 512};
    f->model.embedding = (struct upg_matrix){
        .type = UPG_TYPE_F32, .n_rows = f->n_rows, .n_cols = qkv_dim, .data = rows};
    f->model.head = (struct upg_linear){.n_parts = 1, .n_rows = f->width, .n_cols = f->width};
    f->model.head.part[0] = (struct upg_matrix){.name = "identity",
                                                .type = UPG_TYPE_F32,
                                                .n_rows = f->width,
                                                .n_cols = f->width,
                                                .data = identity};
    assert_int_equal(upg_rope_init(&f->rope, &f->model.config, false, &f->arena, NULL), UPG_OK);
}

static void new_rows(struct fixture *f, struct side *side, struct upg_activation *to, size_t width)
{
    upg_error err = {0};

    to->stride = (width + 15) / 16 * 16;
    if (side->backend.new_rows)
        assert_ok(
            side->backend.new_rows(side->backend.state, MAX_ROWS * to->stride, &to->rows, &err),
            err);
    else
        to->rows = upg_arena_alloc(&f->arena, MAX_ROWS * to->stride, sizeof *to->rows);
}

static void make_side(struct fixture *f, struct side *side, struct upg_gpu *gpu, upg_kv_type type)
{
    const struct upg_config *c = &f->model.config;
    const struct upg_backend_setup setup = {
        .model = &f->model, .cache = &side->cache, .context = 512, .max_rows = MAX_ROWS};
    upg_error err = {0};

    assert_ok(upg_kv_cache_init(&side->cache, type, 1, c->n_kv_heads, c->head_dim, 2 * MAX_TOKENS,
                                &f->arena, &err),
              err);
    if (gpu) {
        assert_ok(upg_gpu_backend(&side->backend, gpu, &setup, &err), err);
    } else if (upg_kv_is_coded(type)) { /* which the reference does not know */
        assert_ok(upg_kernels_init(&side->kernels, "scalar", NULL, 0, &err), err);
        assert_ok(upg_pool_new(&side->pool, 1, &err), err);
        assert_ok(
            upg_backend_cpu(&side->backend, &setup, side->pool, &side->kernels, &f->arena, &err),
            err);
    } else
        assert_ok(upg_backend_reference(&side->backend, &setup, &f->arena, &err), err);
    new_rows(f, side, &side->qkv, c->d_model);
    new_rows(f, side, &side->heads, f->width);
    side->out = upg_arena_alloc(&f->arena, f->n_rows * f->width, sizeof *side->out);
    for (size_t s = 0; s < 2; s++)
        side->lists[s].blocks =
            upg_arena_alloc(&f->arena, f->n[s] / UPG_KV_BLOCK + 1, sizeof(uint32_t));
}

/* Rows [begin, begin + CHUNK) of both sequences. */
static void run_step(struct fixture *f, struct side *side, size_t begin)
{
    const struct upg_backend *b = &side->backend;
    const size_t n_pairs = f->rope.n_pairs;
    struct upg_row rows[MAX_ROWS];
    float *cosine = upg_arena_alloc(&f->arena, MAX_ROWS * n_pairs, sizeof *cosine);
    float *sine = upg_arena_alloc(&f->arena, MAX_ROWS * n_pairs, sizeof *sine);
    float *to = upg_arena_alloc(&f->arena, MAX_ROWS * f->width, sizeof *to);
    struct upg_step step = {.rows = rows, .cosine = cosine, .sine = sine};
    upg_error err = {0};

    for (size_t s = 0; s < 2; s++) {
        const size_t end = begin + CHUNK < f->n[s] ? begin + CHUNK : f->n[s];

        if (end > begin)
            assert_ok(upg_kv_cache_grow(&side->cache, &side->lists[s], end, &err), err);
        for (size_t pos = begin; pos < end; pos++) {
            const size_t i = step.n_rows++;

            upg_rope_angles(&f->rope, pos, cosine + i * n_pairs, sine + i * n_pairs);
            rows[i] = (struct upg_row){.list = &side->lists[s],
                                       .rope = &f->rope,
                                       .pos = pos,
                                       .id = (int32_t)(s * f->n[0] + pos)};
        }
    }
    b->embed(b->state, side->qkv, &f->model.embedding, &step);
    b->rotate_and_append(b->state, side->qkv, 0, &step);
    b->attend(b->state, side->heads, side->qkv, 0, &step);
    b->linear(b->state, (struct upg_activation){.rows = to, .stride = f->width}, &f->model.head,
              side->heads, step.n_rows);
    assert_ok(b->finish(b->state, &err), err);
    for (size_t i = 0; i < step.n_rows; i++)
        memcpy(side->out + (size_t)rows[i].id * f->width, to + i * f->width, f->width * sizeof *to);
}

static void check(const struct shape *shape, upg_kv_type type, double tolerance)
{
    struct fixture f = {.n_rows = 0};
    struct side cpu = {.out = NULL}, on_gpu = {.out = NULL};
    struct upg_gpu *gpu;
    upg_error err = {0};
    double greatest = 0;

    make_model(&f, shape);
    assert_ok(upg_gpu_open(&gpu, test_gpu(), &err), err);
    make_side(&f, &cpu, NULL, upg_kv_is_coded(type) ? type : UPG_KV_F32);
    make_side(&f, &on_gpu, gpu, type);
    for (size_t begin = 0; begin < f.n[0]; begin += CHUNK) {
        run_step(&f, &cpu, begin);
        run_step(&f, &on_gpu, begin);
    }
    for (size_t i = 0; i < f.n_rows * f.width; i++)
        greatest = fmax(greatest, fabs((double)cpu.out[i] - on_gpu.out[i]));
    print_message("  %zu heads of %zu, %zu of keys: %.1e\n", shape->n_heads, shape->head_dim,
                  shape->n_kv_heads, greatest);
    assert_true(greatest <= tolerance);
    upg_gpu_close(gpu);
    upg_pool_free(cpu.pool);
    upg_arena_clear(&f.arena);
}

static void float32_cache(void **state)
{
    const struct shape shapes[] = {
        {.n_heads = 3, .n_kv_heads = 1, .head_dim = 16, .rotary_dim = 16, .n_tokens = MAX_TOKENS},
        {.n_heads = 2, .n_kv_heads = 2, .head_dim = 96, .rotary_dim = 72, .n_tokens = 70},
        {.n_heads = 1, .n_kv_heads = 1, .head_dim = 256, .rotary_dim = 256, .n_tokens = 33},
        {.n_heads = 4,
         .n_kv_heads = 2,
         .head_dim = 6,
         .rotary_dim = 4,
         .n_tokens = 35,
         .interleaved = true}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check(&shapes[i], UPG_KV_F32, 1e-5);
}

/* Binary16 has 11 bits: a value below 1.5 is off by at most 2^-12 after rounding; so may scores be. */
static void float16_cache(void **state)
{
    const struct shape shapes[] = {
        {.n_heads = 2, .n_kv_heads = 1, .head_dim = 128, .rotary_dim = 96, .n_tokens = 290},
        {.n_heads = 2, .n_kv_heads = 1, .head_dim = 256, .rotary_dim = 64, .n_tokens = 40},
        {.n_heads = 6, .n_kv_heads = 3, .head_dim = 10, .rotary_dim = 10, .n_tokens = 40}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check(&shapes[i], UPG_KV_F16, 5e-3);
}

/* Both sides round alike, but a value between two codes may get the one here and the other there. */
static void coded_caches(void **state)
{
    const struct shape shapes[] = {
        {.n_heads = 2, .n_kv_heads = 1, .head_dim = 128, .rotary_dim = 96, .n_tokens = 290},
        {.n_heads = 6, .n_kv_heads = 3, .head_dim = 64, .rotary_dim = 64, .n_tokens = 290},
        {.n_heads = 3, .n_kv_heads = 1, .head_dim = 256, .rotary_dim = 64, .n_tokens = 70}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check(&shapes[i], UPG_KV_Q8, 5e-3);
        check(&shapes[i], UPG_KV_Q4, 3e-2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32_cache),
        cmocka_unit_test(float16_cache),
        cmocka_unit_test(coded_caches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
