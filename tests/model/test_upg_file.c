/* .upg files: what is written is read back, damage is found, and lies are refused. */
#include "unit.h"

#include "base/random.h"
#include "model/folder.h"
#include "model/hf_builder.h"
#include "model/slots.h"
#include "model/upg_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- A model with every type that a file can hold ---- */

/* A model that was read, and the memory that its changed matrices point into. */
struct mixed {
    upg_model *model;
    int8_t weights[8 * 16];
    float scales[8];
    uint8_t *codes;
    uint16_t row_scale[128];
    float gain[1];
    float norm[16]; /* of values that are no bfloat16 */
};

/* Layer 0's k becomes 8-bit rows and its down packed with 3 bits; the rest is BF16. */
static void mix(struct mixed *mixed, const char *folder)
{
    struct hf_builder b;
    struct upg_random random = {.state = 5};
    struct upg_matrix *k, *down;
    upg_error err;

    hf_build(&b, "LlamaForCausalLM", "BF16", false, 1);
    hf_set_value(hf_tensor(&b, "model.norm.weight"), 3, 1);
    hf_write(&b, folder);
    hf_clear(&b);
    assert_ok(upg_model_open(&mixed->model, folder, NULL, &err), err);
    k = &mixed->model->layers[0].qkv.part[1];
    for (size_t i = 0; i < sizeof mixed->weights; i++)
        mixed->weights[i] = (int8_t)upg_random_u64(&random);
    for (size_t i = 0; i < 8; i++)
        mixed->scales[i] = (float)(i + 1) / 1000;
    k->type = UPG_TYPE_I8_ROWS;
    k->data = mixed->weights;
    k->n_bytes = sizeof mixed->weights;
    k->row_scale = mixed->scales;

    for (size_t i = 0; i < 16; i++)
        mixed->norm[i] = 1 / (float)(i + 3);
    mixed->model->layers[1].mlp_norm = mixed->norm;

    down = &mixed->model->layers[0].down.part[0];
    assert_true(upg_packed_code_bytes(3, down->n_rows, down->n_cols, &down->n_bytes));
    mixed->codes = malloc(down->n_bytes);
    assert_non_null(mixed->codes);
    for (size_t i = 0; i < down->n_bytes; i++)
        mixed->codes[i] = (uint8_t)upg_random_u64(&random);
    for (size_t i = 0; i < down->n_rows; i++)
        mixed->row_scale[i] = 0x3C00; /* 1 */
    mixed->gain[0] = 0.25f;
    down->type = UPG_TYPE_PACKED;
    down->data = mixed->codes;
    down->packed = (struct upg_packed){.k = 3,
                                       .n_rows = down->n_rows,
                                       .n_cols = down->n_cols,
                                       .padded_rows = 128,
                                       .padded_cols = 64,
                                       .codes = mixed->codes,
                                       .row_scale = mixed->row_scale,
                                       .gain = mixed->gain,
                                       .seed_in = 0x0123456789ABCDEF,
                                       .seed_out = UINT64_MAX,
                                       .has_output_transform = true};
}

static void unmix(struct mixed *mixed)
{
    upg_model_free(mixed->model);
    free(mixed->codes);
}

/* Write the mixed model to folder/m.upg; path[FOLDER_PATH] receives the name. */
static void write_mixed(struct mixed *mixed, const char *folder, char *path)
{
    json_t *provenance = json_pack("{s:s}", "command", "a \"test\"");
    json_t *quality = json_pack("{s:f}", "kld_mean", 0.25);
    upg_error err;

    memset(mixed, 0, sizeof *mixed);
    mix(mixed, folder);
    assert_ok(upg_model_write(mixed->model, folder_path(path, folder, "m.upg"), provenance, quality,
                              NULL, &err),
              err);
    json_decref(provenance);
    json_decref(quality);
}

