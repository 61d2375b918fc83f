/* config.json: what is read, what is ignored, what is refused, and what must be true of the family.
 */
#include "unit.h"

#include "model/config.h"
#include "text/text.h"

#include <math.h>
#include <stdlib.h>

/* A config that is fine, with fields of `changes` (a JSON object's text) put over it; null stays
 * null, the string "(remove)" removes. */
static json_t *changed(const char *base, const char *changes)
{
    json_t *json = json_loads(base, 0, NULL), *over = json_loads(changes, 0, NULL), *value;
    const char *key;

    assert_non_null(json);
    assert_non_null(over);
    json_object_foreach(over, key, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), "(remove)") == 0)
            json_object_del(json, key);
        else
            json_object_set(json, key, value);
    }
    json_decref(over);
    return json;
}

static upg_status parse(struct upg_config *config, struct upg_arena *arena, const char *base,
                        const char *changes, upg_error *err)
{
    json_t *json = changed(base, changes);
    upg_status status;

    memset(config, 0, sizeof *config);
    status = upg_config_parse(config, arena, json, "config.json", err);
    json_decref(json);
    return status;
}

static const char small_phi3[] =
    "{\"architectures\":[\"Phi3ForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":"
    "260,"
    "\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-5,\"rope_theta\":500000.0,"
    "\"rope_scaling\":null,\"sliding_window\":null,\"tie_word_embeddings\":false,"
    "\"hidden_act\":\"silu\",\"attention_bias\":false}";

static void shape_and_constants_are_read(void **state)
{
    struct upg_config config;
    struct upg_arena arena = {0};
    upg_error err;
    (void)state;

    assert_ok(parse(&config, &arena, small_phi3, "{}", &err), err);
    assert_string_equal(config.architecture, "Phi3ForCausalLM");
    assert_int_equal(config.head_dim, 16);
    assert_int_equal(config.rotary_dim, 16);
    assert_int_equal(config.n_kv_heads, 2);
    assert_int_equal(config.context, 4096);
    assert_true(config.rope_theta == 500000);
    assert_false(config.long_rope.present);
    assert_ok(parse(&config, &arena, small_phi3,
                    "{\"head_dim\":8,\"partial_rotary_factor\":0.75,\"num_key_value_heads\":null,"
                    "\"rope_theta\":\"(remove)\",\"rms_norm_eps\":\"(remove)\"}",
                    &err),
              err);
    assert_int_equal(config.head_dim, 8);
    assert_int_equal(config.rotary_dim, 6);
    assert_int_equal(config.n_kv_heads, 4); /* as many as heads when absent */
    assert_true(config.rope_theta == 10000);
    assert_true(config.norm_eps == 1e-5);
    assert_ok(parse(&config, &arena, small_phi3,
                    "{\"architectures\":[\"LlamaForCausalLM\"],\"rms_norm_eps\":null}", &err),
              err);
    assert_true(config.norm_eps == 1e-6);
    assert_ok(parse(&config, &arena, small_phi3, "{\"architectures\":null,\"model_type\":\"phi3\"}",
                    &err),
              err);
    upg_arena_clear(&arena);
}

/* What has no effect is no reason to refuse. */
static void harmless_settings_are_ignored(void **state)
{
    static const char *const cases[] = {
        "{\"attention_dropout\":0.1,\"embd_pdrop\":0.5,\"resid_pdrop\":0.0,\"attn_pdrop\":0}",
        "{\"full_attn_mod\":1,\"interpolate_factor\":1,\"mlp_bias\":false,\"lm_head_bias\":false}",
        "{\"sliding_window\":0}",
        "{\"sliding_window\":262144}",
        "{\"sliding_window\":4096}",
        "{\"sliding_window\":2047,\"use_sliding_window\":false}",
        "{\"layer_types\":[\"full_attention\",\"full_attention\"]}",
        "{\"quantization_config\":null,\"attn_logit_softcapping\":null,\"qk_norm\":false}",
        "{\"_attn_implementation\":\"eager\",\"use_cache\":true,\"auto_map\":{\"a\":\"b\"}}",
        "{\"rope_scaling\":{\"rope_type\":\"default\"}}",
        "{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0}}",
        "{\"hidden_act\":\"(remove)\"}",
        "{\"position_embedding_type\":\"rope\",\"max_window_layers\":70}",
        "{\"torch_dtype\":\"bfloat16\",\"dtype\":\"float32\",\"anything\":[{}]}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_config config;
        struct upg_arena arena = {0};
        upg_error err;
        assert_ok(parse(&config, &arena, small_phi3, cases[i], &err), err);
        assert_int_equal(config.sliding_window, 0);
        upg_arena_clear(&arena);
    }
}

