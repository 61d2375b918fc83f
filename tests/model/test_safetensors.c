/* The directory of safetensors files: what is read, and what is refused. */
#include "unit.h"

#include "model/safetensors.h"

#include <stdlib.h>

/* A file in heap memory of exactly its size, so that a read beyond it is seen. */
struct file {
    uint8_t *bytes;
    size_t n;
};

static struct file make_file(const char *header, size_t n_header, uint64_t claimed, size_t n_data)
{
    struct file file = {NULL, 8 + n_header + n_data};

    file.bytes = malloc(file.n);
    assert_non_null(file.bytes);
    for (size_t i = 0; i < 8; i++)
        file.bytes[i] = (uint8_t)(claimed >> (8 * i));
    memcpy(file.bytes + 8, header, n_header);
    for (size_t i = 0; i < n_data; i++)
        file.bytes[8 + n_header + i] = (uint8_t)i;
    return file;
}

static upg_status read(const struct file *file, struct upg_safetensors *directory,
                       struct upg_arena *arena, upg_error *err)
{
    return upg_safetensors_read(directory, "file", file->bytes, file->n, arena, err);
}

static void good_file_is_read_as_it_is(void **state)
{
    const char *header = "{\"__metadata__\":{\"format\":\"pt\"},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                         "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[4,4]},"
                         "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ";
    const size_t n = strlen(header);
    struct file file = make_file(header, n, n, 16);
    struct upg_safetensors directory;
    struct upg_arena arena = {0};
    upg_tensor_info info;
    upg_error err;
    (void)state;

    assert_ok(read(&file, &directory, &arena, &err), err);
    assert_int_equal(directory.n_tensors, 3);
    assert_string_equal(directory.tensors[0].name, "a");
    assert_string_equal(directory.tensors[1].name, "empty");
    assert_string_equal(directory.tensors[2].name, "b");
    assert_ptr_equal(upg_safetensors_find(&directory, "b"), &directory.tensors[2]);
    assert_null(upg_safetensors_find(&directory, "c"));
    assert_int_equal(directory.tensors[2].data[0], 4);
    assert_int_equal(directory.tensors[2].n_bytes, 12);
    assert_int_equal(directory.tensors[0].n_values, 1);
    assert_int_equal(directory.tensors[1].n_values, 0);
    assert_string_equal(json_string_value(json_object_get(directory.metadata, "format")), "pt");
    upg_safetensor_info(&directory.tensors[2], &info);
    assert_string_equal(info.type, "BF16");
    assert_int_equal(info.shape[0], 2);
    assert_int_equal(info.shape[1], 3);
    upg_safetensors_clear(&directory);
    upg_arena_clear(&arena);
    free(file.bytes);
}

