/* config.c -- config.json of Phi3ForCausalLM and LlamaForCausalLM.
 *
 * Both name the same block; they differ in how tensors are fused, and in that only Phi-3 rotates a
 * part of a head.  Defaults are those of transformers' Phi3Config and LlamaConfig. */
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bounds on counts, so that products of two of them fit in 32 bits.  Far beyond any model of these
 * architectures. */
enum {
    MAX_LAYERS = 1024,
    MAX_WIDTH = 1 << 20,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 4096,
    MAX_VOCABULARY = 1 << 24,
    MAX_CONTEXT = 1 << 30,
    MAX_STOP_IDS = 256
};

static const char phi3[] = "Phi3ForCausalLM", llama[] = "LlamaForCausalLM";

static upg_status fail_unsupported(upg_error *err, const char *where, const char *key,
                                   const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const upg_status status =
        upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: %s: is %.60s, which upg does not compute", where,
                 key, text ? text : "set");

    free(text);
    return status;
}

/* null, false and 0 switch a setting off. */
static bool is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0);
}

static upg_status parse_architecture(struct upg_config *config, const json_t *json,
                                     const char *where, upg_error *err)
{
    const char *name = json_string_value(json_array_get(json_object_get(json, "architectures"), 0));
    const char *type = json_string_value(json_object_get(json, "model_type"));

    if (!name && type)
        name = strcmp(type, "phi3") == 0 ? phi3 : strcmp(type, "llama") == 0 ? llama : type;
    if (!name)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: architectures: is missing", where);
    if (strcmp(name, phi3) == 0)
        config->architecture = phi3;
    else if (strcmp(name, llama) == 0)
        config->architecture = llama;
    else
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: architectures: %.60s is not supported; upg runs text models of %s "
                        "(phi-4, phi-4-reasoning, phi-4-mini) and %s",
                        where, name, phi3, llama);
    return UPG_OK;
}

/* ---- Settings that must be off */

/* Fields that are read elsewhere in this file, or that do not matter to inference whatever they
 * say, although their names look like settings of attention. */
static const char *const known_keys[] = {
    "num_attention_heads",
    "attention_dropout",
    "attn_pdrop",
    "_attn_implementation",
    "attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "sliding_window",
    "max_window_layers",
    "interleaved_rope_pairs",
};

/* What a name contains when it changes attention, positions or the meaning of the stored weights.
 */
static const char *const suspicious[] = {"attn",    "attention", "rope",   "rotary",
                                         "softcap", "window",    "qk_",    "quant",
                                         "_bias",   "alibi",     "expert", "compression"};

/* Settings of related architectures that have other names. */
static const char *const must_be_off[] = {"bias",       "scale_emb",       "scale_depth",
                                          "clip_qkv",   "mlp_only_layers", "use_parallel_residual",
                                          "layer_scale"};
static const char *const must_be_one[] = {"full_attn_mod",       "logit_scale",
                                          "logits_scaling",      "embedding_multiplier",
                                          "residual_multiplier", "attention_multiplier"};

static bool is_in(const char *key, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, list[i]) == 0)
            return true;
    return false;
}

#define IS_IN(key, list) is_in(key, list, sizeof(list) / sizeof *(list))

static bool is_suspicious(const char *key)
{
    for (size_t i = 0; i < sizeof suspicious / sizeof *suspicious; i++)
        if (strstr(key, suspicious[i]))
            return true;
    return false;
}

/* A setting that is ignored gives text that still looks right, so unknown ones are refused. */
static upg_status check_settings(const json_t *json, const char *where, upg_error *err)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)json, key, value)
    {
        if (IS_IN(key, must_be_one)) {
            if (!json_is_null(value) && json_number_value(value) != 1)
                return fail_unsupported(err, where, key, value);
        } else if (strcmp(key, "position_embedding_type") == 0) {
            const char *type = json_string_value(value);
            if (type && strcmp(type, "rope") != 0)
                return fail_unsupported(err, where, key, value);
        } else if (IS_IN(key, must_be_off) || (is_suspicious(key) && !IS_IN(key, known_keys))) {
            if (!is_off(value))
                return fail_unsupported(err, where, key, value);
        }
    }
    return UPG_OK;
}

