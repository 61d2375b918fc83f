/* Buffers: growth, the zero behind the text, files read whole. */
#include "unit.h"

#include "base/buffer.h"
#include "scratch.h"

#include <sys/stat.h>

static void text_grows_and_stays_a_c_string(void **state)
{
    struct upg_buffer buffer = {0};
    upg_error err;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        const char digit = (char)('0' + i % 10);
        assert_ok(upg_buffer_append(&buffer, &digit, 1, &err), err);
        assert_int_equal(buffer.n, i + 1);
        assert_int_equal(buffer.bytes[i], digit);
        assert_int_equal(buffer.bytes[buffer.n], 0);
        assert_true(buffer.capacity > buffer.n);
    }
    assert_ok(upg_buffer_append(&buffer, NULL, 0, &err), err);
    assert_int_equal(strlen(buffer.bytes), 10000);
    upg_buffer_clear(&buffer);
    assert_null(buffer.bytes);
}

static void an_impossible_size_leaves_the_buffer_as_it_was(void **state)
{
    struct upg_buffer buffer = {0};
    upg_error err;

    (void)state;
    assert_ok(upg_buffer_append(&buffer, "abc", 3, &err), err);
    assert_fails(upg_buffer_reserve(&buffer, SIZE_MAX, &err), UPG_ERR_MEMORY, err, "a buffer");
    assert_fails(upg_buffer_reserve(&buffer, SIZE_MAX - 4, &err), UPG_ERR_MEMORY, err, "a buffer");
    assert_fails(upg_buffer_reserve(&buffer, SIZE_MAX / 2 + 1, &err), UPG_ERR_MEMORY, err,
                 "buffer");
    assert_string_equal(buffer.bytes, "abc");
    upg_buffer_clear(&buffer);
}

static void write_file(const char *path, size_t n)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    for (size_t i = 0; i < n; i++)
        fputc((int)(i % 253), file);
    assert_int_equal(fclose(file), 0);
}

static void files_of_any_size_are_read_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 300000};
    upg_error err;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct upg_buffer buffer = {0};
        const char *path = scratch_path(*state, "file");

        write_file(path, sizes[s]);
        assert_ok(upg_buffer_read_file(&buffer, path, sizes[s], &err), err);
        assert_int_equal(buffer.n, sizes[s]);
        for (size_t i = 0; i < buffer.n; i++)
            assert_int_equal((unsigned char)buffer.bytes[i], i % 253);
        assert_int_equal(buffer.bytes[buffer.n], 0);
        upg_buffer_clear(&buffer);
    }
}

static void a_file_over_the_limit_is_refused(void **state)
{
    struct upg_buffer buffer = {0};
    const char *path = scratch_path(*state, "file");
    upg_error err;

    write_file(path, 1001);
    assert_fails(upg_buffer_read_file(&buffer, path, 1000, &err), UPG_ERR_ARGUMENT, err, "1000");
    upg_buffer_clear(&buffer);
    /* An endless one ends at the limit too. */
    assert_fails(upg_buffer_read_file(&buffer, "/dev/zero", 1000, &err), UPG_ERR_ARGUMENT, err,
                 "/dev/zero");
    assert_true(buffer.n < 200000);
    upg_buffer_clear(&buffer);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct upg_buffer buffer = {0};
    upg_error err;

    assert_fails(upg_buffer_read_file(&buffer, scratch_path(*state, "none"), 10, &err), UPG_ERR_IO,
                 err, "none: cannot open");
    assert_fails(upg_buffer_read_file(&buffer, scratch_path(*state, ""), 10, &err), UPG_ERR_IO, err,
                 "cannot read");
    upg_buffer_clear(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_and_stays_a_c_string),
        cmocka_unit_test(an_impossible_size_leaves_the_buffer_as_it_was),
        scratch_test(files_of_any_size_are_read_whole),
        scratch_test(a_file_over_the_limit_is_refused),
        scratch_test(what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
