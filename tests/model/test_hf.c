/* Hugging Face directories: what is read from them, and what is refused. */
#include "unit.h"

#include "base/half.h"
#include "base/random.h"
#include "model/folder.h"
#include "model/hf_builder.h"
#include "model/model.h"
#include "model/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Rows of a part equal those of a tensor, from row `begin` of it on. */
static void assert_matrix_equal(const struct upg_matrix *m, const struct builder_tensor *tensor,
                                size_t begin)
{
    float *row = malloc(m->n_cols * sizeof *row);

    assert_non_null(row);
    assert_int_equal(m->n_cols, tensor->shape[1]);
    for (size_t r = 0; r < m->n_rows; r++) {
        upg_matrix_rows(m, r, 1, row, NULL);
        for (size_t c = 0; c < m->n_cols; c++)
            assert_true(row[c] == hf_value(tensor, (begin + r) * m->n_cols + c));
    }
    free(row);
}

static upg_model *open_built(const struct hf_builder *builder, const char *folder)
{
    upg_model *model = NULL;
    upg_error err;

    hf_write(builder, folder);
    assert_ok(upg_model_open(&model, folder, NULL, &err), err);
    return model;
}

static void fused_model_is_read(void **state)
{
    static const char *const dtypes[] = {"BF16", "F16", "F32"};

    for (size_t i = 0; i < 3; i++) {
        struct hf_builder b;
        hf_build(&b, "Phi3ForCausalLM", dtypes[i], false, 1);
        upg_model *model = open_built(&b, *state);
        const struct upg_layer *layer = &model->layers[1];
        const struct builder_tensor *norm =
            hf_tensor(&b, "model.layers.1.post_attention_layernorm.weight");
        upg_model_info info;

        upg_model_get_info(model, &info);
        assert_string_equal(info.architecture, "Phi3ForCausalLM");
        assert_string_equal(info.format, "hf");
        assert_int_equal(info.n_parameters,
                         32 * 16 * 2 + 16 + 2 * (32 * 16 + 16 * 16 + 72 * 16 + 32));
        assert_int_equal(info.head_dim, 4);
        assert_int_equal(info.n_stop_ids, 2);
        assert_int_equal(info.stop_ids[0], 7);
        assert_int_equal(info.stop_ids[1], 9);
        assert_null(upg_model_tokenizer(model));
        assert_int_equal(upg_model_n_tensors(model), b.n_tensors);
        assert_int_equal(layer->qkv.n_parts, 1);
        assert_int_equal(layer->gate_up.n_parts, 1);
        assert_matrix_equal(&model->embedding, hf_tensor(&b, "model.embed_tokens.weight"), 0);
        assert_matrix_equal(layer->qkv.part,
                            hf_tensor(&b, "model.layers.1.self_attn.qkv_proj.weight"), 0);
        assert_matrix_equal(layer->down.part, hf_tensor(&b, "model.layers.1.mlp.down_proj.weight"),
                            0);
        assert_matrix_equal(model->head.part, hf_tensor(&b, "lm_head.weight"), 0);
        for (size_t j = 0; j < 16; j++)
            assert_true(layer->mlp_norm[j] == hf_value(norm, j));
        upg_model_free(model);
        hf_clear(&b);
    }
}

static void separate_and_tied_model_is_read_from_shards(void **state)
{
    struct hf_builder b;
    hf_build(&b, "LlamaForCausalLM", "BF16", true, 3);
    hf_set(&b, "partial_rotary_factor", NULL);
    upg_model *model = open_built(&b, *state);
    const struct upg_layer *layer = &model->layers[0];

    assert_int_equal(model->n_maps, 3);
    assert_int_equal(layer->qkv.n_parts, 3);
    assert_int_equal(layer->qkv.n_rows, 32);
    assert_int_equal(layer->gate_up.n_parts, 2);
    assert_matrix_equal(&layer->qkv.part[2],
                        hf_tensor(&b, "model.layers.0.self_attn.v_proj.weight"), 0);
    assert_matrix_equal(&layer->gate_up.part[1], hf_tensor(&b, "model.layers.0.mlp.up_proj.weight"),
                        0);
    assert_ptr_equal(model->head.part[0].data, model->embedding.data);
    upg_model_free(model);
    hf_clear(&b);
}

