/* config_json.c -- writing a config as config.json. */
#include "model/config.h"

#include <math.h>
#include <string.h>

static json_t *factors_to_json(const float *factors, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < n; i++) {
        if (json_array_append_new(list, json_real((double)factors[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* An attention_factor that follows from the contexts is left out: some versions of transformers
 * refuse objects with more than these three fields. */
static json_t *long_rope_to_json(const struct upg_config *config)
{
    const struct upg_long_rope *rope = &config->long_rope;
    const double implied = upg_long_rope_magnitude(
        (double)config->context / (double)rope->original_context, (double)rope->original_context);
    json_t *json =
        json_pack("{s:s, s:o, s:o}", "type", "longrope", "short_factor",
                  factors_to_json(rope->short_factor, config->rotary_dim / 2), "long_factor",
                  factors_to_json(rope->long_factor, config->rotary_dim / 2));

    if (json && fabs(rope->magnitude - implied) > 1e-7 * implied &&
        json_object_set_new(json, "attention_factor", json_real(rope->magnitude)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* The share of a head that is rotated, such that the product rounded down gives the width again. */
static double rotary_part(const struct upg_config *config)
{
    double part = (double)config->rotary_dim / (double)config->head_dim;

    while ((size_t)((double)config->head_dim * part) < config->rotary_dim)
        part = nextafter(part, 1);
    return part;
}

static json_t *ids_to_json(const upg_tokens *ids)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < ids->n; i++) {
        if (json_array_append_new(list, json_integer(ids->ids[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool set(json_t *json, const char *key, json_t *value)
{
    return json_object_set_new(json, key, value) == 0; /* fails on a value that is NULL */
}

json_t *upg_config_to_json(const struct upg_config *c, const upg_tokens *stop_ids)
{
    const bool is_phi3 = strcmp(c->architecture, "Phi3ForCausalLM") == 0;
    json_t *json = json_object();
    bool ok = json != NULL;

    ok = ok && set(json, "architectures", json_pack("[s]", c->architecture));
    ok = ok && set(json, "model_type", json_string(is_phi3 ? "phi3" : "llama"));
    ok = ok && set(json, "vocab_size", json_integer((json_int_t)c->n_vocab));
    ok = ok && set(json, "hidden_size", json_integer((json_int_t)c->d_model));
    ok = ok && set(json, "intermediate_size", json_integer((json_int_t)c->d_ff));
    ok = ok && set(json, "num_hidden_layers", json_integer((json_int_t)c->n_layers));
    ok = ok && set(json, "num_attention_heads", json_integer((json_int_t)c->n_heads));
    ok = ok && set(json, "num_key_value_heads", json_integer((json_int_t)c->n_kv_heads));
    ok = ok && set(json, "head_dim", json_integer((json_int_t)c->head_dim));
    ok = ok && set(json, "hidden_act", json_string("silu"));
    ok = ok && set(json, "max_position_embeddings", json_integer((json_int_t)c->context));
    ok = ok && set(json, "rms_norm_eps", json_real(c->norm_eps));
    ok = ok && set(json, "rope_theta", json_real(c->rope_theta));
    if (is_phi3)
        ok = ok && set(json, "partial_rotary_factor", json_real(rotary_part(c)));
    if (c->long_rope.present)
        ok = ok && set(json, "original_max_position_embeddings",
                       json_integer((json_int_t)c->long_rope.original_context));
    ok = ok && set(json, "rope_scaling", c->long_rope.present ? long_rope_to_json(c) : json_null());
    if (c->interleaved_pairs)
        ok = ok && set(json, "interleaved_rope_pairs", json_true());
    ok = ok && set(json, "sliding_window", json_null());
    ok = ok && set(json, "attention_bias", json_false());
    ok = ok && set(json, "tie_word_embeddings", json_boolean(c->tied_embeddings));
    ok = ok && set(json, "torch_dtype", json_string("bfloat16"));
    ok = ok && set(json, "eos_token_id", ids_to_json(stop_ids));
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}