static upg_status check_activation(const json_t *json, const char *where, upg_error *err)
{
    static const char *const keys[] = {"hidden_act", "hidden_activation"};

    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(json, keys[i]);
        const char *name = json_string_value(value);
        if (value && !json_is_null(value) &&
            (!name || (strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)))
            return fail_unsupported(err, where, keys[i], value);
    }
    return UPG_OK;
}

/* A window that is null, 0 or not smaller than the context masks nothing; the published files of
 * this family have all three.  A real one is refused. */
static upg_status check_window(const struct upg_config *config, const json_t *json,
                               const char *where, upg_error *err)
{
    const json_t *types = json_object_get(json, "layer_types");
    const json_t *value = json_object_get(json, "sliding_window");
    const json_t *use = json_object_get(json, "use_sliding_window");
    size_t window, i;
    const json_t *type;
    upg_status status =
        upg_json_get_size_or(json, where, "sliding_window", 0, SIZE_MAX, 0, &window, err);

    if (status != UPG_OK)
        return status;
    if (window != 0 && window < config->context && !json_is_false(use))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: sliding_window: is %zu, below max_position_embeddings %zu; upg "
                        "computes full attention only",
                        where, window, config->context);
    if (types && !json_is_null(types) && !json_is_array(types))
        return fail_unsupported(err, where, "layer_types", types);
    json_array_foreach((json_t *)types, i, type)
    {
        const char *name = json_string_value(type);
        if (!name || (strcmp(name, "full_attention") != 0 &&
                      (strcmp(name, "sliding_attention") != 0 || is_off(value))))
            return fail_unsupported(err, where, "layer_types", type);
    }
    return UPG_OK;
}

/* ---- Positions */

/* Where the settings of RoPE stand: at the top, in rope_scaling, or (newer exports) all of them in
 * rope_parameters. */
static const json_t *rope_object(const json_t *json)
{
    const json_t *parameters = json_object_get(json, "rope_parameters");

    return json_is_object(parameters) ? parameters : json_object_get(json, "rope_scaling");
}

/* The object that has `key`, rope settings before the top level. */
static const json_t *rope_holder(const json_t *json, const char *key)
{
    const json_t *rope = rope_object(json), *value = json_object_get(rope, key);

    return value && !json_is_null(value) ? rope : json;
}

static upg_status check_rope_keys(const json_t *rope, const char *where, upg_error *err)
{
    static const char *const keys[] = {"type",
                                       "rope_type",
                                       "rope_theta",
                                       "partial_rotary_factor",
                                       "short_factor",
                                       "long_factor",
                                       "factor",
                                       "attention_factor",
                                       "original_max_position_embeddings"};
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)rope, key, value)
    {
        if (!IS_IN(key, keys) && !json_is_null(value)) {
            char name[96];
            snprintf(name, sizeof name, "rope_scaling.%.60s", key);
            return fail_unsupported(err, where, name, value);
        }
    }
    return UPG_OK;
}

/* "type" and "rope_type" are the old and the new name; null or "default" is plain RoPE. */
static upg_status rope_type(const json_t *rope, const char *where, bool *is_long, upg_error *err)
{
    static const char *const keys[] = {"rope_type", "type"};
    static const char *const names[] = {"rope_scaling.rope_type", "rope_scaling.type"};

    *is_long = false;
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(rope, keys[i]);
        const char *name = json_string_value(value);
        if (!value || json_is_null(value))
            continue;
        if (name && (strcmp(name, "longrope") == 0 || strcmp(name, "su") == 0))
            *is_long = true;
        else if (!name || strcmp(name, "default") != 0)
            return fail_unsupported(err, where, names[i], value);
    }
    return UPG_OK;
}

