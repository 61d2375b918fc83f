/* The container of GGUF files: what is in a good one, and how bad ones are refused. */
#include "unit.h"

#include "model/gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- A good file ---- */

static void build(struct upg_buffer *file)
{
    struct gguf_builder b = {.alignment = 32};
    uint8_t *bytes;

    gguf_add_u32(&b, "general.alignment", 32);
    gguf_add_text(&b, "a.text", "hello");
    gguf_add_text(&b, "a.raw", "\xFF\n");
    gguf_add_bool(&b, "a.bool", true);
    gguf_add_f32(&b, "a.float", 0.25f);
    gguf_add_number(&b, "a.u64", UPG_GGUF_U64, UINT64_C(0x8000000000000001));
    gguf_add_number(&b, "a.i8", UPG_GGUF_I8, 0x85); /* -123 */
    gguf_add_number(&b, "a.i64", UPG_GGUF_I64, UINT64_MAX);
    gguf_add_number(&b, "a.f64", UPG_GGUF_F64, UINT64_C(0x7FF8000000000000)); /* NaN */
    gguf_add_key(&b, "a.texts", UPG_GGUF_ARRAY);
    gguf_put(&b.entries, UPG_GGUF_TEXT, 4);
    gguf_put(&b.entries, 3, 8);
    gguf_put_text(&b.entries, "x", 1);
    gguf_put_text(&b.entries, "", 0);
    gguf_put_text(&b.entries, "y\0z", 3);
    gguf_add_key(&b, "a.ints", UPG_GGUF_ARRAY);
    gguf_put(&b.entries, UPG_GGUF_I32, 4);
    gguf_put(&b.entries, 2, 8);
    gguf_put(&b.entries, 5, 4);
    gguf_put(&b.entries, UINT32_MAX, 4); /* -1 */
    gguf_add_key(&b, "a.bools", UPG_GGUF_ARRAY);
    gguf_put(&b.entries, UPG_GGUF_BOOL, 4);
    gguf_put(&b.entries, 2, 8);
    gguf_put(&b.entries, 0x0100, 2);
    gguf_add_key(&b, "a.nested", UPG_GGUF_ARRAY); /* [["q"], []] */
    gguf_put(&b.entries, UPG_GGUF_ARRAY, 4);
    gguf_put(&b.entries, 2, 8);
    gguf_put(&b.entries, UPG_GGUF_TEXT, 4);
    gguf_put(&b.entries, 1, 8);
    gguf_put_text(&b.entries, "q", 1);
    gguf_put(&b.entries, UPG_GGUF_U16, 4);
    gguf_put(&b.entries, 0, 8);
    gguf_add_u32(&b, "a.last", 7);
    bytes = gguf_add_tensor(&b, "second", 0, 3, 2, 24); /* F32; its name sorts behind "fourth" */
    bytes[0] = 0xAB;
    bytes = gguf_add_tensor(&b, "fourth", 8, 32, 2, 68); /* Q8_0 */
    bytes[67] = 0xCD;
    gguf_finish(&b, file);
}

static void good_file_is_read_as_it_is(void **state)
{
    struct upg_buffer bytes = {0};
    struct upg_arena arena = {0};
    struct upg_gguf file;
    upg_error err;
    const struct upg_gguf_tensor *tensor;

    (void)state;
    build(&bytes);
    assert_ok(upg_gguf_read(&file, "f", (uint8_t *)bytes.bytes, bytes.n, &arena, &err), err);
    assert_int_equal(file.n_entries, 14);
    assert_int_equal(file.n_tensors, 2);
    assert_int_equal(file.alignment, 32);
    assert_string_equal(file.tensors[0].name, "second"); /* in the order of their bytes */
    tensor = upg_gguf_find_tensor(&file, "fourth");
    assert_non_null(tensor);
    assert_true(tensor->used && !file.tensors[0].used);
    assert_int_equal(tensor->type, UPG_TYPE_Q8_0);
    assert_int_equal(tensor->n_bytes, 68);
    assert_int_equal(tensor->shape[0], 32);
    assert_int_equal(tensor->shape[1], 2);
    assert_int_equal(tensor->shape[2], 1);
    assert_int_equal(tensor->data[67], 0xCD);
    assert_int_equal(file.tensors[0].data[0], 0xAB);
    assert_int_equal(file.tensors[0].begin % 32, 0);
    assert_null(upg_gguf_find_tensor(&file, "fourt"));
    assert_null(upg_gguf_find_entry(&file, "a.texts.0"));
    upg_arena_clear(&arena);
    upg_buffer_clear(&bytes);
}

