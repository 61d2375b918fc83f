/* The packed form: what goes in comes out, and damage never gets through. */
#include "unit.h"

#include "golden.h"
#include "small.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

static struct upg_buffer pack(const upg_tokenizer *tokenizer)
{
    struct upg_buffer packed = {0};
    upg_error err;

    assert_ok(upg_tokenizer_pack(tokenizer, &packed, &err), err);
    return packed;
}

static upg_tokenizer *unpack(const struct upg_buffer *packed)
{
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    assert_ok(
        upg_tokenizer_unpack(&tokenizer, "x.upg", (const uint8_t *)packed->bytes, packed->n, &err),
        err);
    return tokenizer;
}

/* Same tokens, same specials, and packing again gives the same bytes. */
static void expect_same(const upg_tokenizer *a, const upg_tokenizer *b)
{
    struct upg_buffer packed_a = pack(a), packed_b = pack(b);

    assert_int_equal(upg_tokenizer_n_ids(a), upg_tokenizer_n_ids(b));
    for (int32_t id = 0; id < (int32_t)upg_tokenizer_n_ids(a); id++)
        for (int skip = 0; skip < 2; skip++) {
            const char *bytes_a, *bytes_b;
            size_t n_a, n_b;
            upg_token_bytes(a, id, skip, &bytes_a, &n_a);
            upg_token_bytes(b, id, skip, &bytes_b, &n_b);
            assert_int_equal(n_a, n_b);
            assert_memory_equal(bytes_a, bytes_b, n_a);
        }
    assert_int_equal(packed_a.n, packed_b.n);
    assert_memory_equal(packed_a.bytes, packed_b.bytes, packed_a.n);
    upg_buffer_clear(&packed_a);
    upg_buffer_clear(&packed_b);
}

static void check_round_trip(upg_tokenizer *tokenizer, size_t max_bytes)
{
    struct upg_buffer packed = pack(tokenizer);
    upg_tokenizer *back = unpack(&packed);

    assert_true(packed.n <= max_bytes);
    expect_same(tokenizer, back);
    upg_buffer_clear(&packed);
    upg_tokenizer_free(back);
    upg_tokenizer_free(tokenizer);
}

static void the_family_is_packed_small_and_comes_back(void **state)
{
    (void)state;
    check_round_trip(golden_tokenizer("phi4", NULL), 610000);
    check_round_trip(golden_tokenizer("phi4_mini", NULL), 1210000);
    check_round_trip(golden_tokenizer("phi4_reasoning-other", NULL), 610000);
}

struct rows {
    const upg_tokenizer *tokenizer;
};

static void check_row(const json_t *row, void *context)
{
    const struct rows *rows = context;
    const json_t *text = json_object_get(row, "text");
    upg_tokens tokens = {0};
    upg_error err;

    assert_ok(upg_tokenize(rows->tokenizer, json_string_value(text), json_string_length(text),
                           json_is_true(json_object_get(row, "parse_special")), &tokens, &err),
              err);
    golden_compare(json_string_value(json_object_get(row, "id")), &tokens,
                   json_object_get(row, "phi4_mini"));
    upg_tokens_clear(&tokens);
}

static void an_unpacked_tokenizer_gives_the_recorded_ids(void **state)
{
    upg_tokenizer *tokenizer = golden_tokenizer("phi4_mini", NULL);
    struct upg_buffer packed = pack(tokenizer);
    struct rows rows;

    (void)state;
    upg_tokenizer_free(tokenizer);
    tokenizer = unpack(&packed);
    upg_buffer_clear(&packed);
    rows.tokenizer = tokenizer;
    assert_int_equal(golden_rows("golden_dev.jsonl", check_row, &rows), 1727);
    upg_tokenizer_free(tokenizer);
}

/* What the plain case does not have: a system text, orphan tokens, missing bytes, an unknown token,
 * merges that do not come in the order of ids. */
static upg_tokenizer *unusual_tokenizer(void)
{
    json_t *document = small_json();
    json_t *model = json_object_get(document, "model");
    json_t *vocab = json_object_get(model, "vocab");
    upg_tokenizer *tokenizer = NULL;
    upg_error err;

    json_object_del(vocab, "x");
    json_object_set_new(vocab, "<unk>", json_integer(270));
    json_object_set_new(model, "unk_token", json_string("<unk>"));
    json_object_set_new(vocab, "orphan", json_integer(271));
    json_object_set_new(vocab, "bcd", json_integer(272));
    json_object_set_new(vocab, "cd", json_integer(280));
    json_array_insert_new(json_object_get(model, "merges"), 0, json_string("b cd"));
    json_array_append_new(json_object_get(model, "merges"), json_string("c d"));
    json_object_set_new(model, "ignore_merges", json_true());
    assert_ok(small_read(document,
                         "<|im_start|>system<|im_sep|>Be kind.<|im_end|> add_generation_prompt",
                         &tokenizer, &err),
              err);
    return tokenizer;
}

