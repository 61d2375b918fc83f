/* The alphabet in which files spell bytes. */
#include "unit.h"

#include "text/byte_alphabet.h"

static void every_byte_has_a_spelling_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        const char byte = (char)i;
        char spelling[2], back[2];
        size_t n_back = 0;
        const size_t n = upg_bytes_to_spelling(&byte, 1, spelling);

        assert_true(upg_bytes_from_spelling(spelling, n, back, &n_back));
        assert_int_equal(n_back, 1);
        assert_int_equal(back[0], byte);
    }
}

static void spellings_are_those_of_gpt2(void **state)
{
    static const struct {
        char byte;
        const char *spelling;
    } known[] = {{' ', "\xC4\xA0"},
                 {'\n', "\xC4\x8A"},
                 {0, "\xC4\x80"},
                 {'!', "!"},
                 {'~', "~"},
                 {0x7F, "\xC4\xA1"},
                 {(char)0x80, "\xC4\xA2"},
                 {(char)0xA0, "\xC5\x82"},
                 {(char)0xA1, "\xC2\xA1"},
                 {(char)0xAD, "\xC5\x83"},
                 {(char)0xFF, "\xC3\xBF"}};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char spelling[3] = {0};
        upg_bytes_to_spelling(&known[i].byte, 1, spelling);
        assert_string_equal(spelling, known[i].spelling);
    }
}

static void other_characters_spell_nothing(void **state)
{
    static const char *const foreign[] = {" ",        "\n",           "\xC2\xA0", "\xC2\xAD",
                                          "\xC5\x84", "\xE4\xBD\xA0", "\xFF",     "a\xC4"};
    char bytes[8];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_false(upg_bytes_from_spelling(foreign[i], strlen(foreign[i]), bytes, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_has_a_spelling_of_its_own),
        cmocka_unit_test(spellings_are_those_of_gpt2),
        cmocka_unit_test(other_characters_spell_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
