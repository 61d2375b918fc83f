/* Mapping: what is a file is mapped whole, everything else is refused without blocking. */
#include "unit.h"

#include "base/file_map.h"
#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct watch {
    size_t n_calls;
    uint64_t done;
    int answer;
};

static int watch_progress(void *context, const char *stage, uint64_t done, uint64_t total)
{
    struct watch *watch = context;

    assert_string_equal(stage, "read weights");
    assert_int_equal(total, 10000);
    assert_in_range(done, watch->done, total);
    watch->n_calls++;
    watch->done = done;
    return watch->answer;
}

/* Write a file of 10,000 bytes; take it from the page cache if the file system lets that happen. */
static void write_uncached(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(write(fd, &(char){(char)(i % 251)}, 1), 1);
    assert_int_equal(fsync(fd), 0);
#ifdef POSIX_FADV_DONTNEED
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
    close(fd);
}

static void a_file_is_loaded_once_and_stays_the_same(void **state)
{
    const char *path = scratch_path(*state, "file");
    struct upg_file_map map = {0};
    struct watch first = {0}, second = {0};
    upg_error err;

    write_uncached(path);
    assert_ok(upg_file_map_open(&map, path, &err), err);
    assert_ok(upg_file_map_load(&map, watch_progress, &first, &err), err);
    assert_in_range(first.n_calls, 0, 1); /* none in a file system that has no other memory */
    for (size_t i = 0; i < map.n_bytes; i++)
        assert_int_equal(map.bytes[i], i % 251);
    assert_ok(upg_file_map_load(&map, watch_progress, &second, &err), err);
    assert_int_equal(second.n_calls, 0);
    upg_file_map_close(&map);
}

static void loading_can_be_cancelled(void **state)
{
    const char *path = scratch_path(*state, "file");
    struct upg_file_map map = {0};
    struct watch watch = {.answer = 1};
    upg_status status;
    upg_error err = {0};

    write_uncached(path);
    assert_ok(upg_file_map_open(&map, path, &err), err);
    status = upg_file_map_load(&map, watch_progress, &watch, &err);
    assert_int_equal(status, watch.n_calls > 0 ? UPG_ERR_CANCELLED : UPG_OK);
    upg_file_map_close(&map);
    assert_ok(upg_file_map_load(&map, watch_progress, &watch, &err), err); /* nothing to load */
}

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
        scratch_test(a_file_is_loaded_once_and_stays_the_same),
        scratch_test(loading_can_be_cancelled),
        scratch_test(an_empty_file_has_no_bytes),
        scratch_test(what_is_no_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