static void assert_same_rows(const struct upg_matrix *a, const struct upg_matrix *b)
{
    float x[64], y[64];
    float *scratch = malloc((upg_packed_row_scratch(&b->packed) + 1) * sizeof *scratch);

    assert_non_null(scratch);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->n_cols, b->n_cols);
    assert_true(a->n_cols <= 64);
    for (size_t r = 0; r < a->n_rows; r++) {
        upg_matrix_rows(a, r, 1, x, scratch);
        upg_matrix_rows(b, r, 1, y, scratch);
        assert_memory_equal(x, y, a->n_cols * sizeof *x);
    }
    free(scratch);
}

static void assert_same_model(const upg_model *a, const upg_model *b)
{
    assert_int_equal(upg_n_slots(&a->config), upg_n_slots(&b->config));
    for (size_t i = 0; i < upg_n_slots(&a->config); i++) {
        const struct upg_slot x = upg_slot_of(a, i), y = upg_slot_of(b, i);
        assert_int_equal(upg_slot_n_parts(&x), upg_slot_n_parts(&y));
        for (size_t p = 0; p < upg_slot_n_parts(&x); p++)
            assert_same_rows(&x.parts[p], &y.parts[p]);
    }
    for (size_t i = 0; i < upg_n_norms(&a->config); i++)
        assert_memory_equal(*upg_norm_of(a, i).values, *upg_norm_of(b, i).values,
                            a->config.d_model * sizeof(float));
    assert_int_equal(a->stop_ids.n, b->stop_ids.n);
    assert_memory_equal(a->stop_ids.ids, b->stop_ids.ids, a->stop_ids.n * sizeof(int32_t));
}

/* ---- Writing and reading ---- */

static void written_model_is_read_back(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH], expected[256];
    upg_model *model;
    upg_model_info info;
    upg_error err;

    write_mixed(&mixed, *state, path);
    assert_ok(upg_model_open(&model, path, NULL, &err), err);
    assert_same_model(mixed.model, model);
    assert_ok(upg_verify(path, NULL, &err), err);
    upg_model_get_info(model, &info);
    assert_string_equal(info.format, "upg");
    snprintf(expected, sizeof expected,
             "{\"provenance\":{\"command\":\"a \\\"test\\\"\",\"version\":\"%s\"},"
             "\"quality\":{\"kld_mean\":0.25}}",
             upg_version());
    assert_string_equal(info.metadata_json, expected);
    assert_string_equal(model->layers[0].qkv.part[1].name, "model.layers.0.self_attn.qkv_proj.k");
    assert_string_equal(model->layers[1].gate_up.part[1].name,
                        "model.layers.1.mlp.gate_up_proj.up");
    assert_string_equal(model->layers[0].down.part[0].name, "model.layers.0.mlp.down_proj");
    assert_true(model->layers[0].down.part[0].packed.seed_in == 0x0123456789ABCDEF);
    assert_true(model->layers[0].down.part[0].packed.seed_out == UINT64_MAX);
    upg_model_free(model);
    unmix(&mixed);
}

static void tensors_are_listed_with_types_and_bits(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    upg_model *model;
    upg_error err;
    size_t n_i8 = 0, n_packed = 0, n_bf16 = 0, n_f32 = 0;

    write_mixed(&mixed, *state, path);
    assert_ok(upg_model_open(&model, path, NULL, &err), err);
    for (size_t i = 0; i < upg_model_n_tensors(model); i++) {
        upg_tensor_info info;
        assert_ok(upg_model_get_tensor(model, i, &info, &err), err);
        if (strcmp(info.type, "I8 rows") == 0) {
            n_i8++;
            assert_int_equal(info.n_bytes, 8 * 16 + 8 * 4);
            assert_true(info.bits == 10);
        } else if (strcmp(info.type, "UPG3") == 0) {
            n_packed++;
            assert_int_equal(info.shape[0], 16);
            assert_int_equal(info.n_bytes, 128 * 64 * 3 / 8 + 128 * 2 + 4);
        } else if (strcmp(info.type, "F32") == 0) {
            n_f32++;
            assert_string_equal(info.name, "model.layers.1.post_attention_layernorm.weight");
        } else {
            n_bf16++;
            assert_string_equal(info.type, "BF16");
        }
    }
    assert_int_equal(n_i8, 1);
    assert_int_equal(n_packed, 1);
    assert_int_equal(n_bf16, 1 + 2 * 7 - 2 + 1 + 4); /* matrices that stayed, norms */
    assert_int_equal(n_f32, 1);
    upg_model_free(model);
    unmix(&mixed);
}

