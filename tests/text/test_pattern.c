/* Patterns cut texts as the programs do that the vocabularies were made with.
 *
 * pretokens.jsonl is what Hugging Face tokenizers does; make_pretokens.py wrote it. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "unit.h"

#include "golden.h"

#include "base/random.h"
#include "base/utf8.h"
#include "text/pattern.h"

#include <pcre2.h>

static pcre2_code *compile(const char *regex, uint32_t options)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP | options, &code, &offset, NULL);

    assert_non_null(compiled);
    return compiled;
}

/* Length of the match at text[at]; every pattern has one everywhere. */
static size_t match(const pcre2_code *regex, const char *text, size_t n, size_t at)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    size_t length;

    assert_true(pcre2_match(regex, (PCRE2_SPTR)text, n, at, PCRE2_ANCHORED, data, NULL) > 0);
    length = pcre2_get_ovector_pointer(data)[1] - at;
    pcre2_match_data_free(data);
    return length;
}

static void check_row(const json_t *row, void *context)
{
    const json_t *text = json_object_get(row, "text"), *words = json_object_get(row, "words");
    const char *name = json_string_value(json_object_get(row, "pattern"));
    pcre2_code *regex = compile(upg_pattern_find(name)->pcre, 0);
    const char *bytes = json_string_value(text);
    const size_t n = json_string_length(text);
    size_t at = 0;

    (void)context;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const size_t length = json_string_length(json_array_get(words, i));
        const size_t found = match(regex, bytes, n, at);
        if (found != length)
            fail_msg("%s: %s: word %zu has %zu bytes, must have %zu", name,
                     json_dumps(text, JSON_ENCODE_ANY), i, found, length);
        at += length;
    }
    assert_int_equal(at, n);
    pcre2_code_free(regex);
}

static void patterns_cut_as_recorded(void **state)
{
    (void)state;
    assert_int_equal(golden_rows("pretokens.jsonl", check_row, NULL), 524);
}

/* Characters that the patterns tell apart, U+180E excepted: only PCRE2 calls it a space. */
static size_t random_text(struct upg_random *random, char *text, size_t n_characters)
{
    static const uint32_t alphabet[] = {'a',    'B',     's',  'S',   't',   'l',   'L',   '\'',
                                        ' ',    ' ',     '\n', '\r',  '\t',  '0',   '7',   '!',
                                        '/',    '.',     0xA0, 0x17F, 0x301, 0x2B0, 0x1C5, 0x4E2D,
                                        0x3000, 0x1F600, 0xBD, 0x663, 0x85,  0x1C};
    size_t n = 0;

    for (size_t i = 0; i < n_characters; i++)
        n += upg_utf8_put(text + n,
                          alphabet[upg_random_u64(random) % (sizeof alphabet / sizeof *alphabet)]);
    return n;
}

static void all_spellings_of_a_pattern_cut_alike(void **state)
{
    struct upg_random random = {7};
    const struct upg_pattern *pattern;
    const char *spelling;

    (void)state;
    for (size_t i = 0; (spelling = upg_pattern_spelling(i, &pattern)); i++) {
        pcre2_code *spelt = compile(spelling, PCRE2_DOLLAR_ENDONLY);
        pcre2_code *known = compile(pattern->pcre, 0);

        assert_ptr_equal(upg_pattern_of_regex(spelling, strlen(spelling)), pattern);
        for (int round = 0; round < 3000; round++) {
            char text[4 * 24];
            const size_t n = random_text(&random, text, 24);
            for (size_t at = 0, length; at < n; at += length) {
                length = match(known, text, n, at);
                assert_int_equal(match(spelt, text, n, at), length);
            }
        }
        pcre2_code_free(spelt);
        pcre2_code_free(known);
    }
}

static void unknown_names_are_not_found(void **state)
{
    bool ignore_merges;

    (void)state;
    assert_null(upg_pattern_find("cl200k"));
    assert_null(upg_pattern_of_regex("\\w+", 3));
    assert_null(upg_pattern_of_gguf("default", &ignore_merges));
    assert_non_null(upg_pattern_of_gguf("llama-bpe", &ignore_merges));
    assert_true(ignore_merges);
    assert_string_equal(upg_pattern_of_gguf("dbrx", &ignore_merges)->name, "cl100k");
    assert_false(ignore_merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_cut_as_recorded),
        cmocka_unit_test(all_spellings_of_a_pattern_cut_alike),
        cmocka_unit_test(unknown_names_are_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
