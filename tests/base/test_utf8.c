/* UTF-8: all code points, and all sequences of bytes of length 1 to 4 that matter, against the
 * definition. */
#include "unit.h"

#include "base/utf8.h"

#include <stdlib.h>

static int is_scalar_value(uint32_t code)
{
    return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

/* The definition, read backwards: decode by the bit patterns of table 3-6 alone, then accept only
 * what encodes to the same bytes.  Slow and obvious. */
static size_t naive_next(const unsigned char *text, size_t n, uint32_t *code)
{
    const unsigned char lead = text[0];
    const size_t length = lead < 0x80             ? 1
                          : (lead & 0xE0) == 0xC0 ? 2
                          : (lead & 0xF0) == 0xE0 ? 3
                          : (lead & 0xF8) == 0xF0 ? 4
                                                  : 0;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value;

    if (length == 0 || length > n)
        return 0;
    value = length == 1 ? lead : lead & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3Fu);
    }
    if (value < least[length] || !is_scalar_value(value))
        return 0;
    *code = value;
    return length;
}

static void every_code_point_goes_out_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        char text[4];
        uint32_t back = 0;
        const size_t n = upg_utf8_put(text, code);

        assert_in_range(n, 1, 4);
        if (!is_scalar_value(code)) {
            assert_int_equal(upg_utf8_next(text, n, &back), 0);
            continue;
        }
        assert_int_equal(upg_utf8_next(text, n, &back), n);
        assert_int_equal(back, code);
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(upg_utf8_next(text, cut, NULL), 0);
            assert_int_equal(upg_utf8_partial(text, cut), cut);
        }
        assert_int_equal(upg_utf8_partial(text, n), 0);
    }
}

static void every_run_of_bytes_agrees_with_the_definition(void **state)
{
    /* The bytes at which a rule of table 3-7 changes, and neighbours of them. */
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                          0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xF4, 0xFF};
    enum { N_EDGES = sizeof edges };

    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned rest = 0; rest < N_EDGES * N_EDGES; rest++) {
                const unsigned char text[4] = {(unsigned char)first, (unsigned char)second,
                                               edges[rest / N_EDGES], edges[rest % N_EDGES]};

                for (size_t n = 1; n <= 4; n++) {
                    uint32_t code = 0, expected = 0;
                    const size_t length = naive_next(text, n, &expected);

                    if (upg_utf8_next((const char *)text, n, &code) != length || code != expected)
                        fail_msg("%02X %02X %02X %02X, %zu bytes", text[0], text[1], text[2],
                                 text[3], n);
                }
            }
}

/* Index of text[n], n = 1 .. 3, among all runs of at most 3 bytes. */
static size_t run_index(const unsigned char *text, size_t n)
{
    size_t index = n;

    for (size_t i = 0; i < 3; i++)
        index = index << 8 | (i < n ? text[i] : 0u);
    return index;
}

/* A partial character is a run of bytes that some longer character begins with: collect them all.
 */
static void partial_is_what_could_still_become_a_character(void **state)
{
    unsigned char *is_partial = calloc((size_t)4 << 24, 1);

    (void)state;
    assert_non_null(is_partial);
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        char text[4];
        const size_t n = upg_utf8_put(text, code);
        for (size_t cut = 1; cut < n && is_scalar_value(code); cut++)
            is_partial[run_index((unsigned char *)text, cut)] = 1;
    }
    for (uint32_t run = 0; run < 1u << 24; run++) {
        const unsigned char text[3] = {(unsigned char)(run >> 16), (unsigned char)(run >> 8),
                                       (unsigned char)run};

        for (size_t n = 1; n <= 3; n++)
            if (upg_utf8_partial((const char *)text, n) !=
                (is_partial[run_index(text, n)] ? n : 0u))
                fail_msg("%02X %02X %02X, %zu bytes", text[0], text[1], text[2], n);
    }
    free(is_partial);
    assert_int_equal(upg_utf8_partial("", 0), 0);
    assert_int_equal(upg_utf8_next("", 0, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_goes_out_and_comes_back),
        cmocka_unit_test(every_run_of_bytes_agrees_with_the_definition),
        cmocka_unit_test(partial_is_what_could_still_become_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
