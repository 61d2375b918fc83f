/* test_matrix_types.c -- both backends on weights of every kind, in one and in several parts. */
#include "unit.h"

#include "base/half.h"
#include "codec/random_matrix.h"
#include "engine/golden.h"

#include <math.h>
#include <stdlib.h>

enum { N_IDS = SLOW_BUILD ? 12 : 40 };

/* How the matrices of the model gqa4 are stored.  Its widths need padding in the packed form: d_ff
 * 224, a vocabulary of 320. */
struct storage {
    const char *name;
    enum upg_type type;
    int k; /* PACKED */
    bool output_transform;
    bool in_parts;    /* q, k, v and gate, up apart */
    size_t misalign;  /* bytes by which data is moved */
    double tolerance; /* root of the mean square of differences, relative to the logits' */
};

static void *allocate(struct upg_arena *arena, size_t n_bytes, size_t misalign)
{
    uint8_t *memory = upg_arena_alloc(arena, n_bytes + misalign, 1);

    assert_non_null(memory);
    return memory + misalign;
}

/* One row of float32 in the stored type. */
static void store_row(enum upg_type type, const float *row, size_t n, uint8_t *out, float *scale)
{
    float greatest = 0;

    for (size_t i = 0; i < n; i++)
        greatest = fmaxf(greatest, fabsf(row[i]));
    *scale = upg_bf16_to_f32(upg_f32_to_bf16(greatest / 127));
    for (size_t i = 0; i < n; i++) {
        const uint16_t f16 = upg_f32_to_f16(row[i]);

        if (type == UPG_TYPE_F32) {
            memcpy(out + 4 * i, &row[i], 4);
        } else if (type == UPG_TYPE_F16) {
            memcpy(out + 2 * i, &f16, 2);
        } else if (type == UPG_TYPE_I8_ROWS) {
            out[i] = (uint8_t)(int8_t)lrintf(row[i] / *scale);
        } else { /* Q8_0: blocks of a float16 scale and 32 int8 */
            const uint16_t block_scale = upg_f32_to_f16(*scale);

            memcpy(out + i / 32 * 34, &block_scale, 2);
            out[i / 32 * 34 + 2 + i % 32] = (uint8_t)(int8_t)lrintf(row[i] / *scale);
        }
    }
}

/* The bf16 matrix's rows [begin, begin + n) in another storage. */
static struct upg_matrix convert(struct upg_arena *arena, const struct upg_matrix *from,
                                 size_t begin, size_t n, const struct storage *storage)
{
    struct upg_matrix to = {
        .name = from->name, .type = storage->type, .n_rows = n, .n_cols = from->n_cols};
    size_t row_bytes;
    float *row, *scales;

    if (storage->type == UPG_TYPE_PACKED) {
        to.packed = random_matrix(arena, storage->k, n, from->n_cols, storage->output_transform,
                                  from->n_cols + begin);
        to.data = to.packed.codes;
        return to;
    }
    assert_true(upg_type_row_bytes(to.type, to.n_cols, &row_bytes));
    to.n_bytes = n * row_bytes;
    to.data = allocate(arena, to.n_bytes, storage->misalign);
    if (storage->type == UPG_TYPE_BF16) {
        memcpy((uint8_t *)(uintptr_t)to.data, (const uint16_t *)from->data + begin * from->n_cols,
               to.n_bytes);
        return to;
    }
    row = allocate(arena, from->n_cols * sizeof *row, 0);
    scales = allocate(arena, n * sizeof *scales, 0);
    for (size_t i = 0; i < n; i++) {
        upg_matrix_rows(from, begin + i, 1, row, NULL);
        store_row(to.type, row, to.n_cols, (uint8_t *)(uintptr_t)to.data + i * row_bytes,
                  &scales[i]);
    }
    to.row_scale = to.type == UPG_TYPE_I8_ROWS ? scales : NULL;
    return to;
}

/* Cut a linear map into parts of these numbers of rows, 0: none. */
static void convert_linear(struct upg_arena *arena, struct upg_linear *linear,
                           const struct storage *storage, size_t first, size_t second)
{
    const struct upg_matrix whole = linear->part[0];
    const size_t n[3] = {storage->in_parts && first ? first : whole.n_rows,
                         storage->in_parts ? second : 0,
                         storage->in_parts && second ? whole.n_rows - first - second : 0};
    size_t begin = 0;

    linear->n_parts = 0;
    for (size_t i = 0; i < 3 && n[i] > 0; i++) {
        linear->part[linear->n_parts++] = convert(arena, &whole, begin, n[i], storage);
        begin += n[i];
    }
    assert_int_equal(begin, whole.n_rows);
}

