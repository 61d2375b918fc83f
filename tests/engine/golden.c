/* golden.c -- see golden.h. */
#include "engine/golden.h"

#include "unit.h"

#include "base/buffer.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

void golden_open(struct golden *golden, const char *name)
{
    struct upg_buffer bytes = {0};
    char path[128];
    upg_error err = {0};

    snprintf(path, sizeof path, "tests/data/engine/logits/%s.json", name);
    assert_ok(upg_json_read(&golden->json, path, &err), err);
    snprintf(path, sizeof path, "tests/data/engine/logits/%s.bin", name);
    assert_ok(upg_buffer_read_file(&bytes, path, (size_t)1 << 24, &err), err);
    golden->values = malloc(bytes.n);
    assert_non_null(golden->values);
    memcpy(golden->values, bytes.bytes, bytes.n);
    upg_buffer_clear(&bytes);
    formula_model(&golden->model, golden->json);
}

void golden_close(struct golden *golden)
{
    formula_model_clear(&golden->model);
    free(golden->values);
    json_decref(golden->json);
}

upg_engine_options golden_options(void)
{
    upg_engine_options options;

    upg_engine_options_defaults(&options);
    options.n_threads = 2;
    options.kv_type = UPG_KV_F32;
    options.cpu_tier = getenv("UPG_CPU");
    return options;
}

upg_engine *golden_engine(const struct golden *golden, const upg_engine_options *options)
{
    const upg_engine_options usual = golden_options();
    upg_engine *engine = NULL;
    upg_error err = {0};

    assert_ok(upg_engine_new(&engine, &golden->model, options ? options : &usual, &err), err);
    return engine;
}

int32_t *golden_ids(const json_t *array, size_t *n)
{
    int32_t *ids;

    *n = json_array_size(array);
    ids = malloc(*n * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

const float *golden_values(const struct golden *golden, const json_t *object)
{
    const size_t offset = (size_t)json_integer_value(json_object_get(object, "offset"));

    return golden->values + offset / sizeof(float);
}

size_t golden_n_prompts(const struct golden *golden)
{
    return json_array_size(json_object_get(golden->json, "prompts"));
}

struct golden_prompt golden_prompt(const struct golden *golden, size_t i)
{
    struct golden_prompt prompt = {.json =
                                       json_array_get(json_object_get(golden->json, "prompts"), i)};
    const json_t *ids = json_object_get(prompt.json, "ids");
    const json_t *logits = json_object_get(prompt.json, "logits");

    if (json_is_array(ids)) {
        prompt.ids = golden_ids(ids, &prompt.n_ids);
    } else {
        prompt.n_ids = (size_t)json_integer_value(json_object_get(ids, "count"));
        prompt.ids = malloc(prompt.n_ids * sizeof *prompt.ids);
        assert_non_null(prompt.ids);
        formula_prompt(prompt.ids, prompt.n_ids,
                       (uint64_t)json_integer_value(json_object_get(ids, "prompt_seed")),
                       golden->model.config.n_vocab);
    }
    prompt.logits = golden_values(golden, logits);
    prompt.n_logits =
        (size_t)json_integer_value(json_array_get(json_object_get(logits, "shape"), 0));
    return prompt;
}