/* ---- Values by key ---- */

struct values {
    struct upg_buffer bytes;
    struct upg_arena arena;
    struct upg_gguf file;
};

static int open_values(void **state)
{
    static struct values v;

    memset(&v, 0, sizeof v);
    build(&v.bytes);
    *state = &v;
    return (int)upg_gguf_read(&v.file, "f.gguf", (uint8_t *)v.bytes.bytes, v.bytes.n, &v.arena,
                              NULL);
}

static int close_values(void **state)
{
    struct values *v = *state;

    upg_arena_clear(&v->arena);
    upg_buffer_clear(&v->bytes);
    return 0;
}

static void values_of_every_type_are_found(void **state)
{
    struct values *v = *state;
    struct upg_gguf *file = &v->file;
    struct upg_text_span text;
    const struct upg_text_span *texts;
    const int32_t *ints;
    const char *name;
    upg_error err;
    size_t n;
    double d;
    bool b;

    assert_ok(upg_gguf_get_size(file, "a.last", 7, 7, &n, &err), err);
    assert_int_equal(n, 7);
    assert_ok(upg_gguf_get_size(file, "a.u64", 0, SIZE_MAX, &n, &err), err);
    assert_true(n == UINT64_C(0x8000000000000001));
    assert_ok(upg_gguf_get_size_or(file, "none", 0, 1, 99, &n, &err), err);
    assert_int_equal(n, 99);
    assert_ok(upg_gguf_get_double_or(file, "a.float", 0, 1, 9, &d, &err), err);
    assert_true(d == 0.25);
    assert_ok(upg_gguf_get_double_or(file, "a.i8", -200, 0, 9, &d, &err), err);
    assert_true(d == -123);
    assert_ok(upg_gguf_get_double_or(file, "a.i64", -2, 0, 9, &d, &err), err);
    assert_true(d == -1);
    assert_ok(upg_gguf_get_double_or(file, "none", 0, 10, 9, &d, &err), err);
    assert_true(d == 9);
    assert_ok(upg_gguf_get_bool_or(file, "a.bool", false, &b, &err), err);
    assert_true(b);
    assert_ok(upg_gguf_get_name(file, "a.text", &v->arena, &name, &err), err);
    assert_string_equal(name, "hello");
    assert_ok(upg_gguf_get_name(file, "none", &v->arena, &name, &err), err);
    assert_null(name);
    assert_ok(upg_gguf_get_text(file, "a.raw", &text, &err), err);
    assert_int_equal(text.n, 2);
    assert_memory_equal(text.text, "\xFF\n", 2);
    assert_ok(upg_gguf_get_texts(file, "a.texts", &v->arena, &texts, &n, &err), err);
    assert_int_equal(n, 3);
    assert_int_equal(texts[0].n, 1);
    assert_int_equal(texts[1].n, 0);
    assert_int_equal(texts[2].n, 3);
    assert_memory_equal(texts[2].text, "y\0z", 3);
    assert_ok(upg_gguf_get_ints(file, "a.ints", &v->arena, &ints, &n, &err), err);
    assert_int_equal(n, 2);
    assert_int_equal(ints[0], 5);
    assert_int_equal(ints[1], -1);
}