/* Reading does not depend on where the bytes come from; embedded ones are in memory. */
static void bytes_in_memory_are_read_like_a_file(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    struct upg_model model = {0};
    upg_error err;
    size_t n;
    unsigned char *bytes;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    assert_ok(upg_read_upg_bytes(&model, "memory", bytes, n, &err), err);
    assert_same_model(mixed.model, &model);
    assert_string_equal(model.path, "memory");
    upg_tokens_clear(&model.stop_ids);
    upg_arena_clear(&model.arena);
    free(bytes);
    unmix(&mixed);
}

static void writing_twice_gives_the_same_bytes(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH], again[FOLDER_PATH];
    upg_model *model;
    upg_error err;
    size_t n, n_again;
    unsigned char *bytes, *bytes_again;
    json_t *metadata, *provenance, *quality;

    write_mixed(&mixed, *state, path);
    assert_ok(upg_model_open(&model, path, NULL, &err), err);
    metadata = json_loads(model->metadata_json, 0, NULL);
    provenance = json_object_get(metadata, "provenance");
    json_object_del(provenance, "version"); /* the writer's */
    quality = json_object_get(metadata, "quality");
    assert_ok(upg_model_write(model, folder_path(again, *state, "again.upg"), provenance, quality,
                              NULL, &err),
              err);
    bytes = folder_read(path, &n);
    bytes_again = folder_read(again, &n_again);
    assert_int_equal(n, n_again);
    assert_memory_equal(bytes, bytes_again, n);
    free(bytes);
    free(bytes_again);
    json_decref(metadata);
    upg_model_free(model);
    unmix(&mixed);
}

static void sources_are_hashed(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    json_t *sources, *source;
    upg_error err;

    write_mixed(&mixed, *state, path);
    assert_ok(upg_model_sources(mixed.model, &sources, NULL, &err), err);
    assert_int_equal(json_array_size(sources), 1);
    source = json_array_get(sources, 0);
    assert_string_equal(json_string_value(json_object_get(source, "file")), "model.safetensors");
    assert_int_equal(json_integer_value(json_object_get(source, "bytes")),
                     mixed.model->maps->n_bytes);
    assert_int_equal(json_string_length(json_object_get(source, "xxh3")), 16);
    json_decref(sources);
    unmix(&mixed);
}

/* ---- The writer refuses what would not be read ---- */

static void assert_only(const char *folder, const char *name, bool exists)
{
    char path[FOLDER_PATH], part[FOLDER_PATH + 8];

    snprintf(part, sizeof part, "%s.part", folder_path(path, folder, name));
    assert_int_equal(access(path, F_OK) == 0, exists);
    assert_int_equal(access(part, F_OK), -1);
}

static void writer_keeps_to_its_outline(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    struct upg_writer *writer;
    upg_error err;

    write_mixed(&mixed, *state, path);
    folder_path(path, *state, "out.upg");
    assert_ok(upg_writer_open(&writer, path, mixed.model, 0, &err), err);
    assert_int_equal(upg_writer_n_matrices(writer), 1 + 2 * 7 + 1);
    assert_string_equal(upg_writer_outline(writer, 0)->name, "model.embed_tokens");
    assert_fails(upg_writer_matrix(writer, mixed.model->layers[0].down.part, &err),
                 UPG_ERR_INTERNAL, err, "matrix 0 is not the one announced");
    assert_ok(upg_writer_matrix(writer, &mixed.model->embedding, &err), err);
    assert_fails(upg_writer_commit(writer, NULL, NULL, &err), UPG_ERR_INTERNAL, err,
                 "is not complete");
    assert_only(*state, "out.upg", false);

    assert_ok(upg_writer_open(&writer, path, mixed.model, 0, &err), err);
    upg_writer_discard(writer);
    assert_only(*state, "out.upg", false);
    unmix(&mixed);
}