static void an_unusual_tokenizer_comes_back(void **state)
{
    upg_tokenizer *tokenizer = unusual_tokenizer();
    struct upg_buffer packed = pack(tokenizer);
    upg_tokenizer *back = unpack(&packed);
    const upg_message message = {"user", "bcdx", NULL};
    upg_tokens tokens = {0};
    upg_error err;
    char *prompt = NULL;

    (void)state;
    assert_ok(upg_chat_render(back, &message, 1, 0, &tokens, &prompt, &err), err);
    assert_string_equal(prompt, "<|im_start|>system<|im_sep|>Be kind.<|im_end|>"
                                "<|im_start|>user<|im_sep|>bcdx<|im_end|>");
    assert_int_equal(tokens.ids[tokens.n - 1], SMALL_END);
    assert_int_equal(tokens.ids[tokens.n - 2], 270);
    EXPECT_IDS(back, "orphan", UPG_TEXT_PLAIN, 271);
    expect_same(tokenizer, back);
    upg_free(prompt);
    upg_tokens_clear(&tokens);
    upg_tokenizer_free(back);
    upg_tokenizer_free(tokenizer);
    upg_buffer_clear(&packed);
}

static void every_truncation_is_refused(void **state)
{
    upg_tokenizer *tokenizer = unusual_tokenizer();
    struct upg_buffer packed = pack(tokenizer);

    (void)state;
    upg_tokenizer_free(tokenizer);
    for (size_t n = 0; n < packed.n; n++) {
        uint8_t *bytes = malloc(n ? n : 1); /* of its own size, so that a sanitizer sees the end */
        upg_error err = {0};

        assert_non_null(bytes);
        memcpy(bytes, packed.bytes, n);
        tokenizer = NULL;
        assert_fails(upg_tokenizer_unpack(&tokenizer, "x.upg", bytes, n, &err), UPG_ERR_FORMAT, err,
                     "x.upg: tokenizer");
        assert_null(tokenizer);
        free(bytes);
    }
    assert_ok(upg_buffer_append(&packed, "", 1, NULL), (upg_error){0});
    assert_int_equal(
        upg_tokenizer_unpack(&tokenizer, "x.upg", (const uint8_t *)packed.bytes, packed.n, NULL),
        UPG_ERR_FORMAT);
    upg_buffer_clear(&packed);
}

/* A damaged byte may still be a tokenizer; it must then work, and otherwise be refused. */
static void damaged_bytes_do_no_harm(void **state)
{
    upg_tokenizer *tokenizer = unusual_tokenizer();
    struct upg_buffer packed = pack(tokenizer);
    size_t n_refused = 0;

    (void)state;
    upg_tokenizer_free(tokenizer);
    for (size_t i = 0; i < packed.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            upg_error err = {0};
            upg_tokens tokens = {0};

            packed.bytes[i] = (char)(packed.bytes[i] ^ 1 << bit);
            tokenizer = NULL;
            if (upg_tokenizer_unpack(&tokenizer, "x.upg", (const uint8_t *)packed.bytes, packed.n,
                                     &err) == UPG_OK)
                assert_ok(upg_tokenize(tokenizer, "hello bcd <|im_end|>", 20,
                                       UPG_TEXT_PARSE_SPECIAL, &tokens, &err),
                          err);
            else
                n_refused++;
            packed.bytes[i] = (char)(packed.bytes[i] ^ 1 << bit);
            upg_tokens_clear(&tokens);
            upg_tokenizer_free(tokenizer);
        }
    assert_true(n_refused > packed.n); /* most damage shows */
    upg_buffer_clear(&packed);
}

/* A count is compared with the bytes before it is believed. */
static void claimed_counts_allocate_nothing(void **state)
{
    upg_tokenizer *tokenizer = small_tokenizer(NULL);
    struct upg_buffer packed = pack(tokenizer);

    (void)state;
    upg_tokenizer_free(tokenizer);
    for (size_t field = 0; field < 4; field++) {
        char kept[4];
        upg_error err;

        memcpy(kept, packed.bytes + 8 + 4 * field, 4);
        memcpy(packed.bytes + 8 + 4 * field, "\xFF\xFF\x3F\x00", 4);
        tokenizer = NULL;
        assert_fails(upg_tokenizer_unpack(&tokenizer, "x.upg", (const uint8_t *)packed.bytes,
                                          packed.n, &err),
                     UPG_ERR_FORMAT, err, "claims");
        memcpy(packed.bytes + 8 + 4 * field, kept, 4);
    }
    upg_buffer_clear(&packed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_family_is_packed_small_and_comes_back),
        cmocka_unit_test(an_unpacked_tokenizer_gives_the_recorded_ids),
        cmocka_unit_test(an_unusual_tokenizer_comes_back),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(damaged_bytes_do_no_harm),
        cmocka_unit_test(claimed_counts_allocate_nothing),
    };

    if (argc != 2)
        return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
