/* test_gpu_engine.c -- engines on a GPU: packed models, batches, forks, and what goes wrong. */
#include "unit.h"

#include "codec/random_matrix.h"
#include "engine/golden.h"
#include "gpu/gpu_device.h"
#include "gpu/state.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_IDS = 66 };

/* The model gqa4 with random packed matrices in place of its own, gate and up apart. */
static struct upg_matrix pack(struct upg_arena *arena, size_t n_rows, size_t n_cols, int k,
                              bool output_transform)
{
    struct upg_matrix matrix = {
        .name = "test", .type = UPG_TYPE_PACKED, .n_rows = n_rows, .n_cols = n_cols};

    matrix.packed = random_matrix(arena, k, n_rows, n_cols, output_transform, n_cols + n_rows);
    matrix.packed.seed_in = n_cols; /* parts of a map share it */
    matrix.data = matrix.packed.codes;
    return matrix;
}

static void pack_linear(struct upg_arena *arena, struct upg_linear *linear, size_t first, int k)
{
    const size_t n = linear->n_rows, n_cols = linear->n_cols;

    linear->n_parts = first ? 2 : 1;
    linear->part[0] = pack(arena, first ? first : n, n_cols, k, (first ? first : n) % 128 == 0);
    if (first)
        linear->part[1] = pack(arena, n - first, n_cols, 4, n == 2 * first && first % 128 == 0);
}

static void open_packed(struct golden *golden, size_t n_layers, int embedding_k)
{
    struct upg_model *model;

    golden_open(golden, "gqa4");
    model = &golden->model;
    model->config.n_layers = n_layers;
    model->config.d_ff = n_layers == 1 ? 384 : 224; /* with an output side, and without */
    for (size_t i = 0; i < model->config.n_layers; i++) {
        model->layers[i].gate_up.n_rows = 2 * model->config.d_ff;
        model->layers[i].down.n_cols = model->config.d_ff;
        pack_linear(&model->arena, &model->layers[i].qkv, model->layers[i].o.n_cols, 3);
        pack_linear(&model->arena, &model->layers[i].o, 0, 2);
        pack_linear(&model->arena, &model->layers[i].gate_up, model->config.d_ff, 3);
        pack_linear(&model->arena, &model->layers[i].down, 0, 4);
    }
    pack_linear(&model->arena, &model->head, 0, 4);
    model->embedding =
        pack(&model->arena, model->config.n_vocab, model->config.d_model, embedding_k, false);
}

static upg_engine *new_engine(const struct golden *golden, const char *device, upg_kv_type kv_type)
{
    upg_engine_options options = golden_options();

    options.device = device;
    options.kv_type = kv_type;
    return golden_engine(golden, &options);
}

/* Logits of all of N_IDS tokens in chunks; the caller frees them. */
static float *logits_of(const struct golden *golden, const char *device, upg_kv_type kv_type,
                        size_t chunk_rows)
{
    const size_t n = N_IDS * golden->model.config.n_vocab;
    upg_engine *engine = new_engine(golden, device, kv_type);
    float *copy = malloc(n * sizeof *copy);
    upg_sequence *sequence;
    int32_t ids[N_IDS];
    upg_error err = {0};

    assert_non_null(copy);
    engine->chunk_rows = chunk_rows;
    formula_prompt(ids, N_IDS, 3, golden->model.config.n_vocab);
    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, ids, N_IDS, N_IDS, NULL, NULL, &err), err);
    memcpy(copy, upg_sequence_logits(sequence, NULL), n * sizeof *copy);
    upg_sequence_free(sequence);
    upg_engine_free(engine);
    return copy;
}

/* Root of the mean square of differences, relative to that of a. */
static double relative_difference(const float *a, const float *b, size_t n)
{
    double squares = 0, differences = 0;

    for (size_t i = 0; i < n; i++) {
        squares += (double)a[i] * a[i];
        differences += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    }
    assert_true(squares > 0);
    return sqrt(differences / squares);
}

static void check_packed(size_t n_layers, int embedding_k, double tolerance)
{
    struct golden golden;
    float *cpu, *gpu, *chunked;
    double difference;
    size_t n;

    open_packed(&golden, n_layers, embedding_k);
    n = N_IDS * golden.model.config.n_vocab;
    cpu = logits_of(&golden, "cpu", UPG_KV_F32, UPG_MAX_ROWS);
    gpu = logits_of(&golden, test_gpu(), UPG_KV_F32, UPG_MAX_ROWS);
    chunked = logits_of(&golden, test_gpu(), UPG_KV_F32, n_layers == 1 ? 7 : 1);
    difference = relative_difference(cpu, gpu, n);
    print_message("  %zu layers, embedding of %d bits: %.1e\n", n_layers, embedding_k, difference);
    assert_true(difference <= tolerance);
    assert_memory_equal(gpu, chunked, n * sizeof *gpu);
    free(cpu);
    free(gpu);
    free(chunked);
    golden_close(&golden);
}

