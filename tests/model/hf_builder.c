/* hf_builder.c -- making and writing small models. */
#include "unit.h"

#include "base/half.h"
#include "model/folder.h"
#include "model/hf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { D_MODEL = 16, D_FF = 24, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 4, LAYERS = 2, VOCAB = 32 };

static size_t dtype_bytes(const char *dtype)
{
    return strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0    ? 4
           : strcmp(dtype, "BF16") == 0 || strcmp(dtype, "F16") == 0 ? 2
                                                                     : 1;
}

float hf_value(const struct builder_tensor *tensor, size_t i)
{
    const uint8_t *at = tensor->data + i * dtype_bytes(tensor->dtype);
    uint16_t half;
    float value;

    if (strcmp(tensor->dtype, "F32") == 0) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&half, at, sizeof half);
    return strcmp(tensor->dtype, "BF16") == 0 ? upg_bf16_to_f32(half) : upg_f16_to_f32(half);
}

void hf_set_value(struct builder_tensor *tensor, size_t i, float value)
{
    uint8_t *at = tensor->data + i * dtype_bytes(tensor->dtype);
    const uint16_t half =
        strcmp(tensor->dtype, "BF16") == 0 ? upg_f32_to_bf16(value) : upg_f32_to_f16(value);

    if (strcmp(tensor->dtype, "F32") == 0)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &half, sizeof half);
}

struct builder_tensor *hf_add_tensor(struct hf_builder *builder, const char *name,
                                     const char *dtype, size_t n_rows, size_t n_cols)
{
    struct builder_tensor *tensor = &builder->tensors[builder->n_tensors++];
    const size_t n = n_rows * (n_cols ? n_cols : 1);

    assert_true(builder->n_tensors <= BUILDER_MAX_TENSORS);
    memset(tensor, 0, sizeof *tensor);
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    snprintf(tensor->dtype, sizeof tensor->dtype, "%s", dtype);
    tensor->n_dims = n_cols ? 2 : 1;
    tensor->shape[0] = n_rows;
    tensor->shape[1] = n_cols;
    tensor->n_bytes = n * dtype_bytes(dtype);
    tensor->data = calloc(n, dtype_bytes(dtype));
    assert_non_null(tensor->data);
    for (size_t i = 0; i < n && dtype_bytes(dtype) > 1; i++)
        hf_set_value(tensor, i, (float)((i * 37 + builder->n_tensors * 11) % 127) / 64.0f - 1.0f);
    return tensor;
}

static void add_layer(struct hf_builder *builder, size_t layer, const char *dtype, bool fused)
{
    const size_t q_rows = HEADS * HEAD_DIM, kv_rows = KV_HEADS * HEAD_DIM;
    const struct {
        const char *name;
        size_t n_rows, n_cols;
        bool fused, apart;
    } parts[] = {
        {"input_layernorm", D_MODEL, 0, true, true},
        {"self_attn.qkv_proj", q_rows + 2 * kv_rows, D_MODEL, true, false},
        {"self_attn.q_proj", q_rows, D_MODEL, false, true},
        {"self_attn.k_proj", kv_rows, D_MODEL, false, true},
        {"self_attn.v_proj", kv_rows, D_MODEL, false, true},
        {"self_attn.o_proj", D_MODEL, q_rows, true, true},
        {"post_attention_layernorm", D_MODEL, 0, true, true},
        {"mlp.gate_up_proj", 2 * (size_t)D_FF, D_MODEL, true, false},
        {"mlp.gate_proj", D_FF, D_MODEL, false, true},
        {"mlp.up_proj", D_FF, D_MODEL, false, true},
        {"mlp.down_proj", D_MODEL, D_FF, true, true},
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[80];
        snprintf(name, sizeof name, "model.layers.%zu.%s.weight", layer, parts[i].name);
        if (fused ? parts[i].fused : parts[i].apart)
            hf_add_tensor(builder, name, dtype, parts[i].n_rows, parts[i].n_cols);
    }
}