static void convert_model(struct upg_model *model, const struct storage *storage)
{
    const struct upg_config *c = &model->config;
    struct storage embedding = *storage; /* an embedding is read by rows: no output transform */

    embedding.output_transform = false;
    model->embedding =
        convert(&model->arena, &model->embedding, 0, model->embedding.n_rows, &embedding);
    convert_linear(&model->arena, &model->head, storage, 0, 0);
    for (size_t i = 0; i < c->n_layers; i++) {
        struct upg_layer *layer = &model->layers[i];

        convert_linear(&model->arena, &layer->qkv, storage, c->n_heads * c->head_dim,
                       c->n_kv_heads * c->head_dim);
        convert_linear(&model->arena, &layer->o, storage, 0, 0);
        convert_linear(&model->arena, &layer->gate_up, storage, c->d_ff, c->d_ff);
        convert_linear(&model->arena, &layer->down, storage, 0, 0);
    }
}

/* Logits of all of N_IDS tokens; the caller frees them. */
static float *logits_of(const struct golden *golden, upg_compute compute, size_t chunk_rows)
{
    const size_t n = N_IDS * golden->model.config.n_vocab;
    upg_engine_options options = golden_options();
    float *copy = malloc(n * sizeof *copy);
    int32_t ids[N_IDS];
    upg_engine *engine;
    upg_sequence *sequence;
    upg_error err = {0};

    assert_non_null(copy);
    options.compute = compute;
    engine = golden_engine(golden, &options);
    engine->chunk_rows = chunk_rows;
    formula_prompt(ids, N_IDS, 3, golden->model.config.n_vocab);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, N_IDS, N_IDS, NULL, NULL, &err), err);
    memcpy(copy, upg_sequence_logits(sequence, NULL), n * sizeof *copy);
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    return copy;
}

static double relative_difference(const float *a, const float *b, size_t n)
{
    double squares = 0, differences = 0;

    for (size_t i = 0; i < n; i++) {
        squares += (double)a[i] * a[i];
        differences += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    }
    return sqrt(differences / squares);
}

static void check(const struct storage *storage)
{
    struct golden golden;
    float *reference, *fast, *chunked;
    double difference;
    size_t n;

    golden_open(&golden, "gqa4");
    n = N_IDS * golden.model.config.n_vocab;
    convert_model(&golden.model, storage);
    reference = logits_of(&golden, UPG_COMPUTE_REFERENCE, UPG_MAX_ROWS);
    fast = logits_of(&golden, UPG_COMPUTE_FAST, UPG_MAX_ROWS);
    chunked = logits_of(&golden, UPG_COMPUTE_FAST, 7);
    difference = relative_difference(reference, fast, n);
    print_message("  %-24s %.1e\n", storage->name, difference);
    assert_true(difference <= storage->tolerance);
    assert_memory_equal(fast, chunked, n * sizeof *fast);
    free(reference);
    free(fast);
    free(chunked);
    golden_close(&golden);
}

static void plain_weights(void **state)
{
    const struct storage cases[] = {
        {.name = "F32", .type = UPG_TYPE_F32, .tolerance = 1e-5},
        {.name = "F32 in parts", .type = UPG_TYPE_F32, .in_parts = true, .tolerance = 1e-5},
        {.name = "F32 at 4 n + 1", .type = UPG_TYPE_F32, .misalign = 1, .tolerance = 1e-5},
        {.name = "F16", .type = UPG_TYPE_F16, .tolerance = 1e-5},
        {.name = "F16 at 2 n + 1", .type = UPG_TYPE_F16, .misalign = 1, .tolerance = 1e-5},
        {.name = "BF16 in parts", .type = UPG_TYPE_BF16, .in_parts = true, .tolerance = 1e-5},
        {.name = "BF16 at 2 n + 1", .type = UPG_TYPE_BF16, .misalign = 1, .tolerance = 1e-5},
        {.name = "I8 rows", .type = UPG_TYPE_I8_ROWS, .tolerance = 1e-5},
        {.name = "I8 rows in parts", .type = UPG_TYPE_I8_ROWS, .in_parts = true, .tolerance = 1e-5},
        {.name = "Q8_0 in parts", .type = UPG_TYPE_Q8_0, .in_parts = true, .tolerance = 1e-5},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

/* The fast path quantizes activations to int8, the reference does not. */
static void packed_weights(void **state)
{
    const struct storage cases[] = {
        {.name = "UPG2", .k = 2, .tolerance = 5e-2},
        {.name = "UPG3", .k = 3, .tolerance = 5e-2},
        {.name = "UPG4 in parts", .k = 4, .in_parts = true, .tolerance = 5e-2},
        {.name = "UPG3, both sides", .k = 3, .output_transform = true, .tolerance = 5e-2},
        {.name = "UPG4, both, in parts",
         .k = 4,
         .output_transform = true,
         .in_parts = true,
         .tolerance = 5e-2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct storage storage = cases[i];

        storage.type = UPG_TYPE_PACKED;
        check(&storage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_weights),
        cmocka_unit_test(packed_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