/* The CPU sums norms in float64, so now and then an activation is rounded to another code here, and
 * the random weights of the next layer make much of that. */
static void packed_model_gives_the_logits_of_the_cpu(void **state)
{
    (void)state;
    for (int k = 2; k <= 4; k++)
        check_packed(1, k, 1e-2);
    check_packed(2, 3, 5e-2);
}

/* Steps of all sizes give the same bits, in caches of codes as well, whose open blocks a step reads and
 * replaces. */
static void coded_caches_give_the_logits_of_the_cpu(void **state)
{
    const struct {
        upg_kv_type type;
        double tolerance;
        size_t rows; /* of a step */
    } cases[] = {{UPG_KV_Q8, 1e-2, 1}, {UPG_KV_Q4, 2e-2, 13}};
    struct golden golden;
    float *cpu, *gpu, *chunked;
    size_t n;

    (void)state;
    golden_open(&golden, "gqa4");
    n = N_IDS * golden.model.config.n_vocab;
    for (size_t i = 0; i < 2; i++) {
        double difference;

        cpu = logits_of(&golden, "cpu", cases[i].type, UPG_MAX_ROWS);
        gpu = logits_of(&golden, test_gpu(), cases[i].type, UPG_MAX_ROWS);
        difference = relative_difference(cpu, gpu, n);
        print_message("  type %d: %.1e\n", (int)cases[i].type, difference);
        assert_true(difference <= cases[i].tolerance);
        chunked = logits_of(&golden, test_gpu(), cases[i].type, cases[i].rows);
        assert_memory_equal(gpu, chunked, n * sizeof *gpu);
        free(chunked);
        free(cpu);
        free(gpu);
    }
    golden_close(&golden);
}

/* ---- A model that is divided between CPU and GPU ---- */

/* Chunks of a prompt, single tokens and a fork beside them: all logits that come of it. */
static void exercise(const struct golden *golden, upg_engine *engine, float *logits)
{
    const size_t n_vocab = golden->model.config.n_vocab;
    struct upg_share shares[2] = {{.n_rows = 1, .n_logits = 1}, {.n_rows = 1, .n_logits = 1}};
    upg_sequence *a, *b;
    int32_t ids[N_IDS];
    upg_error err = {0};

    formula_prompt(ids, N_IDS, 3, n_vocab);
    engine->chunk_rows = 25;
    assert_ok(upg_sequence_new(&a, engine, &err), err);
    assert_ok(upg_sequence_append(a, ids, N_IDS, N_IDS, NULL, NULL, &err), err);
    memcpy(logits, upg_sequence_logits(a, NULL), N_IDS * n_vocab * sizeof *logits);
    assert_ok(upg_sequence_append(a, ids, 1, 0, NULL, NULL, &err), err); /* no head */
    assert_ok(upg_sequence_fork(&b, a, &err), err);
    shares[0].sequence = a;
    shares[1].sequence = b;
    upg_sequence_push(a, 7);
    upg_sequence_push(b, 8);
    assert_ok(upg_engine_step(engine, shares, 2, logits + N_IDS * n_vocab, &err), err);
    upg_sequence_free(b);
    upg_sequence_free(a);
}

static void check_divided(upg_kv_type kv_type, size_t least, double tolerance)
{
    struct golden golden;
    size_t n, n_layers;
    float *cpu, *gpu;
    upg_engine *engine;

    golden_open(&golden, "gqa4");
    n_layers = golden.model.config.n_layers;
    assert_true(n_layers >= 3);
    n = (N_IDS + 2) * golden.model.config.n_vocab;
    cpu = malloc(n * sizeof *cpu);
    gpu = malloc(n * sizeof *gpu);
    assert_true(cpu && gpu);
    engine = new_engine(&golden, "cpu", kv_type);
    exercise(&golden, engine, cpu);
    upg_engine_free(engine);
    for (size_t n_gpu = least; n_gpu <= n_layers; n_gpu++) {
        upg_engine_options options = golden_options();
        double difference;
        char text[32];

        options.device = test_gpu();
        options.kv_type = kv_type;
        options.gpu_layers = n_gpu;
        engine = golden_engine(&golden, &options);
        snprintf(text, sizeof text, "%zu of %zu layers", n_gpu, n_layers);
        assert_int_equal(strncmp(upg_engine_tier(engine), text, strlen(text)) == 0,
                         n_gpu < n_layers);
        exercise(&golden, engine, gpu);
        difference = relative_difference(cpu, gpu, n);
        print_message("  %zu layers there: %.1e\n", n_gpu, difference);
        assert_true(difference <= tolerance);
        upg_engine_free(engine);
    }
    free(cpu);
    free(gpu);
    golden_close(&golden);
}