/* Headers should be padded; those of hand-made files are not always. */
static void unaligned_tensors_are_read(void **state)
{
    struct hf_builder b;
    hf_build(&b, "Phi3ForCausalLM", "F32", false, 1);
    b.header_pad = 1;
    upg_model *model = open_built(&b, *state);

    assert_int_equal((uintptr_t)model->embedding.data % 4, 0);
    assert_matrix_equal(&model->embedding, hf_tensor(&b, "model.embed_tokens.weight"), 0);
    upg_model_free(model);
    hf_clear(&b);
}

static void optional_things_may_be_missing_or_more(void **state)
{
    struct hf_builder b;
    hf_build(&b, "Phi3ForCausalLM", "BF16", true, 1);
    json_decref(b.generation);
    b.generation = NULL;
    hf_set(&b, "eos_token_id", "null");
    hf_set(&b, "some_new_field", "{\"with\": [1, 2]}");
    hf_set(&b, "num_key_value_heads", "2");
    hf_add_tensor(&b, "lm_head.weight", "BF16", 32, 16); /* tied: not used */
    hf_add_tensor(&b, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 2, 0);
    hf_add_tensor(&b, "something.else", "I8", 3, 5);
    upg_model *model = open_built(&b, *state);
    upg_tensor_info info;
    upg_error err;

    assert_int_equal(model->stop_ids.n, 0);
    assert_int_equal(upg_model_n_tensors(model), b.n_tensors);
    assert_ok(upg_model_get_tensor(model, b.n_tensors - 1, &info, &err), err);
    assert_string_equal(info.name, "something.else");
    assert_string_equal(info.type, "I8");
    assert_fails(upg_model_get_tensor(model, b.n_tensors, &info, &err), UPG_ERR_ARGUMENT, err,
                 "there are");
    upg_model_free(model);
    hf_clear(&b);
}

/* Element i of a tensor of the checkpoint in tests/data/model/tiny_file, by the formula that its
 * README gives. */
static float formula_value(const char *name, uint64_t seed, size_t i, float amplitude)
{
    const uint64_t golden_ratio = 0x9E3779B97F4A7C15u;
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */

    for (const char *c = name; *c; c++)
        hash = (hash ^ (uint64_t)(unsigned char)*c) * 0x100000001B3u;
    const uint64_t z = upg_splitmix64((hash ^ seed) + i * golden_ratio);
    const float v = (float)(z >> 40) * 0x1p-24f - 0.5f;
    return upg_bf16_to_f32(upg_f32_to_bf16(amplitude == 0 ? 1 + v * 0.5f : v * 2 * amplitude));
}

/* The files were written by the script that made the golden logits, not by us. */
static void foreign_checkpoint_is_read(void **state)
{
    static const char qkv[] = "model.layers.1.self_attn.qkv_proj.weight";
    upg_model *model;
    upg_error err;
    float row[64];
    (void)state;

    assert_ok(upg_model_open(&model, "tests/data/model/tiny_file", NULL, &err), err);
    assert_int_equal(model->n_maps, 2);
    assert_int_equal(model->stop_ids.n, 0);
    for (size_t r = 0; r < 128; r++) {
        upg_matrix_rows(&model->layers[1].qkv.part[0], r, 1, row, NULL);
        for (size_t c = 0; c < 64; c++)
            assert_true(row[c] == formula_value(qkv, 105, r * 64 + c, 0.25f));
    }
    for (size_t i = 0; i < 64; i++)
        assert_true(model->norm[i] == formula_value("model.norm.weight", 105, i, 0));
    upg_model_free(model);
}

/* ---- What is refused */

enum action { DROP, ROW_MORE, COLUMN_LESS, FLAT, AS_I8, NAN_FIRST, NAN_LAST, INFINITE, ADD };

