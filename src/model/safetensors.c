/* safetensors.c -- a reader that says no.
 *
 * Invariants of a directory that was read:
 *   (1) tensors[0].data is the first byte behind the header, each tensor begins where the one
 *       before ends, and the last ends with the file: no byte is in two tensors or in none.
 *   (2) n_bytes == n_values * bytes of an element, computed without overflow.
 * Rules: the format's own documentation (huggingface/safetensors), section "Format". */
#include "model/safetensors.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

/* A value of JSON takes up to a hundred times the two bytes it is written in, so a header is
 * refused when it has more values than a directory of 100 000 tensors, counted by what precedes a
 * value. */
enum { MAX_VALUES = 1000 * 1000 };

static const struct {
    const char *name;
    size_t n_bytes;
} dtypes[UPG_N_DTYPES] = {
    [UPG_DTYPE_BOOL] = {"BOOL", 1},       [UPG_DTYPE_U8] = {"U8", 1},
    [UPG_DTYPE_I8] = {"I8", 1},           [UPG_DTYPE_F8_E4M3] = {"F8_E4M3", 1},
    [UPG_DTYPE_F8_E5M2] = {"F8_E5M2", 1}, [UPG_DTYPE_I16] = {"I16", 2},
    [UPG_DTYPE_U16] = {"U16", 2},         [UPG_DTYPE_F16] = {"F16", 2},
    [UPG_DTYPE_BF16] = {"BF16", 2},       [UPG_DTYPE_I32] = {"I32", 4},
    [UPG_DTYPE_U32] = {"U32", 4},         [UPG_DTYPE_F32] = {"F32", 4},
    [UPG_DTYPE_I64] = {"I64", 8},         [UPG_DTYPE_U64] = {"U64", 8},
    [UPG_DTYPE_F64] = {"F64", 8},
};

const char *upg_dtype_name(enum upg_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t upg_dtype_bytes(enum upg_dtype dtype)
{
    return dtypes[dtype].n_bytes;
}

/* Where a tensor lies, as its entry claims: bytes [begin, end) of the data. */
struct claim {
    struct upg_safetensor tensor;
    size_t begin, end;
};

static upg_status fail_tensor(upg_error *err, const char *where, const char *name, const char *what)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: %s; download the file again", where, name,
                    what);
}

static bool get_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (unsigned long long)json_integer_value(value) > SIZE_MAX)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static upg_status parse_dtype(struct upg_safetensor *tensor, const json_t *entry, const char *where,
                              const char *name, upg_error *err)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));

    if (!text)
        return fail_tensor(err, where, name, "dtype is missing or no string");
    for (int i = 0; i < UPG_N_DTYPES; i++) {
        if (strcmp(text, dtypes[i].name) == 0) {
            tensor->dtype = (enum upg_dtype)i;
            return UPG_OK;
        }
    }
    return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: tensor %s: dtype %.40s is not known here", where,
                    name, text);
}

static upg_status parse_shape(struct upg_safetensor *tensor, const json_t *entry, const char *where,
                              const char *name, upg_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    const size_t n_dims = json_array_size(shape);

    if (!json_is_array(shape))
        return fail_tensor(err, where, name, "shape is missing or no array");
    if (n_dims > UPG_SAFETENSORS_MAX_DIMS)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "%s: tensor %s: has %zu dimensions, at most %d",
                        where, name, n_dims, UPG_SAFETENSORS_MAX_DIMS);
    tensor->n_dims = n_dims;
    tensor->n_values = 1;
    for (size_t d = 0; d < n_dims; d++) {
        if (!get_size(json_array_get(shape, d), &tensor->shape[d]))
            return fail_tensor(err, where, name, "shape has an entry that is no size");
        if (!size_mul(tensor->n_values, tensor->shape[d], &tensor->n_values))
            return fail_tensor(err, where, name, "shape is larger than memory");
    }
    return UPG_OK;
}

/* One entry of the header.  `end` is compared with the file here; tiling is checked when all claims
 * are known. */
