/* Mapping: what is a file is mapped whole, everything else is refused without blocking. */
#include "unit.h"

#include "base/file_map.h"
#include "scratch.h"

#include <sys/stat.h>

static void a_file_is_mapped_whole(void **state)
{
    const char *path = scratch_path(*state, "file");
    struct upg_file_map map = {0};
    FILE *file = fopen(path, "wb");
    upg_error err;

    assert_non_null(file);
    for (int i = 0; i < 10000; i++)
        fputc(i % 251, file);
    fclose(file);
    assert_ok(upg_file_map_open(&map, path, &err), err);
    assert_string_equal(map.path, path);
    assert_int_equal(map.n_bytes, 10000);
    for (size_t i = 0; i < map.n_bytes; i++)
        assert_int_equal(map.bytes[i], i % 251);
    upg_file_map_close(&map);
    assert_null(map.bytes);
    upg_file_map_close(&map);
}

static void an_empty_file_has_no_bytes(void **state)
{
    const char *path = scratch_path(*state, "empty");
    struct upg_file_map map = {0};
    FILE *file = fopen(path, "wb");
    upg_error err;

    assert_non_null(file);
    fclose(file);
    assert_ok(upg_file_map_open(&map, path, &err), err);
    assert_null(map.bytes);
    assert_int_equal(map.n_bytes, 0);
    upg_file_map_close(&map);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    struct upg_file_map map = {0};
    upg_error err;

    assert_fails(upg_file_map_open(&map, scratch_path(*state, "none"), &err), UPG_ERR_IO, err,
                 "none: cannot open: No such file");
    assert_fails(upg_file_map_open(&map, scratch_path(*state, ""), &err), UPG_ERR_IO, err,
                 "is not a regular file");
    assert_fails(upg_file_map_open(&map, "/dev/null", &err), UPG_ERR_IO, err, "not a regular file");
    /* Opening a pipe that nobody writes to would wait for ever. */
    assert_int_equal(mkfifo(scratch_path(*state, "pipe"), 0600), 0);
    assert_fails(upg_file_map_open(&map, scratch_path(*state, "pipe"), &err), UPG_ERR_IO, err,
                 "not a regular file");
    assert_null(map.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_file_is_mapped_whole),
        scratch_test(an_empty_file_has_no_bytes),
        scratch_test(what_is_no_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