void hf_build(struct hf_builder *builder, const char *architecture, const char *dtype, bool tied,
              size_t n_shards)
{
    const bool fused = strcmp(architecture, "Phi3ForCausalLM") == 0;

    memset(builder, 0, sizeof *builder);
    builder->n_shards = n_shards;
    builder->config = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:i, s:s, s:n, s:n}",
        "architectures", architecture, "model_type", fused ? "phi3" : "llama", "hidden_size",
        D_MODEL, "intermediate_size", D_FF, "num_hidden_layers", LAYERS, "num_attention_heads",
        HEADS, "num_key_value_heads", KV_HEADS, "vocab_size", VOCAB, "max_position_embeddings", 64,
        "rms_norm_eps", 1e-5, "rope_theta", 10000.0, "tie_word_embeddings", tied, "eos_token_id", 7,
        "hidden_act", "silu", "rope_scaling", "sliding_window");
    builder->generation = json_pack("{s:[i, i]}", "eos_token_id", 7, 9);
    assert_non_null(builder->config);
    assert_non_null(builder->generation);
    hf_add_tensor(builder, "model.embed_tokens.weight", dtype, VOCAB, D_MODEL);
    for (size_t layer = 0; layer < LAYERS; layer++)
        add_layer(builder, layer, dtype, fused);
    hf_add_tensor(builder, "model.norm.weight", dtype, D_MODEL, 0);
    if (!tied)
        hf_add_tensor(builder, "lm_head.weight", dtype, VOCAB, D_MODEL);

    builder->weight_map = json_object();
    for (size_t i = 0; i < builder->n_tensors; i++) {
        char file[64];
        builder->tensors[i].shard = i * n_shards / builder->n_tensors;
        snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors",
                 builder->tensors[i].shard + 1, n_shards);
        json_object_set_new(builder->weight_map, builder->tensors[i].name, json_string(file));
    }
}

void hf_clear(struct hf_builder *builder)
{
    for (size_t i = 0; i < builder->n_tensors; i++)
        free(builder->tensors[i].data);
    json_decref(builder->config);
    json_decref(builder->generation);
    json_decref(builder->weight_map);
}

void hf_set(struct hf_builder *builder, const char *key, const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    if (text) {
        assert_non_null(value);
        json_object_set_new(builder->config, key, value);
    } else {
        json_object_del(builder->config, key);
    }
}

struct builder_tensor *hf_tensor(struct hf_builder *builder, const char *name)
{
    for (size_t i = 0; i < builder->n_tensors; i++)
        if (strcmp(builder->tensors[i].name, name) == 0)
            return &builder->tensors[i];
    fail_msg("the builder has no tensor %s", name);
    return NULL;
}

void hf_remove_tensor(struct hf_builder *builder, const char *name)
{
    struct builder_tensor *tensor = hf_tensor(builder, name);

    free(tensor->data);
    *tensor = builder->tensors[--builder->n_tensors];
}

static void write_shard(const struct hf_builder *builder, const char *folder, const char *name,
                        size_t shard)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    char path[FOLDER_PATH], *text;
    size_t begin = 0, n;
    FILE *file = fopen(folder_path(path, folder, name), "wb");

    assert_non_null(file);
    for (size_t i = 0; i < builder->n_tensors; i++) {
        const struct builder_tensor *tensor = &builder->tensors[i];
        json_t *shape;
        size_t end;
        if (tensor->shard != shard)
            continue;
        shape = json_array();
        end = begin + tensor->n_bytes;
        for (size_t d = 0; d < tensor->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
        json_object_set_new(header, tensor->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype, "shape",
                                      shape, "data_offsets", (json_int_t)begin, (json_int_t)end));
        begin = end;
    }
    text = json_dumps(header, JSON_COMPACT);
    n = (strlen(text) + 7) / 8 * 8 + builder->header_pad;
    for (size_t i = 0; i < 8; i++)
        fputc((int)(n >> (8 * i) & 0xFF), file);
    fprintf(file, "%-*s", (int)n, text);
    for (size_t i = 0; i < builder->n_tensors; i++) {
        const struct builder_tensor *tensor = &builder->tensors[i];
        if (tensor->shard == shard && tensor->data)
            fwrite(tensor->data, 1, tensor->n_bytes, file);
        else if (tensor->shard == shard)
            fseek(file, (long)tensor->n_bytes, SEEK_CUR);
    }
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), ftell(file)), 0); /* a hole may be the last */
    assert_int_equal(fclose(file), 0);
    free(text);
    json_decref(header);
}

static void write_json(const char *folder, const char *name, const json_t *json)
{
    char *text = json_dumps(json, 0);

    assert_non_null(text);
    folder_write_text(folder, name, text);
    free(text);
}

void hf_write(const struct hf_builder *builder, const char *folder)
{
    write_json(folder, "config.json", builder->config);
    if (builder->generation)
        write_json(folder, "generation_config.json", builder->generation);
    if (builder->n_shards == 1) {
        write_shard(builder, folder, "model.safetensors", 0);
        return;
    }
    for (size_t shard = 0; shard < builder->n_shards; shard++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1,
                 builder->n_shards);
        write_shard(builder, folder, name, shard);
    }
    json_t *index = json_pack("{s:{}, s:O}", "metadata", "weight_map", builder->weight_map);
    write_json(folder, "model.safetensors.index.json", index);
    json_decref(index);
}