static void values_of_wrong_type_or_range_name_the_key(void **state)
{
    struct values *v = *state;
    struct upg_gguf *file = &v->file;
    struct upg_text_span text;
    const struct upg_text_span *texts;
    const int32_t *ints;
    const char *name;
    upg_error err;
    size_t n = 5;
    double d = 5;
    bool b;

    assert_fails(upg_gguf_get_size(file, "none", 0, 9, &n, &err), UPG_ERR_FORMAT, err,
                 "f.gguf: none: is missing");
    assert_fails(upg_gguf_get_size(file, "a.text", 0, 9, &n, &err), UPG_ERR_FORMAT, err,
                 "a.text: is a text, it should be an integer");
    assert_fails(upg_gguf_get_size(file, "a.last", 0, 6, &n, &err), UPG_ERR_FORMAT, err,
                 "a.last: is 7, it must be 0 to 6");
    assert_fails(upg_gguf_get_size(file, "a.last", 8, 9, &n, &err), UPG_ERR_FORMAT, err, "is 7");
    assert_fails(upg_gguf_get_size(file, "a.i8", 0, 999, &n, &err), UPG_ERR_FORMAT, err, "is -123");
    assert_fails(upg_gguf_get_size(file, "a.i64", 0, SIZE_MAX, &n, &err), UPG_ERR_FORMAT, err,
                 "is -1");
    assert_fails(upg_gguf_get_size(file, "a.float", 0, 9, &n, &err), UPG_ERR_FORMAT, err,
                 "is a float32");
    assert_fails(upg_gguf_get_double_or(file, "a.f64", -9, 9, 0, &d, &err), UPG_ERR_FORMAT, err,
                 "a.f64: is nan");
    assert_fails(upg_gguf_get_double_or(file, "a.bool", -9, 9, 0, &d, &err), UPG_ERR_FORMAT, err,
                 "is a bool");
    assert_fails(upg_gguf_get_bool_or(file, "a.last", false, &b, &err), UPG_ERR_FORMAT, err,
                 "is a uint32");
    assert_fails(upg_gguf_get_name(file, "a.raw", &v->arena, &name, &err), UPG_ERR_FORMAT, err,
                 "a.raw: is not printable");
    assert_fails(upg_gguf_get_text(file, "a.texts", &text, &err), UPG_ERR_FORMAT, err,
                 "is an array");
    assert_fails(upg_gguf_get_texts(file, "a.ints", &v->arena, &texts, &n, &err), UPG_ERR_FORMAT,
                 err, "each element is an int32, it should be a text");
    assert_fails(upg_gguf_get_texts(file, "none", &v->arena, &texts, &n, &err), UPG_ERR_FORMAT, err,
                 "is missing");
    assert_fails(upg_gguf_get_ints(file, "a.text", &v->arena, &ints, &n, &err), UPG_ERR_FORMAT, err,
                 "it should be an array of int32");
    assert_int_equal(n, 5);
    assert_true(d == 5);
}

/* ---- Bad files ---- */

/* A good file in which the `width` bytes at `at` become `value`.  `at` counts from the end of the
 * first occurrence of `anchor`; the anchor "" is the start of the file. */
struct damage {
    const char *what, *anchor;
    int at, width;
    uint64_t value;
    upg_status status;
    const char *part;
};

#define FORMAT UPG_ERR_FORMAT
#define UNSUPPORTED UPG_ERR_UNSUPPORTED

