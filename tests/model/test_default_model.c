/* The default model, embedded and as a file, and tokenizers beside models. */
#include "unit.h"

#include "model/folder.h"
#include "model/hf_builder.h"
#include "model/model.h"
#include "text/text.h"

static const char path[] = "models/default.upg";

static void default_model_is_verified(void **state)
{
    upg_error err;
    (void)state;

    assert_ok(upg_verify(path, NULL, &err), err);
}

/* A build without it says so. */
static void embedded_model_is_the_file(void **state)
{
    upg_model *model = NULL;
    upg_model_info info;
    upg_error err;
    size_t n, n_file;
    const uint8_t *bytes = upg_embedded_model(&n);
    unsigned char *file = folder_read(path, &n_file);
    (void)state;

    if (n == 0) {
        assert_fails(upg_model_open(&model, NULL, NULL, &err), UPG_ERR_ARGUMENT, err, "without");
        assert_fails(upg_verify(NULL, NULL, &err), UPG_ERR_ARGUMENT, err, "without");
    } else {
        assert_int_equal(n, n_file);
        assert_memory_equal(bytes, file, n);
        assert_ok(upg_verify(NULL, NULL, &err), err);
        assert_ok(upg_model_open(&model, NULL, NULL, &err), err);
        upg_model_get_info(model, &info);
        assert_string_equal(info.path, "(embedded)");
        assert_string_equal(info.chat_template, "phi-4");
        assert_int_equal(info.n_stop_ids, 2);
        upg_model_free(model);
    }
    free(file);
}

/* Write the default model's tokenizer as the files that a Hugging Face directory has. */
static void write_tokenizer(const char *folder)
{
    struct upg_buffer tokenizer_json = {0}, config_json = {0};
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    assert_ok(upg_tokenizer_open(&tokenizer, path, &err), err);
    assert_ok(upg_tokenizer_to_json(tokenizer, &tokenizer_json, &config_json, &err), err);
    folder_write(folder, "tokenizer.json", tokenizer_json.bytes, tokenizer_json.n);
    folder_write(folder, "tokenizer_config.json", config_json.bytes, config_json.n);
    upg_buffer_clear(&tokenizer_json);
    upg_buffer_clear(&config_json);
    upg_tokenizer_free(tokenizer);
}

static void tokenizer_is_opened_without_a_model(void **state)
{
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    assert_fails(upg_tokenizer_open(&tokenizer, *state, &err), UPG_ERR_FORMAT, err,
                 "has no tokenizer");
    write_tokenizer(*state);
    assert_ok(upg_tokenizer_open(&tokenizer, *state, &err), err);
    assert_int_equal(upg_tokenizer_n_ids(tokenizer), 8192);
    assert_string_equal(upg_tokenizer_template_name(tokenizer), "phi-4");
    upg_tokenizer_free(tokenizer);
}

static void tokenizer_of_another_model_is_refused(void **state)
{
    struct hf_builder b;
    upg_model *model;
    upg_error err;

    hf_build(&b, "Phi3ForCausalLM", "BF16", true, 1);
    hf_write(&b, *state);
    write_tokenizer(*state);
    assert_fails(upg_model_open(&model, *state, NULL, &err), UPG_ERR_FORMAT, err,
                 "ids up to 8191, but vocab_size");
    hf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_model_is_verified),
        cmocka_unit_test(embedded_model_is_the_file),
        folder_test(tokenizer_is_opened_without_a_model),
        folder_test(tokenizer_of_another_model_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