static const struct {
    const char *changes;
    upg_status status;
    const char *message;
} refused[] = {
    /* settings that would change the computation */
    {"{\"attention_bias\":true}", UPG_ERR_UNSUPPORTED, "attention_bias: is true"},
    {"{\"mlp_bias\":true}", UPG_ERR_UNSUPPORTED, "mlp_bias"},
    {"{\"lm_head_bias\":true}", UPG_ERR_UNSUPPORTED, "lm_head_bias"},
    {"{\"hidden_act\":\"gelu\"}", UPG_ERR_UNSUPPORTED, "hidden_act: is \"gelu\""},
    {"{\"hidden_act\":7}", UPG_ERR_UNSUPPORTED, "hidden_act"},
    {"{\"hidden_activation\":\"gelu_tanh\"}", UPG_ERR_UNSUPPORTED, "hidden_activation"},
    {"{\"sliding_window\":2047}", UPG_ERR_UNSUPPORTED, "sliding_window: is 2047"},
    {"{\"sliding_window\":4095}", UPG_ERR_UNSUPPORTED, "sliding_window: is 4095"},
    {"{\"layer_types\":[\"full_attention\",\"chunked_attention\"]}", UPG_ERR_UNSUPPORTED,
     "layer_types"},
    {"{\"layer_types\":[\"sliding_attention\"]}", UPG_ERR_UNSUPPORTED, "layer_types"},
    {"{\"layer_types\":\"full\"}", UPG_ERR_UNSUPPORTED, "layer_types"},
    {"{\"qk_norm\":true}", UPG_ERR_UNSUPPORTED, "qk_norm"},
    {"{\"use_qk_norm\":1}", UPG_ERR_UNSUPPORTED, "use_qk_norm"},
    {"{\"attn_logit_softcapping\":50.0}", UPG_ERR_UNSUPPORTED, "attn_logit_softcapping"},
    {"{\"final_logit_softcapping\":30.0}", UPG_ERR_UNSUPPORTED, "final_logit_softcapping"},
    {"{\"quantization_config\":{\"bits\":4}}", UPG_ERR_UNSUPPORTED, "quantization_config"},
    {"{\"compression_config\":{}}", UPG_ERR_UNSUPPORTED, "compression_config"},
    {"{\"attention_sink\":true}", UPG_ERR_UNSUPPORTED, "attention_sink"},
    {"{\"full_attn_mod\":2}", UPG_ERR_UNSUPPORTED, "full_attn_mod: is 2"},
    {"{\"logit_scale\":0.5}", UPG_ERR_UNSUPPORTED, "logit_scale"},
    {"{\"embedding_multiplier\":12}", UPG_ERR_UNSUPPORTED, "embedding_multiplier"},
    {"{\"num_local_experts\":16}", UPG_ERR_UNSUPPORTED, "num_local_experts"},
    {"{\"position_embedding_type\":\"alibi\"}", UPG_ERR_UNSUPPORTED, "position_embedding_type"},
    {"{\"alibi\":true}", UPG_ERR_UNSUPPORTED, "alibi"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}", UPG_ERR_UNSUPPORTED,
     "rope_scaling.type: is \"yarn\""},
    {"{\"rope_scaling\":{\"rope_type\":\"llama3\"}}", UPG_ERR_UNSUPPORTED, "rope_type"},
    {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", UPG_ERR_UNSUPPORTED, "linear"},
    {"{\"rope_scaling\":{\"type\":\"default\",\"short_mscale\":1.1}}", UPG_ERR_UNSUPPORTED,
     "rope_scaling.short_mscale"},
    {"{\"rope_scaling\":\"longrope\"}", UPG_ERR_UNSUPPORTED, "rope_scaling"},
    {"{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}", UPG_ERR_UNSUPPORTED,
     "full_attention"},
    {"{\"architectures\":[\"Phi4MMForCausalLM\"]}", UPG_ERR_UNSUPPORTED, "Phi4MMForCausalLM"},
    {"{\"architectures\":[\"Qwen2ForCausalLM\"]}", UPG_ERR_UNSUPPORTED, "is not supported"},
    {"{\"architectures\":[\"LlamaForCausalLM\"],\"partial_rotary_factor\":0.5}",
     UPG_ERR_UNSUPPORTED, "partial_rotary_factor"},
    /* values that are missing or impossible */
    {"{\"architectures\":[]}", UPG_ERR_FORMAT, "architectures: is missing"},
    {"{\"hidden_size\":\"(remove)\"}", UPG_ERR_FORMAT, "hidden_size: is missing"},
    {"{\"hidden_size\":0}", UPG_ERR_FORMAT, "hidden_size: is 0"},
    {"{\"hidden_size\":-64}", UPG_ERR_FORMAT, "hidden_size: is -64"},
    {"{\"hidden_size\":1e3}", UPG_ERR_FORMAT, "hidden_size: must be an integer"},
    {"{\"hidden_size\":\"64\"}", UPG_ERR_FORMAT, "hidden_size: must be an integer"},
    {"{\"hidden_size\":9223372036854775807}", UPG_ERR_FORMAT, "hidden_size: is 92233"},
    {"{\"intermediate_size\":null}", UPG_ERR_FORMAT, "intermediate_size: is missing"},
    {"{\"num_hidden_layers\":4000000000}", UPG_ERR_FORMAT, "num_hidden_layers: is 4000000000"},
    {"{\"num_attention_heads\":0}", UPG_ERR_FORMAT, "num_attention_heads: is 0"},
    {"{\"num_attention_heads\":5}", UPG_ERR_FORMAT, "does not divide num_attention_heads"},
    {"{\"num_attention_heads\":6,\"head_dim\":null}", UPG_ERR_FORMAT,
     "does not divide hidden_size"},
    {"{\"num_key_value_heads\":3}", UPG_ERR_FORMAT, "num_key_value_heads: 3 does not divide"},
    {"{\"vocab_size\":[]}", UPG_ERR_FORMAT, "vocab_size: must be an integer"},
    {"{\"max_position_embeddings\":\"(remove)\"}", UPG_ERR_FORMAT, "max_position_embeddings"},
    {"{\"rms_norm_eps\":0}", UPG_ERR_FORMAT, "rms_norm_eps: is 0"},
    {"{\"rms_norm_eps\":\"1e-5\"}", UPG_ERR_FORMAT, "rms_norm_eps: must be a number"},
    {"{\"rope_theta\":0.5}", UPG_ERR_FORMAT, "rope_theta: is 0.5"},
    {"{\"tie_word_embeddings\":1}", UPG_ERR_FORMAT, "tie_word_embeddings: must be true or false"},
    {"{\"sliding_window\":-1}", UPG_ERR_FORMAT, "sliding_window: is -1"},
    {"{\"partial_rotary_factor\":1.5}", UPG_ERR_FORMAT, "partial_rotary_factor: is 1.5"},
    {"{\"partial_rotary_factor\":0.01}", UPG_ERR_FORMAT, "is 0 values"},
    {"{\"partial_rotary_factor\":0.2}", UPG_ERR_FORMAT, "is 3 values"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[1]}}",
     UPG_ERR_FORMAT, "original_max_position_embeddings: is missing"},
};