static const struct {
    enum action action;
    upg_status status;
    const char *tensor, *message;
} spoilt[] = {
    {DROP, UPG_ERR_FORMAT, "model.embed_tokens.weight", "model.embed_tokens.weight: is missing"},
    {DROP, UPG_ERR_FORMAT, "lm_head.weight", "lm_head.weight: is missing"},
    {DROP, UPG_ERR_FORMAT, "model.norm.weight", "model.norm.weight: is missing"},
    {DROP, UPG_ERR_FORMAT, "model.layers.1.mlp.down_proj.weight", "is missing"},
    {DROP, UPG_ERR_FORMAT, "model.layers.0.input_layernorm.weight", "is missing"},
    {ROW_MORE, UPG_ERR_FORMAT, "model.embed_tokens.weight", "config.json needs [32, 16]"},
    {ROW_MORE, UPG_ERR_FORMAT, "model.layers.0.self_attn.qkv_proj.weight", "needs [32, 16]"},
    {ROW_MORE, UPG_ERR_FORMAT, "model.norm.weight", "config.json needs [16]"},
    {COLUMN_LESS, UPG_ERR_FORMAT, "model.layers.0.mlp.gate_up_proj.weight", "needs [48, 16]"},
    {COLUMN_LESS, UPG_ERR_FORMAT, "lm_head.weight", "needs [32, 16]"},
    {FLAT, UPG_ERR_FORMAT, "model.layers.0.self_attn.o_proj.weight", "1 dimensions"},
    {AS_I8, UPG_ERR_UNSUPPORTED, "model.layers.0.self_attn.o_proj.weight", "is stored as I8"},
    {AS_I8, UPG_ERR_UNSUPPORTED, "model.norm.weight", "is stored as I8"},
    {NAN_FIRST, UPG_ERR_FORMAT, "model.norm.weight", "model.norm.weight: value 0 is not finite"},
    {NAN_LAST, UPG_ERR_FORMAT, "model.layers.1.input_layernorm.weight", "value 15 is not finite"},
    {NAN_FIRST, UPG_ERR_FORMAT, "model.embed_tokens.weight", "NaN or infinite"},
    {NAN_LAST, UPG_ERR_FORMAT, "model.layers.1.self_attn.qkv_proj.weight", "NaN or infinite"},
    {INFINITE, UPG_ERR_FORMAT, "model.layers.0.mlp.down_proj.weight", "NaN or infinite"},
    {NAN_LAST, UPG_ERR_FORMAT, "lm_head.weight", "NaN or infinite"},
    {ADD, UPG_ERR_UNSUPPORTED, "model.layers.0.self_attn.qkv_proj.bias", "is not part of"},
    {ADD, UPG_ERR_UNSUPPORTED, "model.layers.0.self_attn.q_norm.weight", "is not part of"},
    {ADD, UPG_ERR_UNSUPPORTED, "model.layers.2.input_layernorm.weight", "is not part of"},
    {ADD, UPG_ERR_UNSUPPORTED, "lm_head.bias", "is not part of"},
};

static void spoil(struct hf_builder *b, enum action action, const char *name)
{
    struct builder_tensor *tensor =
        action == ADD ? hf_add_tensor(b, name, "BF16", 16, 0) : hf_tensor(b, name);
    const size_t n_elements = tensor->shape[0] * (tensor->n_dims > 1 ? tensor->shape[1] : 1);

    switch (action) {
    case DROP: hf_remove_tensor(b, name); break;
    case ROW_MORE:
        tensor->n_bytes += tensor->n_bytes / tensor->shape[0]++;
        tensor->data = realloc(tensor->data, tensor->n_bytes);
        assert_non_null(tensor->data);
        memset(tensor->data, 0, tensor->n_bytes);
        break;
    case COLUMN_LESS: tensor->n_bytes -= tensor->n_bytes / tensor->shape[1]--; break;
    case FLAT:
        tensor->shape[0] = n_elements;
        tensor->n_dims = 1;
        break;
    case AS_I8:
        snprintf(tensor->dtype, sizeof tensor->dtype, "I8");
        tensor->n_bytes = n_elements;
        break;
    case NAN_FIRST: hf_set_value(tensor, 0, NAN); break;
    case NAN_LAST: hf_set_value(tensor, n_elements - 1, NAN); break;
    case INFINITE: hf_set_value(tensor, n_elements / 2, -INFINITY); break;
    case ADD: break;
    }
}

static void spoilt_tensors_are_refused(void **state)
{
    static const char *const dtypes[] = {"BF16", "F16", "F32"};

    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        struct hf_builder b;
        upg_model *model;
        upg_error err;
        hf_build(&b, "Phi3ForCausalLM", dtypes[i % 3], false, 1);
        spoil(&b, spoilt[i].action, spoilt[i].tensor);
        hf_write(&b, *state);
        assert_fails(upg_model_open(&model, *state, NULL, &err), spoilt[i].status, err,
                     spoilt[i].message);
        hf_clear(&b);
    }
}

