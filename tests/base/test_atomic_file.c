/* Atomic files: the final name shows the old file or the whole new one, and no .part stays behind,
 * also when the disk is full. */
#include "unit.h"

#include "base/atomic_file.h"
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void assert_file_is(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, text);
}

static void write_old(const char *path)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fputs("old", file);
    fclose(file);
}

static void the_name_changes_only_at_commit(void **state)
{
    const char *path = scratch_path(*state, "out");
    struct upg_atomic_file file = {0};
    upg_error err;

    write_old(path);
    assert_ok(upg_atomic_file_open(&file, path, &err), err);
    assert_ok(upg_atomic_file_write(&file, "new ", 4, &err), err);
    assert_ok(upg_atomic_file_write(&file, "text", 4, &err), err);
    assert_int_equal(file.n_bytes, 8);
    assert_file_is(path, "old");
    assert_int_equal(scratch_count(*state), 2);
    assert_ok(upg_atomic_file_commit(&file, &err), err);
    assert_file_is(path, "new text");
    assert_int_equal(scratch_count(*state), 1);
    upg_atomic_file_discard(&file); /* nothing happens to a committed file */
    assert_file_is(path, "new text");
}

static void discarding_leaves_everything_as_it_was(void **state)
{
    const char *path = scratch_path(*state, "out");
    struct upg_atomic_file file = {0};
    upg_error err;

    write_old(path);
    upg_atomic_file_discard(&file); /* never opened */
    assert_ok(upg_atomic_file_open(&file, path, &err), err);
    assert_ok(upg_atomic_file_write(&file, "new", 3, &err), err);
    upg_atomic_file_discard(&file);
    assert_file_is(path, "old");
    assert_int_equal(scratch_count(*state), 1);
}

/* A limit on the size of files fails with EFBIG where a full disk fails with ENOSPC: after a
 * partial write, in the middle of a tensor. */
static void a_full_disk_is_an_error_and_leaves_nothing(void **state)
{
    static const char block[1000];
    const char *path = scratch_path(*state, "out");
    const struct rlimit small = {10500, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    struct upg_atomic_file file = {0};
    upg_status status = UPG_OK;
    upg_error err;

    write_old(path);
    assert_ok(upg_atomic_file_open(&file, path, &err), err);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 100 && status == UPG_OK; i++)
        status = upg_atomic_file_write(&file, block, sizeof block, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(status, UPG_ERR_SPACE);
    assert_non_null(strstr(err.message, "out.part: cannot write: File too large"));
    assert_int_equal(file.n_bytes, 10500);
    upg_atomic_file_discard(&file);
    assert_file_is(path, "old");
    assert_int_equal(scratch_count(*state), 1);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    struct upg_atomic_file file = {0};
    char target[128];
    upg_error err;

    assert_fails(upg_atomic_file_open(&file, scratch_path(*state, "no/such/out"), &err), UPG_ERR_IO,
                 err, "no/such/out.part: cannot create");
    assert_null(file.path);

    /* A folder that comes under the final name: the rename fails, the part file goes. */
    snprintf(target, sizeof target, "%s", scratch_path(*state, "out"));
    assert_ok(upg_atomic_file_open(&file, target, &err), err);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_ok(upg_atomic_file_write(&file, "new", 3, &err), err);
    assert_fails(upg_atomic_file_commit(&file, &err), UPG_ERR_IO, err, "out: cannot rename");
    assert_int_equal(scratch_count(*state), 1);

    /* One that is there already: no work is begun. */
    assert_fails(upg_atomic_file_open(&file, target, &err), UPG_ERR_IO, err, "out: is a directory");
    assert_null(file.path);
    assert_int_equal(rmdir(target), 0);
}

/* Whoever may write in /dev would otherwise lose /dev/null to a regular file. */
static void a_pipe_or_device_is_never_replaced(void **state)
{
    const char *path = scratch_path(*state, "pipe");
    struct upg_atomic_file file = {0};
    struct stat found;
    upg_error err;

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(upg_atomic_file_open(&file, path, &err), UPG_ERR_IO, err, "not a regular file");
    assert_int_equal(scratch_count(*state), 1);
    assert_int_equal(stat(path, &found), 0);
    assert_true(S_ISFIFO(found.st_mode));
}

static void a_name_without_a_folder_works(void **state)
{
    struct scratch *scratch = *state;
    struct upg_atomic_file file = {0};
    char before[1024];
    upg_error err;

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch->folder), 0);
    assert_ok(upg_atomic_file_open(&file, "out", &err), err);
    assert_ok(upg_atomic_file_commit(&file, &err), err);
    assert_file_is("out", "");
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(the_name_changes_only_at_commit),
        scratch_test(discarding_leaves_everything_as_it_was),
        scratch_test(a_full_disk_is_an_error_and_leaves_nothing),
        scratch_test(a_place_that_cannot_be_written_is_named),
        scratch_test(a_pipe_or_device_is_never_replaced),
        scratch_test(a_name_without_a_folder_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