static upg_status parse_claim(struct claim *claim, const char *name, const json_t *entry,
                              const char *where, const uint8_t *data, size_t n_data, upg_error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    struct upg_safetensor *tensor = &claim->tensor;
    upg_status status;

    if (!json_is_object(entry))
        return fail_tensor(err, where, name, "its entry is no object");
    if (strlen(name) > UPG_SAFETENSORS_MAX_NAME)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %.40s...: name of %zu bytes, at most %d",
                        where, name, strlen(name), UPG_SAFETENSORS_MAX_NAME);
    status = parse_dtype(tensor, entry, where, name, err);
    if (status == UPG_OK)
        status = parse_shape(tensor, entry, where, name, err);
    if (status != UPG_OK)
        return status;
    if (!size_mul(tensor->n_values, dtypes[tensor->dtype].n_bytes, &tensor->n_bytes))
        return fail_tensor(err, where, name, "shape is larger than memory");
    if (json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &claim->begin) ||
        !get_size(json_array_get(offsets, 1), &claim->end))
        return fail_tensor(err, where, name, "data_offsets are not two sizes");
    if (claim->begin > claim->end || claim->end > n_data)
        return upg_fail(
            err, UPG_ERR_FORMAT,
            "%s: tensor %s: data_offsets [%zu, %zu) are not within the file's %zu bytes "
            "of data; download the file again",
            where, name, claim->begin, claim->end, n_data);
    if (claim->end - claim->begin != tensor->n_bytes)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: tensor %s: shape and dtype need %zu bytes, data_offsets give %zu; "
                        "download the file again",
                        where, name, tensor->n_bytes, claim->end - claim->begin);
    tensor->data = data + claim->begin;
    return UPG_OK;
}

static upg_status check_metadata(const json_t *metadata, const char *where, upg_error *err)
{
    const char *key;
    const json_t *value;

    if (!json_is_object(metadata))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: __metadata__: must be an object", where);
    json_object_foreach((json_t *)metadata, key, value) if (!json_is_string(value)) return upg_fail(
        err, UPG_ERR_FORMAT, "%s: __metadata__: %s: must be a string", where, key);
    return UPG_OK;
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty tensors first */
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct upg_safetensor *const *)a)->name,
                  (*(const struct upg_safetensor *const *)b)->name);
}

/* Invariant (1): claims, sorted by place, must tile [0, n_data). */
static upg_status check_tiling(const struct claim *claims, size_t n, const char *where,
                               size_t n_data, upg_error *err)
{
    size_t end = 0;

    for (size_t i = 0; i < n; i++) {
        if (claims[i].begin != end)
            return upg_fail(
                err, UPG_ERR_FORMAT,
                "%s: tensor %s: begins at byte %zu of the data, %s the tensor before it "
                "that ends at %zu; download the file again",
                where, claims[i].tensor.name, claims[i].begin,
                claims[i].begin < end ? "inside" : "behind a hole after", end);
        end = claims[i].end;
    }
    if (end != n_data)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: the tensors end at byte %zu of the data, the file at %zu; download it "
                        "again",
                        where, end, n_data);
    return UPG_OK;
}

/* Move the checked claims into the arena, in file order and by name. */
static upg_status keep_claims(struct upg_safetensors *directory, const struct claim *claims,
                              size_t n, struct upg_arena *arena, upg_error *err)
{
    directory->tensors = upg_arena_alloc(arena, n, sizeof *directory->tensors);
    directory->by_name = upg_arena_alloc(arena, n, sizeof(struct upg_safetensor *));
    if (!directory->tensors || !directory->by_name)
        return upg_fail_memory(err, "a tensor directory", n * sizeof *claims);
    for (size_t i = 0; i < n; i++) {
        struct upg_safetensor *tensor = &directory->tensors[i];
        const char *name = claims[i].tensor.name;
        *tensor = claims[i].tensor;
        tensor->where = directory->where;
        tensor->name = upg_arena_text(arena, name, strlen(name));
        if (!tensor->name)
            return upg_fail_memory(err, "a tensor's name", strlen(name));
        directory->by_name[i] = tensor;
    }
    directory->n_tensors = n;
    qsort(directory->by_name, n, sizeof(struct upg_safetensor *), compare_names);
    return UPG_OK;
}

