/* formula_model.c -- see formula_model.h. */
#include "engine/formula_model.h"

#include "unit.h"

#include "base/half.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>

static uint64_t fnv1a64(const char *text)
{
    uint64_t hash = 0xCBF29CE484222325u;

    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001B3u;
    return hash;
}

/* v of element i, -0.5 <= v < 0.5. */
static float element(uint64_t hash, size_t i)
{
    const uint64_t z = upg_splitmix64(hash + i * 0x9E3779B97F4A7C15u);

    return (float)(z >> 40) * 0x1p-24f - 0.5f;
}

void formula_prompt(int32_t *ids, size_t n, uint64_t seed, size_t n_vocab)
{
    const uint64_t hash = fnv1a64("prompt") ^ seed;

    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(upg_splitmix64(hash + i * 0x9E3779B97F4A7C15u) % n_vocab);
}

struct maker {
    struct upg_model *model;
    const json_t *amp;
    uint64_t seed;
};

static const float *make_norm(const struct maker *maker, const char *name, size_t n)
{
    float *out = upg_arena_alloc(&maker->model->arena, n, sizeof *out);
    const uint64_t hash = fnv1a64(name) ^ maker->seed;

    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        out[i] = upg_bf16_to_f32(upg_f32_to_bf16(1 + element(hash, i) * 0.5f));
    return out;
}

static struct upg_matrix make_matrix(const struct maker *maker, const char *name, const char *kind,
                                     size_t n_rows, size_t n_cols)
{
    const float amp = (float)json_number_value(json_object_get(maker->amp, kind));
    const uint64_t hash = fnv1a64(name) ^ maker->seed;
    uint16_t *data = upg_arena_alloc(&maker->model->arena, n_rows * n_cols, sizeof *data);

    assert_non_null(data);
    for (size_t i = 0; i < n_rows * n_cols; i++)
        data[i] = upg_f32_to_bf16(element(hash, i) * (2 * amp));
    return (struct upg_matrix){.name = upg_arena_text(&maker->model->arena, name, strlen(name)),
                               .type = UPG_TYPE_BF16,
                               .n_rows = n_rows,
                               .n_cols = n_cols,
                               .data = data,
                               .n_bytes = n_rows * n_cols * sizeof *data};
}

static struct upg_linear linear_of(struct upg_matrix matrix)
{
    return (struct upg_linear){
        .n_parts = 1, .part = {matrix}, .n_rows = matrix.n_rows, .n_cols = matrix.n_cols};
}

static struct upg_layer make_layer(const struct maker *maker, size_t i)
{
    const struct upg_config *c = &maker->model->config;
    const size_t qkv = (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    char name[6][64];
    const char *suffix[6] = {"input_layernorm",  "self_attn.qkv_proj",       "self_attn.o_proj",
                             "mlp.gate_up_proj", "post_attention_layernorm", "mlp.down_proj"};

    for (size_t j = 0; j < 6; j++)
        snprintf(name[j], sizeof name[j], "model.layers.%zu.%s.weight", i, suffix[j]);
    return (struct upg_layer){
        .attention_norm = make_norm(maker, name[0], c->d_model),
        .qkv = linear_of(make_matrix(maker, name[1], "qkv", qkv, c->d_model)),
        .o = linear_of(make_matrix(maker, name[2], "o", c->d_model, c->n_heads * c->head_dim)),
        .gate_up = linear_of(make_matrix(maker, name[3], "gate_up", 2 * c->d_ff, c->d_model)),
        .mlp_norm = make_norm(maker, name[4], c->d_model),
        .down = linear_of(make_matrix(maker, name[5], "down", c->d_model, c->d_ff))};
}

static size_t size_field(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(json_object_get(object, key));
}

static const float *make_factors(struct upg_model *model, const json_t *list)
{
    float *out = upg_arena_alloc(&model->arena, json_array_size(list), sizeof *out);

    assert_non_null(out);
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = (float)json_number_value(json_array_get(list, i));
    return out;
}

static void make_config(struct upg_model *model, const json_t *config)
{
    struct upg_config *c = &model->config;
    const json_t *scaling = json_object_get(config, "rope_scaling");

    c->architecture = "Phi3ForCausalLM";
    c->n_layers = size_field(config, "num_hidden_layers");
    c->d_model = size_field(config, "hidden_size");
    c->d_ff = size_field(config, "intermediate_size");
    c->n_heads = size_field(config, "num_attention_heads");
    c->n_kv_heads = size_field(config, "num_key_value_heads");
    c->head_dim = c->d_model / c->n_heads;
    c->rotary_dim = (size_t)((double)c->head_dim *
                             json_number_value(json_object_get(config, "partial_rotary_factor")));
    c->n_vocab = size_field(config, "vocab_size");
    c->context = size_field(config, "max_position_embeddings");
    c->rope_theta = json_number_value(json_object_get(config, "rope_theta"));
    c->norm_eps = json_number_value(json_object_get(config, "rms_norm_eps"));
    c->tied_embeddings = json_is_true(json_object_get(config, "tie_word_embeddings"));
    if (json_is_object(scaling)) {
        struct upg_long_rope *lr = &c->long_rope;

        lr->present = true;
        lr->original_context = size_field(config, "original_max_position_embeddings");
        lr->short_factor = make_factors(model, json_object_get(scaling, "short_factor"));
        lr->long_factor = make_factors(model, json_object_get(scaling, "long_factor"));
        lr->magnitude = sqrt(1 + log((double)c->context / (double)lr->original_context) /
                                     log((double)lr->original_context));
    }
}

void formula_model(struct upg_model *model, const json_t *golden)
{
    const json_t *variant = json_object_get(golden, "variant");
    const struct maker maker = {.model = model,
                                .amp = json_object_get(variant, "amp"),
                                .seed = (uint64_t)size_field(variant, "seed")};
    const struct upg_config *c = &model->config;

    *model = (struct upg_model){.path = "(formula)", .format = "hf"};
    make_config(model, json_object_get(golden, "config"));
    model->embedding =
        make_matrix(&maker, "model.embed_tokens.weight", "embed", c->n_vocab, c->d_model);
    model->head = linear_of(
        c->tied_embeddings ? model->embedding
                           : make_matrix(&maker, "lm_head.weight", "head", c->n_vocab, c->d_model));
    model->norm = make_norm(&maker, "model.norm.weight", c->d_model);
    model->layers = upg_arena_alloc(&model->arena, c->n_layers, sizeof *model->layers);
    assert_non_null(model->layers);
    for (size_t i = 0; i < c->n_layers; i++)
        model->layers[i] = make_layer(&maker, i);
}

void formula_model_clear(struct upg_model *model)
{
    upg_arena_clear(&model->arena);
}