static void what_upg_does_not_compute_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct upg_config config;
        struct upg_arena arena = {0};
        upg_error err;
        assert_fails(parse(&config, &arena, small_phi3, refused[i].changes, &err),
                     refused[i].status, err, refused[i].message);
        upg_arena_clear(&arena);
    }
}

/* ---- LongRoPE */

#define FOUR(x) x "," x "," x "," x
#define ONES "[" FOUR("1") "," FOUR("1") "]"
#define RISING "[1,2,3,4,5,6,7,8.5]"

static void long_rope_is_read_in_all_its_spellings(void **state)
{
    static const char *const cases[] = {
        "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"longrope\","
        "\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
        "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"su\","
        "\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
        "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"rope_type\":\"longrope\","
        "\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
        "{\"rope_theta\":\"(remove)\",\"rope_scaling\":\"(remove)\",\"rope_parameters\":{"
        "\"rope_type\":\"longrope\",\"rope_theta\":500000.0,\"partial_rotary_factor\":1.0,"
        "\"original_max_position_embeddings\":128,\"short_factor\":" ONES ",\"long_factor\":" RISING
        "}}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_config config;
        struct upg_arena arena = {0};
        upg_error err;
        assert_ok(parse(&config, &arena, small_phi3, cases[i], &err), err);
        assert_true(config.long_rope.present);
        assert_int_equal(config.long_rope.original_context, 128);
        assert_true(config.long_rope.short_factor[7] == 1);
        assert_true(config.long_rope.long_factor[7] == 8.5f);
        /* sqrt(1 + ln(4096 / 128) / ln(128)) = sqrt(1 + 5 / 7) */
        assert_true(fabs(config.long_rope.magnitude - sqrt(12.0 / 7)) < 1e-12);
        assert_true(config.rope_theta == 500000);
        upg_arena_clear(&arena);
    }
}

