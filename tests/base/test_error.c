/* Messages: cut at whole characters, without control bytes from file names. */
#include "unit.h"

#include "base/error.h"

#include <errno.h>

static void status_and_message_are_filled(void **state)
{
    upg_error err = {0};

    (void)state;
    assert_int_equal(upg_fail(&err, UPG_ERR_FORMAT, "%s: %d", "a.upg", 7), UPG_ERR_FORMAT);
    assert_int_equal(err.status, UPG_ERR_FORMAT);
    assert_string_equal(err.message, "a.upg: 7");
    assert_int_equal(upg_fail(NULL, UPG_ERR_IO, "nobody listens"), UPG_ERR_IO);
    assert_int_equal(upg_fail_memory(&err, "a cache", 12), UPG_ERR_MEMORY);
    assert_string_equal(err.message, "out of memory: a cache needs 12 bytes");
}

static void control_bytes_from_files_do_not_reach_the_terminal(void **state)
{
    upg_error err;

    (void)state;
    upg_fail(&err, UPG_ERR_FORMAT, "tensor %s", "\x1b[31mred\n\x7f");
    assert_string_equal(err.message, "tensor ?[31mred??");
}

static void a_long_message_ends_with_a_whole_character(void **state)
{
    static const char *const letters[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    upg_error err;

    (void)state;
    for (size_t l = 0; l < 4; l++)
        for (size_t shift = 0; shift < 4; shift++) {
            const size_t n_letter = strlen(letters[l]);
            char text[3000] = "xxx";
            size_t n = shift, n_message;

            while (n + n_letter < sizeof text) {
                memcpy(text + n, letters[l], n_letter);
                n += n_letter;
            }
            text[n] = '\0';
            upg_fail(&err, UPG_ERR_FORMAT, "%s", text);
            n_message = strlen(err.message);
            assert_true(n_message > sizeof err.message - 6 && n_message < sizeof err.message);
            assert_int_equal((n_message - shift) % n_letter, 0);
            assert_memory_equal(err.message, text, n_message);
        }
}

static void errno_becomes_a_status(void **state)
{
    static const struct {
        int code;
        upg_status status;
    } cases[] = {{ENOENT, UPG_ERR_IO},    {EACCES, UPG_ERR_IO},   {ENOSPC, UPG_ERR_SPACE},
                 {EDQUOT, UPG_ERR_SPACE}, {EFBIG, UPG_ERR_SPACE}, {ENOMEM, UPG_ERR_MEMORY}};
    upg_error err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = cases[i].code;
        assert_fails(upg_fail_errno(&err, "m.upg", "open"), cases[i].status, err,
                     "m.upg: cannot open: ");
        assert_non_null(strstr(err.message, strerror(cases[i].code)));
    }
}

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = UPG_OK; a <= UPG_ERR_BUSY; a++) {
        assert_string_not_equal(upg_status_name((upg_status)a), "unknown status");
        for (int b = UPG_OK; b < a; b++)
            assert_string_not_equal(upg_status_name((upg_status)a), upg_status_name((upg_status)b));
    }
    assert_string_equal(upg_status_name((upg_status)1000), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_message_are_filled),
        cmocka_unit_test(control_bytes_from_files_do_not_reach_the_terminal),
        cmocka_unit_test(a_long_message_ends_with_a_whole_character),
        cmocka_unit_test(errno_becomes_a_status),
        cmocka_unit_test(every_status_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