static upg_status parse_header(struct upg_safetensors *directory, json_t *header,
                               const uint8_t *data, size_t n_data, struct upg_arena *arena,
                               upg_error *err)
{
    const char *where = directory->where, *name;
    json_t *entry;
    size_t n = 0;
    upg_status status = UPG_OK;
    struct claim *claims = calloc(json_object_size(header) + 1, sizeof *claims);

    if (!claims)
        return upg_fail_memory(err, "a tensor directory",
                               json_object_size(header) * sizeof *claims);
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(entry, where, err);
            directory->metadata = json_incref(entry);
        } else {
            claims[n].tensor.name = name; /* lives as long as the header */
            status = parse_claim(&claims[n++], name, entry, where, data, n_data, err);
        }
        if (status != UPG_OK)
            goto done;
    }
    qsort(claims, n, sizeof *claims, compare_claims);
    status = check_tiling(claims, n, where, n_data, err);
    if (status == UPG_OK)
        status = keep_claims(directory, claims, n, arena, err);
done:
    free(claims);
    return status;
}

static bool has_too_many_values(const char *text, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return count > MAX_VALUES;
}

upg_status upg_safetensors_read(struct upg_safetensors *directory, const char *where,
                                const uint8_t *bytes, size_t n_bytes, struct upg_arena *arena,
                                upg_error *err)
{
    static const char lfs[] = "version https://git-lfs";
    uint64_t length = 0;
    const char *text;
    json_t *header;
    upg_status status;

    memset(directory, 0, sizeof *directory);
    directory->where = where;
    if (n_bytes < 8)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: has %zu bytes, too few for a safetensors file; download it again",
                        where, n_bytes);
    if (n_bytes >= sizeof lfs - 1 && memcmp(bytes, lfs, sizeof lfs - 1) == 0)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: is a pointer of git-lfs, not the file itself; run 'git lfs pull'",
                        where);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | bytes[i];
    if (length > UPG_SAFETENSORS_MAX_HEADER || length > n_bytes - 8)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: claims a header of %llu bytes; the file has %zu and a header at most "
                        "%zu: not a safetensors file, or cut short",
                        where, (unsigned long long)length, n_bytes, UPG_SAFETENSORS_MAX_HEADER);
    text = (const char *)bytes + 8;
    if (length == 0 || text[0] != '{')
        return upg_fail(err, UPG_ERR_FORMAT, "%s: the header does not begin with '{'", where);
    if (has_too_many_values(text, (size_t)length))
        return upg_fail(err, UPG_ERR_FORMAT, "%s: the header lists more than %d values", where,
                        MAX_VALUES);
    status = upg_json_parse(&header, where, text, (size_t)length, err);
    if (status != UPG_OK)
        return status;
    directory->header_bytes = 8 + (size_t)length;
    status = parse_header(directory, header, bytes + directory->header_bytes,
                          n_bytes - directory->header_bytes, arena, err);
    json_decref(header);
    return status;
}

void upg_safetensors_clear(struct upg_safetensors *directory)
{
    json_decref(directory->metadata);
    memset(directory, 0, sizeof *directory);
}

static int compare_to_name(const void *name, const void *tensor)
{
    return strcmp(name, (*(const struct upg_safetensor *const *)tensor)->name);
}

const struct upg_safetensor *upg_safetensors_find(const struct upg_safetensors *directory,
                                                  const char *name)
{
    const struct upg_safetensor *const *found =
        bsearch(name, directory->by_name, directory->n_tensors, sizeof(struct upg_safetensor *),
                compare_to_name);

    return found ? *found : NULL;
}

void upg_safetensor_info(const struct upg_safetensor *tensor, upg_tensor_info *info)
{
    const size_t n_rows = tensor->n_dims > 0 ? tensor->shape[0] : 1;

    info->name = tensor->name;
    info->type = dtypes[tensor->dtype].name;
    info->n_dims = tensor->n_dims > 1 ? 2 : 1;
    info->shape[0] = n_rows;
    info->shape[1] = n_rows ? tensor->n_values / n_rows : 0; /* further dimensions are one */
    info->bits = 8.0 * (double)dtypes[tensor->dtype].n_bytes;
    info->n_bytes = tensor->n_bytes;
}