static void explicit_long_rope_factors_win(void **state)
{
    struct upg_config config;
    struct upg_arena arena = {0};
    upg_error err;
    (void)state;

    assert_ok(parse(&config, &arena, small_phi3,
                    "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"su\","
                    "\"factor\":128,\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
                    &err),
              err);
    assert_true(fabs(config.long_rope.magnitude - sqrt(2)) < 1e-12);
    assert_ok(parse(&config, &arena, small_phi3,
                    "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"su\","
                    "\"attention_factor\":1.25,\"short_factor\":" ONES ",\"long_factor\":" RISING
                    "}}",
                    &err),
              err);
    assert_true(config.long_rope.magnitude == 1.25);
    upg_arena_clear(&arena);
}

static void false_long_rope_factors_are_refused(void **state)
{
    static const struct {
        const char *factors, *message;
    } cases[] = {
        {"[1,1,1,1,1,1,1]", "must be a list of 8 numbers"},
        {"[1,1,1,1,1,1,1,1,1]", "must be a list of 8 numbers"},
        {"8", "must be a list of 8 numbers"},
        {"null", "must be a list of 8 numbers"},
        {"[1,1,1,0,1,1,1,1]", "long_factor[3]: must be a number above 0"},
        {"[1,1,1,-2,1,1,1,1]", "long_factor[3]: must be a number above 0"},
        {"[1,1,1,1e300,1,1,1,1]", "long_factor[3]: must be a number above 0"},
        {"[1,1,1,\"2\",1,1,1,1]", "long_factor[3]: must be a number above 0"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_config config;
        struct upg_arena arena = {0};
        upg_error err;
        char changes[512];
        snprintf(
            changes, sizeof changes,
            "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"longrope\","
            "\"short_factor\":" ONES ",\"long_factor\":%s}}",
            cases[i].factors);
        assert_fails(parse(&config, &arena, small_phi3, changes, &err), UPG_ERR_FORMAT, err,
                     cases[i].message);
        upg_arena_clear(&arena);
    }
}

/* ---- Writing */

/* Whatever was read is written such that it is read again, bit for bit. */
static void written_config_is_read_back(void **state)
{
    static const char *const cases[] = {
        "{}",
        "{\"architectures\":[\"LlamaForCausalLM\"],\"tie_word_embeddings\":true,\"head_dim\":80}",
        "{\"head_dim\":90,\"partial_rotary_factor\":0.7,\"rms_norm_eps\":0.00001000000001}",
        "{\"head_dim\":49,\"partial_rotary_factor\":0.05}", /* 49 * (2.0 / 49) is below 2 */
        "{\"interleaved_rope_pairs\":true,\"rope_theta\":123456.789}",
        "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"su\","
        "\"attention_factor\":1.25,\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
        "{\"original_max_position_embeddings\":128,\"rope_scaling\":{\"type\":\"su\","
        "\"short_factor\":" ONES ",\"long_factor\":" RISING "}}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_config first, second = {0};
        struct upg_arena arena = {0};
        upg_tokens ids = {0}, again = {0};
        const int32_t stop[] = {3, 1};
        json_t *json;
        upg_error err;
        assert_ok(parse(&first, &arena, small_phi3, cases[i], &err), err);
        assert_ok(upg_tokens_append(&ids, stop, 2, &err), err);
        json = upg_config_to_json(&first, &ids);
        assert_non_null(json);
        assert_ok(upg_config_parse(&second, &arena, json, "written", &err), err);
        assert_ok(upg_config_stop_ids(json, "written", &again, &err), err);
        assert_int_equal(again.n, 2);
        assert_int_equal(again.ids[0], 3);
        assert_int_equal(first.rotary_dim, second.rotary_dim);
        assert_int_equal(first.head_dim, second.head_dim);
        assert_true(first.norm_eps == second.norm_eps && first.rope_theta == second.rope_theta);
        assert_int_equal(first.interleaved_pairs, second.interleaved_pairs);
        assert_int_equal(first.long_rope.present, second.long_rope.present);
        assert_true(first.long_rope.magnitude == second.long_rope.magnitude);
        if (first.long_rope.present)
            assert_memory_equal(first.long_rope.long_factor, second.long_rope.long_factor,
                                first.rotary_dim / 2 * sizeof(float));
        json_decref(json);
        upg_tokens_clear(&ids);
        upg_tokens_clear(&again);
        upg_arena_clear(&arena);
    }
}

/* ---- The family */

static json_t *member(const char *name)
{
    char path[128];
    json_t *json = NULL;
    upg_error err;

    snprintf(path, sizeof path, "tests/data/model/family/%s.json", name);
    assert_ok(upg_json_read(&json, path, &err), err);
    return json;
}

static const char *const members[] = {"phi-4", "phi-4-reasoning", "phi-4-mini-instruct"};

static void published_members_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        struct upg_config config = {0};
        struct upg_arena arena = {0};
        json_t *json = member(members[i]);
        upg_error err;
        assert_ok(upg_config_parse(&config, &arena, json, "config.json", &err), err);
        assert_ok(upg_config_check_family(&config, "config.json", &err), err);
        assert_int_equal(config.rotary_dim, i == 2 ? 96 : 128);
        if (i == 2)
            assert_true(fabs(config.long_rope.magnitude - 1.1902380714238083) < 1e-15);
        json_decref(json);
        upg_arena_clear(&arena);
    }
}