static void file_has_the_size_that_was_announced(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    struct upg_writer *writer;
    upg_error err;
    uint64_t n_bytes;
    size_t n;

    write_mixed(&mixed, *state, path);
    assert_ok(
        upg_writer_open(&writer, folder_path(path, *state, "out.upg"), mixed.model, 1000, &err),
        err);
    n_bytes = upg_writer_n_bytes(writer);
    for (size_t i = 0; i < upg_n_slots(&mixed.model->config); i++) {
        const struct upg_slot slot = upg_slot_of(mixed.model, i);
        for (size_t p = 0; p < upg_slot_n_parts(&slot); p++)
            assert_ok(upg_writer_matrix(writer, &slot.parts[p], &err), err);
    }
    assert_ok(upg_writer_commit(writer, NULL, NULL, &err), err);
    assert_only(*state, "out.upg", true);
    free(folder_read(path, &n));
    assert_int_equal(n, n_bytes);
    unmix(&mixed);
}

static void metadata_beyond_the_reserve_fails_cleanly(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH], text[4096];
    struct upg_writer *writer;
    json_t *quality;
    upg_error err;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    quality = json_pack("{s:s}", "text", text);
    write_mixed(&mixed, *state, path);
    assert_ok(upg_writer_open(&writer, folder_path(path, *state, "out.upg"), mixed.model, 64, &err),
              err);
    for (size_t i = 0; i < upg_n_slots(&mixed.model->config); i++) {
        const struct upg_slot slot = upg_slot_of(mixed.model, i);
        for (size_t p = 0; p < upg_slot_n_parts(&slot); p++)
            assert_ok(upg_writer_matrix(writer, &slot.parts[p], &err), err);
    }
    assert_fails(upg_writer_commit(writer, NULL, quality, &err), UPG_ERR_ARGUMENT, err,
                 "were reserved");
    assert_only(*state, "out.upg", false);
    json_decref(quality);
    unmix(&mixed);
}

static void types_that_files_do_not_hold_are_refused(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    upg_error err;

    write_mixed(&mixed, *state, path);
    mixed.model->layers[1].o.part[0].type = UPG_TYPE_Q4_0;
    assert_fails(
        upg_model_write(mixed.model, folder_path(path, *state, "out.upg"), NULL, NULL, NULL, &err),
        UPG_ERR_UNSUPPORTED, err, "o_proj is of type Q4_0");
    assert_only(*state, "out.upg", false);
    assert_fails(upg_model_write(mixed.model, "/nowhere/at/all.upg", NULL, NULL, NULL, &err),
                 UPG_ERR_UNSUPPORTED, err, "o_proj");
    mixed.model->layers[1].o.part[0].type = UPG_TYPE_BF16;
    assert_fails(upg_model_write(mixed.model, "/nowhere/at/all.upg", NULL, NULL, NULL, &err),
                 UPG_ERR_IO, err, "cannot create");
    unmix(&mixed);
}

/* ---- Damage ---- */