/* Of a large model only samples are looked at when it is opened, and everything by upg_verify(). */
static void large_models_are_sampled(void **state)
{
    enum { N_ROWS = 4 << 20, ROW_BYTES = 32 };
    static const struct {
        size_t row;
        bool is_sampled;
    } cases[] = {{0, true}, {N_ROWS / 2, true}, {N_ROWS - 1, true}, {N_ROWS / 4, false}};
    struct hf_builder b;
    struct builder_tensor *tensor;

    hf_build(&b, "Phi3ForCausalLM", "BF16", false, 2);
    hf_set(&b, "vocab_size", "4194304");
    for (size_t i = 0; i < 2; i++) {
        tensor = hf_tensor(&b, i == 0 ? "model.embed_tokens.weight" : "lm_head.weight");
        free(tensor->data);
        tensor->data = NULL;
        tensor->shape[0] = N_ROWS;
        tensor->n_bytes = (size_t)N_ROWS * ROW_BYTES;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[FOLDER_PATH];
        const uint16_t infinite = 0x7F80;
        upg_model *model = NULL;
        upg_error err;
        FILE *file;
        hf_write(&b, *state);
        file = fopen(folder_path(path, *state, "model-00002-of-00002.safetensors"), "r+b");
        assert_non_null(file); /* the head is the last tensor of the last file */
        fseek(file, ((long)cases[i].row - N_ROWS) * ROW_BYTES, SEEK_END);
        fwrite(&infinite, sizeof infinite, 1, file);
        fclose(file);
        if (cases[i].is_sampled) {
            assert_fails(upg_model_open(&model, *state, NULL, &err), UPG_ERR_FORMAT, err,
                         "/model-00002-of-00002.safetensors: tensor lm_head.weight: has "
                         "weights that are NaN or infinite");
        } else {
            assert_ok(upg_model_open(&model, *state, NULL, &err), err);
            upg_model_free(model);
            assert_fails(upg_verify(*state, NULL, &err), UPG_ERR_FORMAT, err,
                         "/model-00002-of-00002.safetensors: tensor lm_head.weight: has "
                         "weights that are NaN or infinite");
        }
    }
    hf_clear(&b);
}

static const struct {
    const char *tensor, *file; /* weight_map[tensor] = file (JSON text); file NULL: removed */
    const char *message;
} maps[] = {
    {"model.norm.weight", "\"../model-00001-of-00002.safetensors\"", "is no name of a safetensors"},
    {"model.norm.weight", "\"/etc/passwd\"", "is no name of a safetensors file"},
    {"model.norm.weight", "\"a/b.safetensors\"", "is no name of a safetensors file"},
    {"model.norm.weight", "\".safetensors\"", "is no name of a safetensors file"},
    {"model.norm.weight", "\"model.bin\"", "is no name of a safetensors file"},
    {"model.norm.weight", "\"\"", "is no name of a safetensors file"},
    {"model.norm.weight", "7", "must name a file"},
    {"model.norm.weight", "\"model-00003-of-00002.safetensors\"", "is missing, but"},
    {"model.norm.weight", "\"model-00001-of-00002.safetensors\"", "lists it here"},
    {"model.norm.weight", NULL, "model.norm.weight: is missing from the weight_map"},
    {"model.unknown", "\"model-00001-of-00002.safetensors\"", "lists it here"},
};

static void false_indexes_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        struct hf_builder b;
        upg_model *model;
        upg_error err;
        hf_build(&b, "Phi3ForCausalLM", "BF16", false, 2);
        if (maps[i].file)
            json_object_set_new(b.weight_map, maps[i].tensor,
                                json_loads(maps[i].file, JSON_DECODE_ANY, NULL));
        else
            json_object_del(b.weight_map, maps[i].tensor);
        hf_write(&b, *state);
        assert_fails(upg_model_open(&model, *state, NULL, &err), UPG_ERR_FORMAT, err,
                     maps[i].message);
        hf_clear(&b);
    }
}