/* Float32 throughout: CPU and GPU differ by the order of sums.  In a cache of codes now and then a value
 * gets another code; each has open blocks for its layers. */
static void layers_can_be_divided(void **state)
{
    (void)state;
    check_divided(UPG_KV_F32, 0, 1e-5);
    check_divided(UPG_KV_Q8, 2, 1e-2);
}

static void as_many_layers_as_fit(void **state)
{
    struct upg_kv_cache cache = {.blocks = {.n_blocks = 2}, .block_bytes = 3 * 1000};
    struct golden golden;
    struct upg_backend_setup setup;
    struct upg_gpu *gpu;
    uint64_t layer_bytes, least;
    upg_error err = {0};

    (void)state;
    golden_open(&golden, "gqa4"); /* bf16 */
    setup = (struct upg_backend_setup){.model = &golden.model, .cache = &cache};
    layer_bytes = 2 * 1000 + 2 * (512 * 768 + 512 * 512 + 3 * 512 * 224);
    least = 500000000 + 2 * 512 * 320;
    assert_ok(upg_gpu_open(&gpu, test_gpu(), &err), err);
    for (uint64_t n = 0; n < 3; n++) {
        gpu->device.limits.local_bytes = least + (n + 1) * layer_bytes - 1;
        assert_int_equal(upg_gpu_layers_with_room(gpu, &setup), n);
    }
    gpu->device.limits.local_bytes = least + 3 * layer_bytes + 2 * 512 * 320 - 1;
    assert_int_equal(upg_gpu_layers_with_room(gpu, &setup), 2); /* the embedding does not */
    gpu->device.limits.local_bytes++;
    assert_int_equal(upg_gpu_layers_with_room(gpu, &setup), 3);
    gpu->device.limits.local_bytes = 1;
    assert_int_equal(upg_gpu_layers_with_room(gpu, &setup), 0);
    upg_gpu_close(gpu);
    golden_close(&golden);
}

/* A fork writes into a block that it shares, which is copied in the device's memory first. */
static void check_forks(upg_kv_type kv_type)
{
    const int32_t prompt[3] = {5, 6, 7}, one = 8, other = 9;
    struct golden golden;
    upg_engine *engine;
    upg_sequence *a, *b;
    float *expected;
    size_t n_bytes;
    upg_error err = {0};

    golden_open(&golden, "gqa4");
    n_bytes = golden.model.config.n_vocab * sizeof *expected;
    expected = malloc(n_bytes);
    assert_non_null(expected);
    engine = new_engine(&golden, test_gpu(), kv_type);
    for (size_t i = 0; i < 2; i++) { /* 0: alone; 1: beside a fork */
        assert_ok(upg_sequence_new(&a, engine, &err), err);
        assert_ok(upg_sequence_append(a, prompt, 3, 0, NULL, NULL, &err), err);
        assert_ok(upg_sequence_fork(&b, a, &err), err);
        if (i == 1)
            assert_ok(upg_sequence_append(b, &other, 1, 1, NULL, NULL, &err), err);
        assert_ok(upg_sequence_append(a, &one, 1, 0, NULL, NULL, &err), err);
        assert_ok(upg_sequence_append(a, &one, 1, 1, NULL, NULL, &err), err);
        if (i == 0)
            memcpy(expected, upg_sequence_logits(a, NULL), n_bytes);
        else
            assert_memory_equal(expected, upg_sequence_logits(a, NULL), n_bytes);
        upg_sequence_free(b);
        upg_sequence_free(a);
    }
    upg_engine_free(engine);
    free(expected);
    golden_close(&golden);
}

static void forks_do_not_see_each_other(void **state)
{
    (void)state;
    check_forks(UPG_KV_F32);
    check_forks(UPG_KV_Q8); /* the open blocks are copied as well */
}