/* factors [n] of `key` into the arena. */
static upg_status parse_factors(const float **factors, size_t n, struct upg_arena *arena,
                                const json_t *rope, const char *where, const char *key,
                                upg_error *err)
{
    const json_t *list = json_object_get(rope, key);
    float *values;

    if (!json_is_array(list) || json_array_size(list) != n)
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: rope_scaling.%s: must be a list of %zu numbers, half the rotated width; "
            "it has %zu",
            where, key, n, json_array_size(list));
    values = upg_arena_alloc(arena, n, sizeof *values);
    if (!values)
        return upg_fail_memory(err, "rotary factors", n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        values[i] = (float)json_number_value(item);
        if (!json_is_number(item) || !isfinite(values[i]) || values[i] <= 0)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: rope_scaling.%s[%zu]: must be a number above 0", where, key, i);
    }
    *factors = values;
    return UPG_OK;
}

double upg_long_rope_magnitude(double stretch, double original_context)
{
    return stretch <= 1 ? 1 : sqrt(1 + log(stretch) / log(original_context));
}

/* Ding et al. 2024 (LongRoPE).  An explicit factor replaces how far the context was stretched, an
 * explicit attention_factor the magnitude. */
static upg_status parse_long_rope(struct upg_config *config, struct upg_arena *arena,
                                  const json_t *json, const char *where, upg_error *err)
{
    static const char original[] = "original_max_position_embeddings";
    const json_t *rope = rope_object(json);
    struct upg_long_rope *out = &config->long_rope;
    double stretch, magnitude;
    upg_status status = upg_json_get_size(rope_holder(json, original), where, original, 2,
                                          MAX_CONTEXT, &out->original_context, err);

    if (status == UPG_OK)
        status = parse_factors(&out->short_factor, config->rotary_dim / 2, arena, rope, where,
                               "short_factor", err);
    if (status == UPG_OK)
        status = parse_factors(&out->long_factor, config->rotary_dim / 2, arena, rope, where,
                               "long_factor", err);
    if (status != UPG_OK)
        return status;
    stretch = (double)config->context / (double)out->original_context;
    status = upg_json_get_double_or(rope, where, "factor", 0, 1e9, stretch, &stretch, err);
    if (status != UPG_OK)
        return status;
    magnitude = upg_long_rope_magnitude(stretch, (double)out->original_context);
    out->present = true;
    return upg_json_get_double_or(rope, where, "attention_factor", 1e-3, 1e3, magnitude,
                                  &out->magnitude, err);
}

static upg_status parse_rope(struct upg_config *config, struct upg_arena *arena, const json_t *json,
                             const char *where, upg_error *err)
{
    const json_t *rope = rope_object(json);
    double part;
    bool is_long;
    upg_status status;

    if (rope && !json_is_null(rope) && !json_is_object(rope))
        return fail_unsupported(err, where, "rope_scaling", rope);
    status = check_rope_keys(rope, where, err);
    if (status == UPG_OK)
        status = upg_json_get_double_or(rope_holder(json, "rope_theta"), where, "rope_theta", 1,
                                        1e12, 10000, &config->rope_theta, err);
    if (status == UPG_OK)
        status = upg_json_get_double_or(rope_holder(json, "partial_rotary_factor"), where,
                                        "partial_rotary_factor", 0, 1, 1, &part, err);
    if (status == UPG_OK)
        status = rope_type(rope, where, &is_long, err);
    if (status != UPG_OK)
        return status;
    if (config->architecture == llama && part != 1)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: partial_rotary_factor: is %g; %s rotates whole heads", where, part,
                        llama);
    config->rotary_dim = (size_t)((double)config->head_dim * part);
    if (config->rotary_dim == 0 || config->rotary_dim % 2 != 0)
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: partial_rotary_factor: %g of a head of %zu is %zu values, which are not "
            "pairs",
            where, part, config->head_dim, config->rotary_dim);
    return is_long ? parse_long_rope(config, arena, json, where, err) : UPG_OK;
}

/* ---- The whole */