static void every_known_dtype_has_its_size(void **state)
{
    static const struct {
        const char *name;
        size_t n_bytes;
    } dtypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                  {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                  {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};
    (void)state;

    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        char header[128];
        const size_t n =
            (size_t)snprintf(header, sizeof header,
                             "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                             dtypes[i].name, 3 * dtypes[i].n_bytes);
        struct file file = make_file(header, n, n, 3 * dtypes[i].n_bytes);
        struct upg_safetensors directory;
        struct upg_arena arena = {0};
        upg_error err;
        assert_ok(read(&file, &directory, &arena, &err), err);
        assert_string_equal(upg_dtype_name(directory.tensors[0].dtype), dtypes[i].name);
        upg_safetensors_clear(&directory);
        upg_arena_clear(&arena);
        free(file.bytes);
    }
}

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"

/* One line a lie.  All have 8 bytes of data. */
static const struct {
    const char *header;
    const char *message;
} bad[] = {
    {"", "does not begin with '{'"},
    {" {}", "does not begin with '{'"},
    {"[]", "does not begin with '{'"},
    {"{}", "end at byte 0 of the data, the file at 8"},
    {"{", "not valid JSON"},
    {"{\"t\":", "not valid JSON"},
    {"{} {}", "not valid JSON"},
    {"{\"t\":1}", "its entry is no object"},
    {"{\"t\":null}", "its entry is no object"},
    {"{\"t\":[]}", "its entry is no object"},
    {"{\"t\":{}}", "dtype is missing"},
    {"{\"t\":{\"dtype\":7,\"shape\":[8],\"data_offsets\":[0,8]}}", "dtype is missing or no string"},
    {"{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,8]}}", "shape is missing"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":8,\"data_offsets\":[0,8]}}",
     "shape is missing or no array"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[8]}}", "data_offsets are not two sizes"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0]}}", "data_offsets are not"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,4,8]}}", "data_offsets are not"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":{\"0\":0}}}", "data_offsets are not"},
    {"{" T("t", "U8", "[8]", "\"0\"", "8") "}", "data_offsets are not two sizes"},
    {"{" T("t", "U8", "[8]", "-8", "0") "}", "data_offsets are not two sizes"},
    {"{" T("t", "U8", "[8]", "0.0", "8") "}", "data_offsets are not two sizes"},
    {"{" T("t", "U8", "[8]", "0", "18446744073709551616") "}", "not valid JSON"},
    {"{" T("t", "U8", "[8]", "8", "0") "}", "not within"},
    {"{" T("t", "U8", "[9]", "0", "9") "}", "not within the file's 8 bytes"},
    {"{" T("t", "U8", "[8]", "9223372036854775800", "9223372036854775807") "}", "not within"},
    {"{" T("t", "U8", "[7]", "0", "8") "}", "need 7 bytes, data_offsets give 8"},
    {"{" T("t", "F64", "[2]", "0", "8") "}", "need 16 bytes"},
    {"{" T("t", "U8", "[7]", "0", "7") "}", "end at byte 7 of the data"},
    {"{" T("t", "U8", "[7]", "1", "8") "}", "behind a hole"},
    {"{" T("t", "U8", "[4]", "0", "4") "," T("u", "U8", "[3]", "5", "8") "}", "behind a hole"},
    {"{" T("t", "U8", "[5]", "0", "5") "," T("u", "U8", "[4]", "4", "8") "}", "inside the tensor"},
    {"{" T("t", "U8", "[8]", "0", "8") "," T("u", "U8", "[8]", "0", "8") "}", "inside the tensor"},
    {"{" T("t", "U8", "[8]", "0", "8") "," T("u", "U8", "[0]", "4", "4") "}", "inside the tensor"},
    {"{" T("t", "U8", "[8]", "0", "8") "," T("t", "U8", "[8]", "0", "8") "}", "duplicate"},
    {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
     "duplicate"},
    {"{" T("t", "U8", "[-8]", "0", "8") "}", "shape has an entry that is no size"},
    {"{" T("t", "U8", "[8.0]", "0", "8") "}", "shape has an entry that is no size"},
    {"{" T("t", "U8", "[true]", "0", "8") "}", "shape has an entry that is no size"},
    {"{" T("t", "U8", "[4294967296,4294967296]", "0", "8") "}", "larger than memory"},
    {"{" T("t", "F64", "[4611686018427387904]", "0", "8") "}", "larger than memory"},
    {"{" T("t", "U8", "[0,9223372036854775807,2,4]", "0", "8") "}", "need 0 bytes"},
    {"{" T("t", "U8", "[9223372036854775807,9223372036854775807,0]", "0", "8") "}", "larger than"},
    {"{" T("t\\u0000u", "U8", "[8]", "0", "8") "}", "not valid JSON"},
    {"{" T("t\xFF", "U8", "[8]", "0", "8") "}", "not valid JSON"},
    {"{\"__metadata__\":[]," T("t", "U8", "[8]", "0", "8") "}", "__metadata__: must be an object"},
    {"{\"__metadata__\":{\"a\":1}," T("t", "U8", "[8]", "0", "8") "}", "a: must be a string"},
    {"{\"__metadata__\":{\"a\":{}}," T("t", "U8", "[8]", "0", "8") "}", "a: must be a string"},
};

static void expect_refusal(const struct file *file, upg_status status, const char *message)
{
    struct upg_safetensors directory;
    struct upg_arena arena = {0};
    upg_error err;

    assert_fails(read(file, &directory, &arena, &err), status, err, message);
    upg_safetensors_clear(&directory);
    upg_arena_clear(&arena);
}