static void members_with_other_constants_are_refused(void **state)
{
    static const struct {
        int member;
        const char *key, *value, *message;
    } cases[] = {
        {0, "rope_theta", "10000", "rope_theta: is 10000; this has the shape of phi-4"},
        {0, "max_position_embeddings", "32768",
         "rope_theta: is 250000; this has the shape of phi-4-r"},
        {0, "max_position_embeddings", "8192", "max_position_embeddings: is 8192"},
        {0, "rms_norm_eps", "1e-6", "rms_norm_eps: is 1e-06"},
        {0, "tie_word_embeddings", "true", "tie_word_embeddings: is 1"},
        {0, "partial_rotary_factor", "0.75", "rotated width of a head: is 96"},
        {0, "head_dim", "64", "head_dim: is 64"},
        {1, "rope_theta", "250000", "this has the shape of phi-4-reasoning, which has 500000"},
        {2, "partial_rotary_factor", "1.0", "must be a list of 64 numbers"},
        {2, "rope_scaling", "null", "original_max_position_embeddings: is 0"},
        {2, "original_max_position_embeddings", "8192",
         "original_max_position_embeddings: is 8192"},
        {2, "tie_word_embeddings", "false", "tie_word_embeddings: is 0"},
        {2, "rope_theta", "500000", "rope_theta: is 500000"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_config config = {0};
        struct upg_arena arena = {0};
        json_t *json = member(members[cases[i].member]);
        upg_error err;
        upg_status status;
        json_object_set_new(json, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        status = upg_config_parse(&config, &arena, json, "config.json", &err);
        if (status == UPG_OK)
            status = upg_config_check_family(&config, "config.json", &err);
        assert_int_equal(status, UPG_ERR_FORMAT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("no '%s' in: %s", cases[i].message, err.message);
        json_decref(json);
        upg_arena_clear(&arena);
    }
}

static void one_wrong_factor_of_mini_is_found(void **state)
{
    static const char *const lists[] = {"short_factor", "long_factor"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct upg_config config = {0};
        struct upg_arena arena = {0};
        json_t *json = member("phi-4-mini-instruct");
        upg_error err;
        json_array_set_new(json_object_get(json_object_get(json, "rope_scaling"), lists[i]), 47,
                           json_real(47.78));
        assert_ok(upg_config_parse(&config, &arena, json, "config.json", &err), err);
        assert_fails(upg_config_check_family(&config, "config.json", &err), UPG_ERR_FORMAT, err,
                     i == 0 ? "short_factor[47]: is 47.77999" : "long_factor[47]: is 47.77999");
        json_decref(json);
        upg_arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_and_constants_are_read),
        cmocka_unit_test(harmless_settings_are_ignored),
        cmocka_unit_test(what_upg_does_not_compute_is_refused_by_name),
        cmocka_unit_test(long_rope_is_read_in_all_its_spellings),
        cmocka_unit_test(explicit_long_rope_factors_win),
        cmocka_unit_test(false_long_rope_factors_are_refused),
        cmocka_unit_test(written_config_is_read_back),
        cmocka_unit_test(published_members_pass),
        cmocka_unit_test(members_with_other_constants_are_refused),
        cmocka_unit_test(one_wrong_factor_of_mini_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