static upg_status parse_shape(struct upg_config *config, const json_t *json, const char *where,
                              upg_error *err)
{
    const struct {
        const char *key;
        size_t max, *value;
    } fields[] = {
        {"hidden_size", MAX_WIDTH, &config->d_model},
        {"intermediate_size", MAX_WIDTH, &config->d_ff},
        {"num_hidden_layers", MAX_LAYERS, &config->n_layers},
        {"num_attention_heads", MAX_HEADS, &config->n_heads},
        {"vocab_size", MAX_VOCABULARY, &config->n_vocab},
        {"max_position_embeddings", MAX_CONTEXT, &config->context},
    };
    upg_status status = UPG_OK;

    for (size_t i = 0; i < sizeof fields / sizeof *fields && status == UPG_OK; i++)
        status =
            upg_json_get_size(json, where, fields[i].key, 1, fields[i].max, fields[i].value, err);
    if (status == UPG_OK)
        status = upg_json_get_size_or(json, where, "num_key_value_heads", 1, MAX_HEADS,
                                      config->n_heads, &config->n_kv_heads, err);
    if (status == UPG_OK)
        status = upg_json_get_size_or(json, where, "head_dim", 1, MAX_HEAD_DIM, 0,
                                      &config->head_dim, err);
    if (status != UPG_OK)
        return status;
    if (config->n_heads % config->n_kv_heads != 0)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: num_key_value_heads: %zu does not divide num_attention_heads %zu",
                        where, config->n_kv_heads, config->n_heads);
    if (config->head_dim == 0 && config->d_model % config->n_heads != 0)
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: num_attention_heads: %zu does not divide hidden_size %zu, and there is "
            "no head_dim",
            where, config->n_heads, config->d_model);
    if (config->head_dim == 0)
        config->head_dim = config->d_model / config->n_heads;
    return UPG_OK;
}

upg_status upg_config_parse(struct upg_config *config, struct upg_arena *arena, const json_t *json,
                            const char *where, upg_error *err)
{
    upg_status status;

    if (!json_is_object(json))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: must be a JSON object", where);
    status = parse_architecture(config, json, where, err);
    if (status == UPG_OK)
        status = check_settings(json, where, err);
    if (status == UPG_OK)
        status = check_activation(json, where, err);
    if (status == UPG_OK)
        status = parse_shape(config, json, where, err);
    if (status == UPG_OK)
        status = check_window(config, json, where, err);
    if (status == UPG_OK)
        status = upg_json_get_double_or(json, where, "rms_norm_eps", 1e-12, 1,
                                        config->architecture == phi3 ? 1e-5 : 1e-6,
                                        &config->norm_eps, err);
    if (status == UPG_OK)
        status = upg_json_get_bool_or(json, where, "tie_word_embeddings", false,
                                      &config->tied_embeddings, err);
    if (status == UPG_OK)
        status = upg_json_get_bool_or(json, where, "interleaved_rope_pairs", false,
                                      &config->interleaved_pairs, err);
    if (status == UPG_OK)
        status = parse_rope(config, arena, json, where, err);
    return status;
}

static upg_status add_stop_id(const json_t *value, const char *where, upg_tokens *ids,
                              upg_error *err)
{
    const json_int_t number = json_integer_value(value);
    const int32_t id = (int32_t)number;

    if (!json_is_integer(value) || number < 0 || number > INT32_MAX)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: eos_token_id: must be token ids", where);
    for (size_t i = 0; i < ids->n; i++)
        if (ids->ids[i] == id)
            return UPG_OK;
    return upg_tokens_append(ids, &id, 1, err);
}

upg_status upg_config_stop_ids(const json_t *json, const char *where, upg_tokens *ids,
                               upg_error *err)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    upg_status status = UPG_OK;

    if (!value || json_is_null(value))
        return UPG_OK;
    if (!json_is_array(value))
        return add_stop_id(value, where, ids, err);
    if (json_array_size(value) > MAX_STOP_IDS)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: eos_token_id: has %zu ids, at most %d", where,
                        json_array_size(value), MAX_STOP_IDS);
    for (size_t i = 0; i < json_array_size(value) && status == UPG_OK; i++)
        status = add_stop_id(json_array_get(value, i), where, ids, err);
    return status;
}