/* One bit anywhere is found by upg_verify(); the tensor is named when it is in one. */
static void flipped_bits_are_found_everywhere(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n, header;
    unsigned char *bytes;
    upg_error err;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    header = 8 + bytes[0] + ((size_t)bytes[1] << 8);
    for (size_t i = 0; i < n; i += i < header ? 13 : 97) {
        bytes[i] ^= (unsigned char)(1u << (i % 8));
        folder_write(*state, "m.upg", bytes, n);
        assert_int_not_equal(upg_verify(path, NULL, &err), UPG_OK);
        if (i >= header)
            assert_non_null(strstr(err.message, ": tensor "));
        bytes[i] ^= (unsigned char)(1u << (i % 8));
    }
    bytes[header + 1] ^= 1; /* the first norm */
    folder_write(*state, "m.upg", bytes, n);
    assert_fails(upg_verify(path, NULL, &err), UPG_ERR_FORMAT, err,
                 "tensor model.layers.0.input_layernorm.weight: is damaged");
    free(bytes);
    unmix(&mixed);
}

static void every_truncation_is_refused(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n;
    unsigned char *bytes;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    for (size_t cut = 0; cut < n; cut += cut < 16 || n - cut < 64 ? 1 : 61) {
        upg_model *model;
        upg_error err;
        folder_write(*state, "m.upg", bytes, cut);
        assert_int_equal(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT);
    }
    folder_write(*state, "m.upg", bytes, n - 1);
    free(bytes);
    unmix(&mixed);
}

static void values_that_are_not_finite_are_refused(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    upg_model *model;
    upg_error err;

    write_mixed(&mixed, *state, path);
    mixed.row_scale[3] = 0x7C00; /* infinity */
    assert_ok(upg_model_write(mixed.model, path, NULL, NULL, NULL, &err), err);
    assert_fails(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT, err,
                 "down_proj: a row scale is not finite");
    mixed.row_scale[3] = 0;
    mixed.gain[0] = -INFINITY;
    assert_ok(upg_model_write(mixed.model, path, NULL, NULL, NULL, &err), err);
    assert_fails(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT, err,
                 "down_proj: value 0 is not finite");
    mixed.gain[0] = 1;
    mixed.scales[7] = NAN;
    assert_ok(upg_model_write(mixed.model, path, NULL, NULL, NULL, &err), err);
    assert_fails(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT, err,
                 "qkv_proj.k: value 7 is not finite");
    unmix(&mixed);
}

/* ---- Headers that lie ---- */

/* Replace the header of a file by `header`, with the padding that `align` asks for. */
static void write_header(const char *folder, const unsigned char *bytes, size_t n,
                         const json_t *header, size_t align)
{
    const size_t old = 8 + bytes[0] + ((size_t)bytes[1] << 8);
    char *text = json_dumps(header, JSON_COMPACT);
    const size_t length = (8 + strlen(text) + align - 1) / align * align - 8;
    char *out = malloc(8 + length + n - old + 1);

    assert_non_null(out);
    snprintf(out + 8, length + 1, "%-*s", (int)length, text);
    for (size_t i = 0; i < 8; i++)
        out[i] = (char)(length >> (8 * i));
    memcpy(out + 8 + length, bytes + old, n - old);
    folder_write(folder, "m.upg", out, 8 + length + n - old);
    free(out);
    free(text);
}

static json_t *read_header(const unsigned char *bytes)
{
    const size_t length = bytes[0] + ((size_t)bytes[1] << 8);
    json_t *header = json_loadb((const char *)bytes + 8, length, 0, NULL);

    assert_non_null(header);
    return header;
}

#define QKV "model.layers.0.self_attn.qkv_proj"
#define DOWN "model.layers.0.mlp.down_proj"
#define UNUSED "\"type\":\"bf16\",\"rows\":16"

/* where: "" is __metadata__ itself, "config" and "matrices" are the objects in its strings, and
 * "tensor" is the header, where [key] is renamed to value. */
