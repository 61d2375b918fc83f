/* Bytes to whole characters, however they arrive. */
#include "unit.h"

#include "base/random.h"
#include "base/utf8.h"

#include <stdio.h>

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

enum { MAX_BYTES = 64 };

/* Text of bytes[n], fed in pieces that end at the set bits of `cuts`. */
static size_t decode(const char *bytes, size_t n, uint64_t cuts, char *out)
{
    upg_detokenizer detokenizer = {0};
    size_t begin = 0, n_out = 0;

    for (size_t end = 1; end <= n; end++) {
        size_t more;
        if (end < n && !(cuts >> end & 1))
            continue;
        more = upg_detokenize(&detokenizer, bytes + begin, end - begin, out + n_out);
        assert_true(more <= UPG_DETOKENIZE_CAPACITY(end - begin));
        for (size_t i = 0, length; i < more; i += length) { /* only whole characters come out */
            length = upg_utf8_next(out + n_out + i, more - i, NULL);
            assert_true(length > 0);
        }
        n_out += more;
        begin = end;
    }
    return n_out + upg_detokenize(&detokenizer, NULL, 0, out + n_out);
}

static void check(const char *bytes, size_t n, const char *text)
{
    char out[UPG_DETOKENIZE_CAPACITY(MAX_BYTES) * 4] = {0};
    const uint64_t all_cuts = n < 16 ? UINT64_C(1) << n : 1 << 16;

    for (uint64_t cuts = 0; cuts < all_cuts; cuts++) {
        const size_t n_out = decode(bytes, n, cuts, out);
        if (n_out != strlen(text) || memcmp(out, text, n_out) != 0)
            fail_msg("cuts %llx: \"%.*s\" must be \"%s\"", (unsigned long long)cuts, (int)n_out,
                     out, text);
    }
}

static void valid_text_passes_whole_in_every_cut(void **state)
{
    static const char *const texts[] = {"a",
                                        "\xC3\xA9",
                                        "\xE4\xBD\xA0x",
                                        "\xF0\x9F\x98\x80",
                                        "a\xC2\xA0\xE0\xA0\x80\xF0\x90\x80\x80z",
                                        "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(texts[i], strlen(texts[i]), texts[i]);
}

/* One U+FFFD a maximal subpart: Unicode 15, section 3.9, tables 3-8 to 3-11. */
static void invalid_bytes_are_replaced_as_unicode_says(void **state)
{
    static const struct {
        const char *bytes, *text;
    } known[] = {
        {"\x80", BAD},
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", BAD BAD BAD BAD BAD "A" BAD BAD "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BAD BAD BAD BAD "A"},
        {"a\xE4\xBD", "a" BAD},
        {"\xF0\x9F\x98", BAD},
        {"\xE4\xF0\x9F\x98\x80", BAD "\xF0\x9F\x98\x80"},
        {"\xC3\xC3\xA9", BAD "\xC3\xA9"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check(known[i].bytes, strlen(known[i].bytes), known[i].text);
}

/* On random bytes of the kinds that matter: the cuts change nothing, and the text is valid. */
static void cuts_never_matter(void **state)
{
    static const unsigned char kinds[] = {'a',  0x80, 0xA0, 0xBF, 0x8F, 0x90, 0xC2, 0xE0,
                                          0xE4, 0xED, 0xF0, 0xF4, 0xF5, 0xC0, 0xFF, 0x9F};
    struct upg_random random = {3};

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[12], whole[UPG_DETOKENIZE_CAPACITY(12) * 2],
            cut[UPG_DETOKENIZE_CAPACITY(12) * 4];
        size_t n_whole;

        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)kinds[upg_random_u64(&random) % sizeof kinds];
        n_whole = decode(bytes, sizeof bytes, 0, whole);
        for (int i = 0; i < 20; i++) {
            const size_t n_cut = decode(bytes, sizeof bytes, upg_random_u64(&random), cut);
            assert_int_equal(n_cut, n_whole);
            assert_memory_equal(cut, whole, n_whole);
        }
    }
}

static void an_empty_stream_ends_empty(void **state)
{
    upg_detokenizer detokenizer = {0};
    char out[UPG_DETOKENIZE_CAPACITY(0)];

    (void)state;
    assert_int_equal(upg_detokenize(&detokenizer, "", 0, out), 0);
    assert_int_equal(upg_detokenize(&detokenizer, NULL, 0, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_passes_whole_in_every_cut),
        cmocka_unit_test(invalid_bytes_are_replaced_as_unicode_says),
        cmocka_unit_test(cuts_never_matter),
        cmocka_unit_test(an_empty_stream_ends_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