/* Files of the directory, spoilt as such. */
static void spoilt_files_are_refused(void **state)
{
    static const struct {
        const char *file, *text; /* text NULL: the file is removed */
        const char *message;
    } cases[] = {
        {"config.json", NULL, "config.json: is missing"},
        {"config.json", "", "config.json: not valid JSON"},
        {"config.json", "[]", "config.json: must be a JSON object"},
        {"config.json", "{\"architectures\":", "config.json: not valid JSON"},
        {"config.json", "{\"a\":1,\"a\":2}", "duplicate"},
        {"generation_config.json", "{", "generation_config.json: not valid JSON"},
        {"generation_config.json", "{\"eos_token_id\":\"7\"}", "must be token ids"},
        {"generation_config.json", "{\"eos_token_id\":[7,-1]}", "must be token ids"},
        {"generation_config.json", "{\"eos_token_id\":[7,4000000000]}", "must be token ids"},
        {"generation_config.json", "{\"eos_token_id\":32}", "32 is not in the vocabulary"},
        {"model.safetensors.index.json", NULL, "has neither"},
        {"model.safetensors.index.json", "{}", "weight_map: must be an object"},
        {"model.safetensors.index.json", "{\"weight_map\":[]}", "weight_map: must be an object"},
        {"model.safetensors.index.json", "{\"weight_map\":{}}", "is missing from the weight_map"},
        {"model-00001-of-00002.safetensors", NULL, "is missing, but"},
        {"model-00001-of-00002.safetensors", "", "too few for a safetensors file"},
        {"model-00002-of-00002.safetensors", "short", "too few for a safetensors file"},
        {"model-00002-of-00002.safetensors", "version https://git-lfs.github.com/spec/v1\n",
         "pointer of git-lfs"},
        {"tokenizer.json", "", "tokenizer.json"},
        {"tokenizer.json", "{}", "tokenizer.json"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hf_builder b;
        upg_model *model;
        upg_error err;
        char path[FOLDER_PATH];
        upg_status status;
        folder_empty(*state);
        hf_build(&b, "Phi3ForCausalLM", "BF16", false, 2);
        hf_write(&b, *state);
        if (cases[i].text)
            folder_write_text(*state, cases[i].file, cases[i].text);
        else
            assert_int_equal(unlink(folder_path(path, *state, cases[i].file)), 0);
        status = upg_model_open(&model, *state, NULL, &err);
        assert_true(status == UPG_ERR_FORMAT || status == UPG_ERR_UNSUPPORTED);
        if (!strstr(err.message, cases[i].message))
            fail_msg("no '%s' in: %s", cases[i].message, err.message);
        hf_clear(&b);
    }
}

/* A shard that is cut anywhere is refused: the directory gives every byte a tensor. */
static void every_truncated_shard_is_refused(void **state)
{
    struct hf_builder b;
    char path[FOLDER_PATH];
    size_t n;
    unsigned char *bytes;

    hf_build(&b, "LlamaForCausalLM", "BF16", false, 1);
    hf_write(&b, *state);
    bytes = folder_read(folder_path(path, *state, "model.safetensors"), &n);
    for (size_t cut = 0; cut < n; cut += cut < 64 || n - cut < 64 ? 1 : 97) {
        upg_model *model;
        upg_error err;
        assert_int_equal(truncate(path, 0), 0);
        folder_write(*state, "model.safetensors", bytes, cut);
        assert_int_equal(upg_model_open(&model, *state, NULL, &err), UPG_ERR_FORMAT);
        assert_non_null(strstr(err.message, "model.safetensors"));
    }
    free(bytes);
    hf_clear(&b);
}

static int stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total)
{
    (void)stage;
    assert_true(done <= total);
    ++*(int *)context;
    return 1;
}

static void opening_can_be_cancelled(void **state)
{
    struct hf_builder b;
    upg_model *model;
    upg_model_options options;
    upg_error err;
    int n_calls = 0;

    hf_build(&b, "Phi3ForCausalLM", "BF16", false, 1);
    hf_write(&b, *state);
    upg_model_options_defaults(&options);
    options.progress = stop_at_once;
    options.progress_context = &n_calls;
    assert_fails(upg_model_open(&model, *state, &options, &err), UPG_ERR_CANCELLED, err,
                 "cancelled");
    assert_int_equal(n_calls, 1);
    hf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(fused_model_is_read),
        folder_test(separate_and_tied_model_is_read_from_shards),
        folder_test(unaligned_tensors_are_read),
        folder_test(optional_things_may_be_missing_or_more),
        cmocka_unit_test(foreign_checkpoint_is_read),
        folder_test(spoilt_tensors_are_refused),
        folder_test(large_models_are_sampled),
        folder_test(false_indexes_are_refused),
        folder_test(spoilt_files_are_refused),
        folder_test(every_truncated_shard_is_refused),
        folder_test(opening_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