static const struct {
    const char *where, *key, *value; /* JSON text; NULL: removed */
    upg_status status;
    const char *message;
} lies[] = {
    {"", "upg", NULL, UPG_ERR_FORMAT, "without the metadata of a .upg file"},
    {"", "upg", "\"2\"", UPG_ERR_UNSUPPORTED, "format version 2"},
    {"", "upg", "\"\"", UPG_ERR_UNSUPPORTED, "format version"},
    {"", "config", NULL, UPG_ERR_FORMAT, "config: is missing"},
    {"", "config", "\"[]\"", UPG_ERR_FORMAT, "config: must be an object"},
    {"", "config", "\"{\"", UPG_ERR_FORMAT, "config: not valid JSON"},
    {"", "matrices", NULL, UPG_ERR_FORMAT, "matrices: is missing"},
    {"", "matrices", "\"{}\"", UPG_ERR_FORMAT, "must be a list of 1 to 1 parts"},
    {"", "provenance", "\"7\"", UPG_ERR_FORMAT, "provenance"},
    {"", "quality", "\"{]\"", UPG_ERR_FORMAT, "quality: not valid JSON"},
    {"config", "architectures", "[\"GPT2\"]", UPG_ERR_UNSUPPORTED, "GPT2"},
    {"config", "sliding_window", "7", UPG_ERR_UNSUPPORTED, "sliding_window"},
    {"config", "hidden_size", "32", UPG_ERR_FORMAT, "must be F32 or BF16 [32]"},
    {"config", "vocab_size", "33", UPG_ERR_FORMAT, "parts have 32 rows, the config needs 33"},
    {"config", "vocab_size", "31", UPG_ERR_FORMAT, "rows: is 32, must be 1 .. 31"},
    {"config", "num_hidden_layers", "3", UPG_ERR_FORMAT,
     "layers.2.input_layernorm.weight: is missing"},
    {"config", "eos_token_id", "[32]", UPG_ERR_FORMAT, "32 is not in the vocabulary"},
    {"matrices", "model.embed_tokens", NULL, UPG_ERR_FORMAT, "1 to 1 parts, it has 0"},
    {"matrices", "model.embed_tokens", "{}", UPG_ERR_FORMAT, "1 to 1 parts"},
    {"matrices", "model.embed_tokens", "[7]", UPG_ERR_FORMAT, "rows: is missing"},
    {"matrices", "model.embed_tokens", "[{" UNUSED "},{" UNUSED "}]", UPG_ERR_FORMAT, "it has 2"},
    {"matrices", "lm_head", "[{" UNUSED "},{" UNUSED "},{" UNUSED "},{" UNUSED "}]", UPG_ERR_FORMAT,
     "1 to 3 parts, it has 4"},
    {"matrices", "lm_head", "[{\"type\":\"upg9\",\"rows\":32}]", UPG_ERR_UNSUPPORTED, "type upg9"},
    {"matrices", "lm_head", "[{\"type\":7,\"rows\":32}]", UPG_ERR_FORMAT, "type: must be a string"},
    {"matrices", "lm_head", "[{\"rows\":32}]", UPG_ERR_FORMAT, "type: is missing"},
    {"matrices", "lm_head", "[{\"type\":\"f32\",\"rows\":32}]", UPG_ERR_FORMAT,
     "must be F32 [32, 16]"},
    {"matrices", "lm_head", "[{\"type\":\"i8\",\"rows\":32}]", UPG_ERR_FORMAT,
     "must be I8 [32, 16]"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":0}]", UPG_ERR_FORMAT, "rows: is 0"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":-1}]", UPG_ERR_FORMAT, "rows: is -1"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":16}]", UPG_ERR_FORMAT,
     "must be BF16 [16, 16]"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"part\":\"\"}]", UPG_ERR_FORMAT,
     "part: must be 1 to 16"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"part\":\"a.b\"}]", UPG_ERR_FORMAT,
     "part: must be 1 to 16"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"part\":\"aaaaaaaaaaaaaaaaa\"}]",
     UPG_ERR_FORMAT, "part: must be 1 to 16"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"part\":7}]", UPG_ERR_FORMAT, "part"},
    {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"part\":\"q\"}]", UPG_ERR_FORMAT,
     "tensor lm_head.q.weight: is missing"},
    {"matrices", QKV,
     "[{\"type\":\"bf16\",\"rows\":16,\"part\":\"q\"},{\"type\":\"bf16\",\"rows\":16,\"part\":"
     "\"q\"}]",
     UPG_ERR_FORMAT, "belongs to two matrices"},
    {"matrices", DOWN, "[{\"type\":\"upg3\",\"rows\":16}]", UPG_ERR_FORMAT, "seed_in: must be 16"},
    {"matrices", DOWN, "[{\"type\":\"upg3\",\"rows\":16,\"seed_in\":\"0123456789ABCDEF\"}]",
     UPG_ERR_FORMAT, "seed_in: must be 16"},
    {"matrices", DOWN, "[{\"type\":\"upg3\",\"rows\":16,\"seed_in\":\"123\"}]", UPG_ERR_FORMAT,
     "seed_in: must be 16"},
    {"matrices", DOWN,
     "[{\"type\":\"upg3\",\"rows\":16,\"seed_in\":\"0123456789abcdef\",\"seed_out\":null}]",
     UPG_ERR_FORMAT, "seed_out: must be 16"},
    {"matrices", DOWN, "[{\"type\":\"upg2\",\"rows\":16,\"seed_in\":\"0123456789abcdef\"}]",
     UPG_ERR_FORMAT, "must be U8 [2048"},
    {"matrices", DOWN, "[{\"type\":\"upg4\",\"rows\":16,\"seed_in\":\"0123456789abcdef\"}]",
     UPG_ERR_FORMAT, "must be U8 [4096"},
    {"tensor", DOWN ".gain", "\"other\"", UPG_ERR_FORMAT, "down_proj.gain: is missing"},
    {"tensor", DOWN ".row_scale", "\"other\"", UPG_ERR_FORMAT, "down_proj.row_scale: is missing"},
    {"tensor", DOWN ".codes", "\"other\"", UPG_ERR_FORMAT, "down_proj.codes: is missing"},
    {"tensor", QKV ".k.row_scale", "\"other\"", UPG_ERR_FORMAT, "k.row_scale: is missing"},
    {"tensor", "model.norm.weight", "\"other\"", UPG_ERR_FORMAT, "model.norm.weight: is missing"},
    {"tensor", "model.norm.weight", "\"pad.norm\"", UPG_ERR_FORMAT,
     "model.norm.weight: is missing"},
    {"tensor", DOWN ".codes", "\"tokenizer\"", UPG_ERR_FORMAT, "down_proj.codes: is missing"},
};

