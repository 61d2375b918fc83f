/* The files of tests/data/bad/upg are refused, each with a message that names it. */
#include "unit.h"

#include <dirent.h>
#include <stdio.h>

static const char folder[] = "tests/data/bad/upg";

static void bad_files_are_refused(void **state)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;
    int n = 0;
    (void)state;

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        char path[512];
        upg_model *model;
        upg_tokenizer *tokenizer;
        upg_error err;
        upg_status status;
        if (!strstr(entry->d_name, ".upg"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        status = upg_model_open(&model, path, NULL, &err);
        if (status != UPG_ERR_FORMAT && status != UPG_ERR_UNSUPPORTED)
            fail_msg("%s: %s", path, upg_status_name(status));
        if (strncmp(err.message, path, strlen(path)) != 0)
            fail_msg("%s: the message does not begin with the name: %s", path, err.message);
        assert_int_not_equal(upg_verify(path, NULL, &err), UPG_OK);
        assert_int_not_equal(upg_tokenizer_open(&tokenizer, path, &err), UPG_OK);
        n++;
    }
    closedir(directory);
    assert_true(n >= 60);
}

/* So the others are refused for what is wrong with them, and not for what they share. */
static void the_good_file_beside_them_is_read(void **state)
{
    upg_model *model;
    upg_error err;
    (void)state;

    assert_ok(upg_verify("tests/data/fuzz/upg/good.upg", NULL, &err), err);
    assert_ok(upg_model_open(&model, "tests/data/fuzz/upg/good.upg", NULL, &err), err);
    upg_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(the_good_file_beside_them_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