static void lying_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const size_t n = strlen(bad[i].header);
        struct file file = make_file(bad[i].header, n, n, 8);
        expect_refusal(&file, UPG_ERR_FORMAT, bad[i].message);
        free(file.bytes);
    }
}

static void what_is_only_unknown_is_called_unsupported(void **state)
{
    static const char *const headers[] = {"{" T("t", "F4", "[8]", "0", "8") "}",
                                          "{" T("t", "U8", "[1,1,1,1,1,1,1,1,8]", "0", "8") "}"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct file file = make_file(headers[i], strlen(headers[i]), strlen(headers[i]), 8);
        expect_refusal(&file, UPG_ERR_UNSUPPORTED, "tensor t: ");
        free(file.bytes);
    }
}

static void lying_lengths_are_refused(void **state)
{
    const char *header = "{" T("t", "U8", "[8]", "0", "8") "}";
    const size_t n = strlen(header);
    const uint64_t claims[] = {n + 9, 100000001, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    (void)state;

    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct file file = make_file(header, n, claims[i], 8);
        expect_refusal(&file, UPG_ERR_FORMAT, "claims a header of");
        free(file.bytes);
    }
}

/* A good file cut anywhere is a bad file. */
static void every_truncation_is_refused(void **state)
{
    const char *header = "{" T("t", "U8", "[4]", "0", "4") "," T("u", "I16", "[2]", "4", "8") "}";
    const size_t n = strlen(header);
    struct file whole = make_file(header, n, n, 8);
    (void)state;

    for (size_t cut = 0; cut < whole.n; cut++) {
        struct file file = {malloc(cut ? cut : 1), cut};
        struct upg_safetensors directory;
        struct upg_arena arena = {0};
        upg_error err;
        assert_non_null(file.bytes);
        memcpy(file.bytes, whole.bytes, cut);
        assert_int_equal(read(&file, &directory, &arena, &err), UPG_ERR_FORMAT);
        upg_safetensors_clear(&directory);
        upg_arena_clear(&arena);
        free(file.bytes);
    }
    free(whole.bytes);
}

static void deep_json_is_refused_before_it_is_parsed(void **state)
{
    const size_t n = 100000;
    char *header = malloc(n);
    struct file file;
    (void)state;

    assert_non_null(header);
    memset(header, '[', n);
    header[0] = '{';
    file = make_file(header, n, n, 8);
    expect_refusal(&file, UPG_ERR_FORMAT, "nests deeper");
    free(file.bytes);
    free(header);
}

/* Two bytes a value would become a hundred in memory. */
static void headers_of_very_many_values_are_refused(void **state)
{
    const size_t n = 4000000;
    char *header = malloc(n);
    struct file file;
    (void)state;

    assert_non_null(header);
    for (size_t i = 0; i < n; i++)
        header[i] = i % 2 ? ',' : '1';
    header[0] = '{';
    file = make_file(header, n, n, 8);
    expect_refusal(&file, UPG_ERR_FORMAT, "more than 1000000 values");
    free(file.bytes);
    free(header);
}

static void long_names_are_refused(void **state)
{
    char header[1024], name[520];
    struct file file;
    (void)state;

    for (size_t n_name = 512; n_name <= 513; n_name++) {
        size_t n;
        struct upg_safetensors directory;
        struct upg_arena arena = {0};
        upg_error err;
        memset(name, 'x', n_name);
        name[n_name] = '\0';
        n = (size_t)snprintf(header, sizeof header,
                             "{\"%s\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
                             name);
        file = make_file(header, n, n, 8);
        if (n_name == 512)
            assert_ok(read(&file, &directory, &arena, &err), err);
        else
            assert_fails(read(&file, &directory, &arena, &err), UPG_ERR_FORMAT, err, "at most 512");
        upg_safetensors_clear(&directory);
        upg_arena_clear(&arena);
        free(file.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_is_read_as_it_is),
        cmocka_unit_test(every_known_dtype_has_its_size),
        cmocka_unit_test(lying_headers_are_refused),
        cmocka_unit_test(what_is_only_unknown_is_called_unsupported),
        cmocka_unit_test(lying_lengths_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(deep_json_is_refused_before_it_is_parsed),
        cmocka_unit_test(headers_of_very_many_values_are_refused),
        cmocka_unit_test(long_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