static void set_or_remove(json_t *object, const char *key, const char *value)
{
    if (value)
        json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(object, key);
}

static void apply_lie(json_t *header, const char *where, const char *key, const char *value)
{
    json_t *metadata = json_object_get(header, "__metadata__"), *inner;
    char *text;

    if (*where == '\0') {
        set_or_remove(metadata, key, value);
    } else if (strcmp(where, "tensor") == 0) {
        json_t *name = json_loads(value, JSON_DECODE_ANY, NULL);
        json_object_set(header, json_string_value(name), json_object_get(header, key));
        json_object_del(header, key);
        json_decref(name);
    } else {
        inner = json_loads(json_string_value(json_object_get(metadata, where)), 0, NULL);
        assert_non_null(inner);
        set_or_remove(inner, key, value);
        text = json_dumps(inner, JSON_COMPACT);
        json_object_set_new(metadata, where, json_string(text));
        json_decref(inner);
        free(text);
    }
}

static void lying_headers_are_refused(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n;
    unsigned char *bytes;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        json_t *header = read_header(bytes);
        upg_model *model;
        upg_error err;
        apply_lie(header, lies[i].where, lies[i].key, lies[i].value);
        write_header(*state, bytes, n, header, 64);
        assert_fails(upg_model_open(&model, path, NULL, &err), lies[i].status, err,
                     lies[i].message);
        json_decref(header);
    }
    free(bytes);
    unmix(&mixed);
}