static const struct damage damages[] = {
    {"magic of another format", "", 0, 4, 0x04034B50, FORMAT, "is not a GGUF file"},
    {"magic backwards", "", 0, 4, 0x47475546, FORMAT, "is not a GGUF file"},
    {"version 0", "", 4, 4, 0, UNSUPPORTED, "version: is 0"},
    {"version 1", "", 4, 4, 1, UNSUPPORTED, "version: is 1"},
    {"version 4", "", 4, 4, 4, UNSUPPORTED, "version: is 4"},
    {"version -1", "", 4, 4, UINT32_MAX, UNSUPPORTED, "version: is 4294967295"},
    {"big-endian version 3", "", 4, 4, 3u << 24, UNSUPPORTED, "big-endian"},
    {"big-endian version 2", "", 4, 4, 2u << 24, UNSUPPORTED, "big-endian"},

    {"2^64-1 tensors", "", 8, 8, UINT64_MAX, FORMAT, "number of tensors"},
    {"2^63 tensors", "", 8, 8, UINT64_C(1) << 63, FORMAT, "number of tensors"},
    {"2^58 tensors: times 64 is 0", "", 8, 8, UINT64_C(1) << 58, FORMAT, "number of tensors"},
    {"2^32 tensors", "", 8, 8, UINT64_C(1) << 32, FORMAT, "number of tensors"},
    {"100 tensors", "", 8, 8, 100, FORMAT, "number of tensors"},
    {"one tensor too many", "", 8, 8, 3, FORMAT, "tensor number 2"},
    {"one tensor too few", "", 8, 8, 1, FORMAT, "bytes"},
    {"2^64-1 entries", "", 16, 8, UINT64_MAX, FORMAT, "number of metadata entries"},
    {"2^59 entries", "", 16, 8, UINT64_C(1) << 59, FORMAT, "number of metadata entries"},
    {"1000 entries", "", 16, 8, 1000, FORMAT, "number of metadata entries"},
    {"one entry too few", "", 16, 8, 13, FORMAT, "tensor a.last"},
    {"one entry too many", "", 16, 8, 15, FORMAT, "tensor number 0"},

    {"key of 0 bytes", "a.text", -14, 8, 0, FORMAT, "name has 0 bytes"},
    {"key of 2^64-1 bytes", "a.text", -14, 8, UINT64_MAX, FORMAT, "entry 1: needs"},
    {"key of 2^63 bytes", "a.text", -14, 8, UINT64_C(1) << 63, FORMAT, "entry 1: needs"},
    {"key longer than the file", "a.text", -14, 8, 100000, FORMAT, "entry 1: needs"},
    {"key one byte short", "a.text", -14, 8, 5, FORMAT, "a.tex: has value type"},
    {"key with a zero byte", "a.text", -6, 1, 0, FORMAT, "not printable"},
    {"key with a newline", "a.text", -6, 1, '\n', FORMAT, "not printable"},
    {"key with a space", "a.text", -6, 1, ' ', FORMAT, "not printable"},
    {"key with byte 0x80", "a.text", -6, 1, 0x80, FORMAT, "not printable"},
    {"key twice", "a.bool", -4, 4, 0x74786574, FORMAT, "a.text: the key comes twice"},

    {"value type 13", "a.text", 0, 4, 13, FORMAT, "a.text: has value type 13"},
    {"value type 2^31", "a.text", 0, 4, 1u << 31, FORMAT, "a.text: has value type"},
    {"text of 2^64-1 bytes", "a.text", 4, 8, UINT64_MAX, FORMAT, "a.text: needs"},
    {"text of 2^63 bytes", "a.text", 4, 8, UINT64_C(1) << 63, FORMAT, "a.text: needs"},
    {"text longer than the file", "a.text", 4, 8, 5000, FORMAT, "a.text: needs 5000"},
    {"a bool of 2", "a.bool", 4, 1, 2, FORMAT, "a.bool: a bool is 2"},
    {"a bool of 255 in an array", "a.bools", 17, 1, 255, FORMAT, "a.bools: a bool is 255"},
    {"array of type 99", "a.texts", 4, 4, 99, FORMAT, "a.texts: has value type 99"},
    {"array of 2^64-1 texts", "a.texts", 8, 8, UINT64_MAX, FORMAT, "a.texts: cannot list"},
    {"array of 1000 texts", "a.texts", 8, 8, 1000, FORMAT, "a.texts: cannot list 1000 values"},
    {"text of 2^64-8 bytes in an array", "a.texts", 16, 8, UINT64_MAX - 7, FORMAT, "a.texts"},
    {"array of 2^62 int32: times 4 is 0", "a.ints", 8, 8, UINT64_C(1) << 62, FORMAT, "a.ints"},
    {"array of 2^64-1 int32", "a.ints", 8, 8, UINT64_MAX, FORMAT, "a.ints"},
    {"array of 2^30 int32", "a.ints", 8, 8, UINT64_C(1) << 30, FORMAT, "a.ints: needs"},
    {"array of 2^61 uint64: times 8 is 0", "a.nested", 8, 8, UINT64_C(1) << 61, FORMAT, "a.nested"},
    {"2^60 arrays in an array", "a.nested", 8, 8, UINT64_C(1) << 60, FORMAT, "a.nested"},
    {"array of 2^63 in an array", "a.nested", 20, 8, UINT64_C(1) << 63, FORMAT, "a.nested"},

    {"alignment 0", "general.alignment", 4, 4, 0, FORMAT, "general.alignment: is 0"},
    {"alignment 1", "general.alignment", 4, 4, 1, FORMAT, "general.alignment: is 1"},
    {"alignment 4", "general.alignment", 4, 4, 4, FORMAT, "general.alignment: is 4"},
    {"alignment 24", "general.alignment", 4, 4, 24, FORMAT, "not a power of two"},
    {"alignment 33", "general.alignment", 4, 4, 33, FORMAT, "not a power of two"},
    {"alignment 64, data at 32", "general.alignment", 4, 4, 64, FORMAT, "tensor"},
    {"alignment 2^30", "general.alignment", 4, 4, 1u << 30, FORMAT, "tensor"},
    {"alignment 2^31", "general.alignment", 4, 4, 1u << 31, FORMAT, "general.alignment"},
    {"alignment -32", "general.alignment", 0, 8, 5 | (UINT64_C(0xFFFFFFE0) << 32), FORMAT,
     "general.alignment: is -32"},
    {"alignment as float", "general.alignment", 0, 4, UPG_GGUF_F32, FORMAT,
     "it should be an integer"},

    {"tensor name of 0 bytes", "second", -14, 8, 0, FORMAT, "name has 0 bytes"},
    {"tensor name of 65 bytes", "second", -14, 8, 65, FORMAT, "name has 65 bytes"},
    {"tensor name of 2^64-1 bytes", "second", -14, 8, UINT64_MAX, FORMAT, "tensor number 0: needs"},
    {"tensor name with a zero byte", "second", -6, 1, 0, FORMAT, "not printable"},
    {"tensor name twice", "fourth", -6, 6, UINT64_C(0x646E6F636573), FORMAT, "name comes twice"},
    {"0 dimensions", "second", 0, 4, 0, FORMAT, "tensor second: has 0 dimensions"},
    {"5 dimensions", "second", 0, 4, 5, FORMAT, "tensor second: has 5 dimensions"},
    {"2^32-1 dimensions", "second", 0, 4, UINT32_MAX, FORMAT, "tensor second: has 4294967295"},
    {"dimension 0", "second", 4, 8, 0, FORMAT, "tensor second: dimension 0 is 0"},
    {"dimension 1 is 0", "second", 12, 8, 0, FORMAT, "tensor second: dimension 1 is 0"},
    {"dimension of 2^64-1", "second", 4, 8, UINT64_MAX, FORMAT, "tensor second"},
    {"dimension of 2^62: times 4 is 0", "second", 4, 8, UINT64_C(1) << 62, FORMAT, "tensor second"},
    {"product of 2^64: 2^61 rows of 3 F32", "second", 12, 8, UINT64_C(1) << 61, FORMAT, "second"},
    {"shape larger than the file", "second", 12, 8, 1000, FORMAT, "tensor second: its 12000 bytes"},
    {"shape one row larger", "fourth", 12, 8, 3, FORMAT, "tensor fourth: its 102 bytes"},
    {"shape one row smaller", "fourth", 12, 8, 1, FORMAT, "34 bytes follow"},
    {"row of half a block", "fourth", 4, 8, 48, FORMAT, "no whole blocks"},
    {"element type Q8_1", "fourth", 20, 4, 9, UNSUPPORTED, "tensor fourth: element type 9 (Q8_1)"},
    {"element type IQ4_XS", "fourth", 20, 4, 23, UNSUPPORTED, "(IQ4_XS)"},
    {"element type I32", "fourth", 20, 4, 26, UNSUPPORTED, "(I32)"},
    {"element type MXFP4", "fourth", 20, 4, 39, UNSUPPORTED, "(MXFP4)"},
    {"element type of nobody", "fourth", 20, 4, 200, UNSUPPORTED, "200 (unknown)"},
    {"element type 2^32-1", "fourth", 20, 4, UINT32_MAX, UNSUPPORTED, "(unknown)"},
    {"offset not aligned", "fourth", 24, 8, 31, FORMAT, "tensor fourth: starts at"},
    {"offset on the other tensor", "fourth", 24, 8, 0, FORMAT, "overlap"},
    {"offset beyond the file", "fourth", 24, 8, 1 << 20, FORMAT, "tensor fourth: its 68 bytes"},
    {"offset 2^64-1", "fourth", 24, 8, UINT64_MAX, FORMAT, "tensor fourth: its 68 bytes"},
    {"offset 2^64-32: wraps to the header", "fourth", 24, 8, UINT64_MAX - 31, FORMAT, "fourth"},
    {"offset 2^63", "fourth", 24, 8, UINT64_C(1) << 63, FORMAT, "tensor fourth: its 68 bytes"},
    {"first tensor not at the start", "second", 24, 8, 32, FORMAT, "tensor"},
};