/* Logits of a token by an engine of its own. */
static void fill_with_logits(const struct golden *golden, float *logits)
{
    upg_engine *engine = new_engine(golden, test_gpu(), UPG_KV_F32);
    const int32_t id = 5;
    upg_sequence *sequence;
    upg_error err = {0};

    assert_ok(upg_sequence_new(&sequence, engine, &err), err);
    assert_ok(upg_sequence_append(sequence, &id, 1, 1, NULL, NULL, &err), err);
    memcpy(logits, upg_sequence_logits(sequence, NULL),
           golden->model.config.n_vocab * sizeof *logits);
    upg_sequence_free(sequence);
    upg_engine_free(engine);
}

/* The only file of a folder. */
static void find_only_file(const char *folder, char path[512])
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.') {
            snprintf(path, 512, "%s/%s", folder, entry->d_name);
            n++;
        }
    closedir(dir);
    assert_int_equal(n, 1);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static void compiled_programs_are_kept(void **state)
{
    char cache[] = "/tmp/upg-test-XXXXXX", folder[64], path[512];
    float *first, *second;
    struct golden golden;
    FILE *file;
    size_t n_bytes;

    (void)state;
    golden_open(&golden, "gqa4");
    n_bytes = golden.model.config.n_vocab * sizeof *first;
    first = malloc(n_bytes);
    second = malloc(n_bytes);
    assert_true(first && second && mkdtemp(cache) != NULL);
    snprintf(folder, sizeof folder, "%s/upg", cache);
    setenv("XDG_CACHE_HOME", cache, 1);
    fill_with_logits(&golden, first);
    find_only_file(folder, path);
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_not_equal(fgetc(file), EOF);
    rewind(file);
    assert_int_equal(fputs("not a header of a driver", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    fill_with_logits(&golden, second); /* what is not its own, a driver drops */
    assert_memory_equal(first, second, n_bytes);
    assert_int_equal(nftw(cache, remove_entry, 8, FTW_DEPTH | FTW_PHYS),
                     0); /* drivers' files, too */
    free(first);
    free(second);
    golden_close(&golden);
}

static void refusals_say_why(void **state)
{
    const struct {
        const char *device;
        upg_kv_type kv_type;
        upg_compute compute;
        upg_status status;
        const char *part;
    } cases[] = {
        {"gpu:99", UPG_KV_F16, UPG_COMPUTE_FAST, UPG_ERR_ARGUMENT, "this machine has"},
        {"gpu:", UPG_KV_F16, UPG_COMPUTE_FAST, UPG_ERR_ARGUMENT, "neither"},
        {"gpu:1x", UPG_KV_F16, UPG_COMPUTE_FAST, UPG_ERR_ARGUMENT, "neither"},
        {"tpu", UPG_KV_F16, UPG_COMPUTE_FAST, UPG_ERR_ARGUMENT, "'tpu'"},
        {test_gpu(), UPG_KV_F16, UPG_COMPUTE_REFERENCE, UPG_ERR_ARGUMENT, "the reference"},
    };
    struct golden golden;

    (void)state;
    golden_open(&golden, "gqa4");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upg_engine_options options = golden_options();
        upg_engine *engine;
        upg_error err = {0};

        options.device = cases[i].device;
        options.kv_type = cases[i].kv_type;
        options.compute = cases[i].compute;
        assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), cases[i].status, err,
                     cases[i].part);
    }
    golden_close(&golden);
}

/* The loader reads the variables whenever an instance is made. */
static void without_a_driver_auto_takes_the_cpu(void **state)
{
    struct golden golden;
    upg_engine_options options = golden_options();
    upg_engine *engine;
    upg_error err = {0};

    (void)state;
    setenv("VK_ICD_FILENAMES", "/nowhere.json", 1);
    setenv("VK_DRIVER_FILES", "/nowhere.json", 1);
    golden_open(&golden, "gqa4");
    golden.model.n_file_bytes = UINT64_C(1) << 30; /* as if it were worth a GPU */
    options.device = "gpu";
    assert_fails(upg_engine_new(&engine, &golden.model, &options, &err), UPG_ERR_UNSUPPORTED, err,
                 "driver");
    options.device = "auto";
    assert_ok(upg_engine_new(&engine, &golden.model, &options, &err), err);
    assert_null(engine->gpu);
    upg_engine_free(engine);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_model_gives_the_logits_of_the_cpu),
        cmocka_unit_test(coded_caches_give_the_logits_of_the_cpu),
        cmocka_unit_test(layers_can_be_divided),
        cmocka_unit_test(as_many_layers_as_fit),
        cmocka_unit_test(forks_do_not_see_each_other),
        cmocka_unit_test(compiled_programs_are_kept),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(without_a_driver_auto_takes_the_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