static void what_is_new_and_optional_is_skipped(void **state)
{
    static const char *const additions[][3] = {
        {"", "later", "\"anything\""},
        {"", "provenance", "\"{\\\"later\\\":[1]}\""},
        {"config", "later", "{\"a\":1}"},
        {"matrices", "later", "[{}]"},
        {"matrices", "lm_head", "[{\"type\":\"bf16\",\"rows\":32,\"later\":true}]"},
        {"", "checksums", NULL},
    };
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n;
    unsigned char *bytes;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    for (size_t i = 0; i < sizeof additions / sizeof *additions; i++) {
        json_t *header = read_header(bytes);
        upg_model *model;
        upg_error err;
        apply_lie(header, additions[i][0], additions[i][1], additions[i][2]);
        write_header(*state, bytes, n, header, 64);
        assert_ok(upg_model_open(&model, path, NULL, &err), err);
        upg_model_free(model);
        assert_int_equal(upg_verify(path, NULL, &err), UPG_ERR_FORMAT); /* but it is not the same */
        json_decref(header);
    }
    free(bytes);
    unmix(&mixed);
}

static void header_that_is_not_padded_is_refused(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n;
    unsigned char *bytes;
    json_t *header;
    upg_model *model;
    upg_error err;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    header = read_header(bytes);
    json_object_set_new(json_object_get(header, "__metadata__"), "x", json_string("odd"));
    write_header(*state, bytes, n, header, 1);
    assert_fails(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT, err,
                 "not a multiple of");
    json_decref(header);
    free(bytes);
    unmix(&mixed);
}

/* Norms of 16 BF16 values take 32 bytes, so this file has padding. */
static void padding_must_be_zero(void **state)
{
    struct mixed mixed;
    char path[FOLDER_PATH];
    size_t n, header;
    unsigned char *bytes;
    upg_model *model;
    upg_error err;

    write_mixed(&mixed, *state, path);
    bytes = folder_read(path, &n);
    header = 8 + bytes[0] + ((size_t)bytes[1] << 8);
    bytes[header + 63] = 1;
    folder_write(*state, "m.upg", bytes, n);
    assert_fails(upg_model_open(&model, path, NULL, &err), UPG_ERR_FORMAT, err,
                 "tensor pad.1: padding is not zero");
    free(bytes);
    unmix(&mixed);
}

static void ordinary_safetensors_file_is_told_apart(void **state)
{
    struct hf_builder b;
    char path[FOLDER_PATH];
    upg_model *model;
    upg_error err;

    hf_build(&b, "Phi3ForCausalLM", "BF16", true, 1);
    hf_write(&b, *state);
    assert_fails(upg_model_open(&model, folder_path(path, *state, "model.safetensors"), NULL, &err),
                 UPG_ERR_FORMAT, err, "name its directory");
    hf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(written_model_is_read_back),
        folder_test(tensors_are_listed_with_types_and_bits),
        folder_test(bytes_in_memory_are_read_like_a_file),
        folder_test(writing_twice_gives_the_same_bytes),
        folder_test(sources_are_hashed),
        folder_test(writer_keeps_to_its_outline),
        folder_test(file_has_the_size_that_was_announced),
        folder_test(metadata_beyond_the_reserve_fails_cleanly),
        folder_test(types_that_files_do_not_hold_are_refused),
        folder_test(flipped_bits_are_found_everywhere),
        folder_test(every_truncation_is_refused),
        folder_test(values_that_are_not_finite_are_refused),
        folder_test(lying_headers_are_refused),
        folder_test(what_is_new_and_optional_is_skipped),
        folder_test(header_that_is_not_padded_is_refused),
        folder_test(padding_must_be_zero),
        folder_test(ordinary_safetensors_file_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