static size_t find(const struct upg_buffer *bytes, const char *anchor)
{
    const size_t n = strlen(anchor);

    for (size_t i = 0; i + n <= bytes->n; i++)
        if (memcmp(bytes->bytes + i, anchor, n) == 0)
            return i + n;
    fail_msg("the file has no %s", anchor);
    return 0;
}

/* Whatever a file claims, what is allocated is bounded by its real size. */
enum { MOST_BYTES = 1 << 17 };

/* Read n bytes from a block of exactly that size, so that sanitizers see a byte too many. */
static upg_status read_bytes(const char *bytes, size_t n, upg_error *err)
{
    uint8_t *copy = malloc(n ? n : 1);
    struct upg_arena arena = {0};
    struct upg_gguf file;
    upg_status status;

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    status = upg_gguf_read(&file, "bad.gguf", copy, n, &arena, err);
    assert_true(arena.n_bytes <= MOST_BYTES);
    upg_arena_clear(&arena);
    free(copy);
    return status;
}

static void lies_are_refused_by_the_name_of_the_field(void **state)
{
    struct upg_buffer bytes = {0};

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const struct damage *d = &damages[i];
        upg_error err;
        upg_status status;
        char *at;

        build(&bytes);
        at = bytes.bytes + (ptrdiff_t)find(&bytes, d->anchor) + d->at;
        for (int k = 0; k < d->width; k++)
            at[k] = (char)(d->value >> (8 * k));
        status = read_bytes(bytes.bytes, bytes.n, &err);
        if (status != d->status || !strstr(err.message, d->part) ||
            !strstr(err.message, "bad.gguf: "))
            fail_msg("%s: %s: %s", d->what, upg_status_name(status),
                     status == UPG_OK ? "" : err.message);
        upg_buffer_clear(&bytes);
    }
}

static void file_cut_anywhere_is_refused(void **state)
{
    struct upg_buffer bytes = {0};

    (void)state;
    build(&bytes);
    for (size_t n = 0; n < bytes.n; n++) {
        upg_error err;
        assert_fails(read_bytes(bytes.bytes, n, &err), UPG_ERR_FORMAT, err, "download it again");
    }
    upg_buffer_clear(&bytes);
}

static void bytes_behind_the_last_tensor_are_refused_unless_they_are_padding(void **state)
{
    struct upg_buffer bytes = {0};
    upg_error err;

    (void)state;
    build(&bytes);
    for (size_t i = 0; i < 31; i++)
        gguf_put(&bytes, 0, 1);
    assert_ok(read_bytes(bytes.bytes, bytes.n, &err), err);
    gguf_put(&bytes, 0, 1);
    assert_fails(read_bytes(bytes.bytes, bytes.n, &err), UPG_ERR_FORMAT, err,
                 "32 bytes follow the last tensor");
    upg_buffer_clear(&bytes);
}

static void arrays_nest_to_a_limit(void **state)
{
    (void)state;
    for (int depth = 1; depth <= 100000; depth = depth == 6 ? 100000 : depth + 1) {
        struct gguf_builder b = {.alignment = 32};
        struct upg_buffer bytes = {0};
        upg_error err;

        gguf_add_key(&b, "deep", UPG_GGUF_ARRAY);
        for (int i = 1; i < depth; i++) {
            gguf_put(&b.entries, UPG_GGUF_ARRAY, 4);
            gguf_put(&b.entries, 1, 8);
        }
        gguf_put(&b.entries, UPG_GGUF_U8, 4);
        gguf_put(&b.entries, 0, 8);
        gguf_finish(&b, &bytes);
        if (depth <= UPG_GGUF_MAX_DEPTH)
            assert_ok(read_bytes(bytes.bytes, bytes.n, &err), err);
        else
            assert_fails(read_bytes(bytes.bytes, bytes.n, &err), UPG_ERR_FORMAT, err,
                         "deep: arrays nest deeper");
        upg_buffer_clear(&bytes);
    }
}

/* Every byte of the header in turn begins a number at an end of its range.  Whether a file is still
 * good then is not known; that reading it touches only its bytes, the sanitizers say. */
static void extreme_numbers_anywhere_do_no_harm(void **state)
{
    static const uint64_t values[] = {0,
                                      1,
                                      8,
                                      9,
                                      0x7F,
                                      0x80,
                                      0xFF,
                                      0x7FFFFFFF,
                                      0x80000000,
                                      UINT32_MAX,
                                      UINT64_C(1) << 32,
                                      UINT64_C(1) << 58,
                                      UINT64_C(1) << 61,
                                      UINT64_C(1) << 63,
                                      INT64_MAX,
                                      UINT64_MAX,
                                      UINT64_MAX - 31};
    static const int widths[] = {1, 4, 8};
    struct upg_buffer bytes = {0};
    size_t n_good = 0, n_bad = 0;

    (void)state;
    build(&bytes);
    for (size_t at = 0; at + 8 <= bytes.n; at++)
        for (size_t w = 0; w < 3; w++)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                char saved[8];
                upg_error err;

                memcpy(saved, bytes.bytes + at, 8);
                for (int k = 0; k < widths[w]; k++)
                    bytes.bytes[at + (size_t)k] = (char)(values[v] >> (8 * k));
                if (read_bytes(bytes.bytes, bytes.n, &err) == UPG_OK)
                    n_good++;
                else
                    n_bad++;
                memcpy(bytes.bytes + at, saved, 8);
            }
    assert_true(n_good > 1000 && n_bad > 1000);
    upg_buffer_clear(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_is_read_as_it_is),
        cmocka_unit_test_setup_teardown(values_of_every_type_are_found, open_values, close_values),
        cmocka_unit_test_setup_teardown(values_of_wrong_type_or_range_name_the_key, open_values,
                                        close_values),
        cmocka_unit_test(lies_are_refused_by_the_name_of_the_field),
        cmocka_unit_test(file_cut_anywhere_is_refused),
        cmocka_unit_test(bytes_behind_the_last_tensor_are_refused_unless_they_are_padding),
        cmocka_unit_test(arrays_nest_to_a_limit),
        cmocka_unit_test(extreme_numbers_anywhere_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
