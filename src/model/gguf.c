/* gguf.c -- reading the container of a GGUF file.
 *
 * A cursor walks over the bytes once.  Its status is sticky: after the first failure it gives zeros
 * and moves no further, so that a group of fields is checked once, behind its last one. */
#include "model/gguf.h"

#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_ALIGNMENT = 32, MIN_ALIGNMENT = 8, MAX_ALIGNMENT = 1 << 30 };

/* Least bytes of an entry (key length, one character, type, value) and of a tensor's description
 * (name length, one character, number of dimensions, one of them, type, offset). */
enum { MIN_ENTRY_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };

/* Of an array whose elements have no fixed length: no vocabulary has more; a text is at least its
 * length. */
enum { MAX_ELEMENTS = 1 << 24, MIN_ELEMENT_BYTES = 8 };

/* Bytes of a value; 0 for those that say it themselves. */
static const size_t value_bytes[UPG_GGUF_N_TYPES] = {
    [UPG_GGUF_U8] = 1,  [UPG_GGUF_I8] = 1,  [UPG_GGUF_U16] = 2, [UPG_GGUF_I16] = 2,
    [UPG_GGUF_U32] = 4, [UPG_GGUF_I32] = 4, [UPG_GGUF_F32] = 4, [UPG_GGUF_BOOL] = 1,
    [UPG_GGUF_U64] = 8, [UPG_GGUF_I64] = 8, [UPG_GGUF_F64] = 8,
};

/* Types of tensors by their number in the file. */
static const struct {
    uint32_t number;
    enum upg_type type;
} tensor_types[] = {
    {0, UPG_TYPE_F32},   {1, UPG_TYPE_F16},   {2, UPG_TYPE_Q4_0},  {3, UPG_TYPE_Q4_1},
    {6, UPG_TYPE_Q5_0},  {7, UPG_TYPE_Q5_1},  {8, UPG_TYPE_Q8_0},  {10, UPG_TYPE_Q2_K},
    {11, UPG_TYPE_Q3_K}, {12, UPG_TYPE_Q4_K}, {13, UPG_TYPE_Q5_K}, {14, UPG_TYPE_Q6_K},
    {30, UPG_TYPE_BF16},
};

/* Names of the others, for the message. */
static const char *const other_types[] = {
    [4] = "Q4_2",    [5] = "Q4_3",     [9] = "Q8_1",   [15] = "Q8_K",   [16] = "IQ2_XXS",
    [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
    [22] = "IQ2_S",  [23] = "IQ4_XS",  [24] = "I8",    [25] = "I16",    [26] = "I32",
    [27] = "I64",    [28] = "F64",     [29] = "IQ1_M", [34] = "TQ1_0",  [35] = "TQ2_0",
    [39] = "MXFP4",
};

_Static_assert(sizeof(size_t) >= sizeof(uint64_t), "numbers of a file become sizes uncut");

/* ---- The cursor ---- */

struct cursor {
    const char *path;
    const uint8_t *bytes;
    size_t n_bytes, at;
    char field[96]; /* what is being read, for messages */
    upg_status status;
    upg_error *err;
};

/* The next n bytes; NULL if the file has fewer. */
static const uint8_t *take(struct cursor *c, uint64_t n)
{
    const uint8_t *bytes = c->bytes + c->at;

    if (c->status == UPG_OK && n > c->n_bytes - c->at)
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: %s: needs %" PRIu64 " bytes at %zu, the file has %zu; it is cut "
                             "off or damaged: download it again",
                             c->path, c->field, n, c->at, c->n_bytes);
    if (c->status != UPG_OK)
        return NULL;
    c->at += (size_t)n;
    return bytes;
}

static uint64_t take_number(struct cursor *c, size_t n)
{
    const uint8_t *bytes = take(c, n);

    return bytes ? upg_gguf_load(bytes, n) : 0;
}

static struct upg_text_span take_text(struct cursor *c)
{
    const uint64_t n = take_number(c, 8);
    const uint8_t *bytes = take(c, n);

    return (struct upg_text_span){(const char *)bytes, bytes ? (size_t)n : 0};
}

/* A key or a tensor's name: printable ASCII, so that it can be compared as a C string and shown.
 * NULL after a failure. */
static const char *take_name(struct cursor *c, size_t max, struct upg_arena *arena)
{
    const struct upg_text_span text = take_text(c);
    const char *name;

    if (c->status != UPG_OK)
        return NULL;
    if (text.n == 0 || text.n > max)
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: %s: its name has %zu bytes, which must be 1 to %zu", c->path,
                             c->field, text.n, max);
    for (size_t i = 0; i < text.n && c->status == UPG_OK; i++)
        if (text.text[i] <= 0x20 || text.text[i] >= 0x7F)
            c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                                 "%s: %s: byte 0x%02x in its name is not printable ASCII", c->path,
                                 c->field, (unsigned)(unsigned char)text.text[i]);
    if (c->status != UPG_OK)
        return NULL;
    name = upg_arena_text(arena, text.text, text.n);
    if (!name)
        c->status = upg_fail_memory(c->err, "a name", text.n + 1);
    return name;
}

/* A count of things of at least min_bytes each. */
static size_t take_count(struct cursor *c, const char *what, size_t max, size_t min_bytes)
{
    uint64_t n;

    snprintf(c->field, sizeof c->field, "number of %s", what);
    n = take_number(c, 8);
    if (c->status == UPG_OK && (n > max || n > (c->n_bytes - c->at) / min_bytes))
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: number of %s: %" PRIu64
                             " cannot be right: there is room for %zu, and upg reads at most %zu; "
                             "the file is cut off or damaged: download it again",
                             c->path, what, n, (c->n_bytes - c->at) / min_bytes, max);
    return c->status == UPG_OK ? (size_t)n : 0;
}

/* ---- Metadata ---- */

static enum upg_gguf_type take_type(struct cursor *c)
{
    const uint64_t type = take_number(c, 4);

    if (c->status == UPG_OK && type >= UPG_GGUF_N_TYPES)
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: %s: has value type %" PRIu64 ", which GGUF does not have",
                             c->path, c->field, type);
    return c->status == UPG_OK ? (enum upg_gguf_type)type : UPG_GGUF_U8;
}

/* n bools are 0 or 1. */
static void check_bools(struct cursor *c, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n && c->status == UPG_OK; i++)
        if (bytes[i] > 1)
            c->status = upg_fail(c->err, UPG_ERR_FORMAT, "%s: %s: a bool is %d", c->path, c->field,
                                 bytes[i]);
}

/* Elements of varying length are stepped over one by one, so their number is checked first. */
static void check_n_elements(struct cursor *c, size_t n)
{
    const size_t room = (c->n_bytes - c->at) / MIN_ELEMENT_BYTES;

    if (c->status == UPG_OK && (n > MAX_ELEMENTS || n > room))
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: %s: cannot list %zu values: there is room for %zu, and upg reads "
                             "at most %d; the file is cut off or damaged: download it again",
                             c->path, c->field, n, room, MAX_ELEMENTS);
}

/* Step over a value of this type and say where it is.  The time is linear in the bytes passed:
 * every element takes at least one. */
static void take_value(struct cursor *c, enum upg_gguf_type type, int depth,
                       struct upg_gguf_value *value)
{
    size_t n_bytes;

    *value = (struct upg_gguf_value){.type = type, .n = 1};
    if (type == UPG_GGUF_TEXT) {
        const struct upg_text_span text = take_text(c);
        value->bytes = (const uint8_t *)text.text;
        value->n = text.n;
        return;
    }
    if (type == UPG_GGUF_ARRAY) {
        if (depth == UPG_GGUF_MAX_DEPTH)
            c->status = upg_fail(c->err, UPG_ERR_FORMAT, "%s: %s: arrays nest deeper than %d",
                                 c->path, c->field, UPG_GGUF_MAX_DEPTH);
        type = value->element = take_type(c);
        value->n = (size_t)take_number(c, 8);
    }
    value->bytes = c->bytes + c->at;
    if (value_bytes[type] == 0) {
        struct upg_gguf_value element;
        check_n_elements(c, value->n);
        for (size_t i = 0; i < value->n && c->status == UPG_OK; i++)
            take_value(c, type, depth + 1, &element);
        return;
    }
    if (!size_mul(value->n, value_bytes[type], &n_bytes))
        n_bytes = SIZE_MAX;
    take(c, n_bytes);
    if (type == UPG_GGUF_BOOL)
        check_bools(c, value->bytes, value->n);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct upg_gguf_entry *)a)->key, ((const struct upg_gguf_entry *)b)->key);
}

static upg_status read_entries(struct upg_gguf *file, struct cursor *c, struct upg_arena *arena)
{
    file->entries = upg_arena_alloc(arena, file->n_entries, sizeof *file->entries);
    if (!file->entries)
        return upg_fail_memory(c->err, "GGUF metadata", file->n_entries * sizeof *file->entries);
    for (size_t i = 0; i < file->n_entries; i++) {
        struct upg_gguf_entry *entry = &file->entries[i];

        snprintf(c->field, sizeof c->field, "metadata entry %zu", i);
        entry->key = take_name(c, UPG_GGUF_MAX_KEY, arena);
        if (!entry->key)
            return c->status;
        snprintf(c->field, sizeof c->field, "%s", entry->key);
        take_value(c, take_type(c), 0, &entry->value);
        if (c->status != UPG_OK)
            return c->status;
    }
    qsort(file->entries, file->n_entries, sizeof *file->entries, compare_entries);
    for (size_t i = 1; i < file->n_entries; i++)
        if (strcmp(file->entries[i - 1].key, file->entries[i].key) == 0)
            return upg_fail(c->err, UPG_ERR_FORMAT, "%s: %.200s: the key comes twice", file->path,
                            file->entries[i].key);
    return UPG_OK;
}

static upg_status read_alignment(struct upg_gguf *file, upg_error *err)
{
    const upg_status status =
        upg_gguf_get_size_or(file, "general.alignment", MIN_ALIGNMENT, MAX_ALIGNMENT,
                             DEFAULT_ALIGNMENT, &file->alignment, err);

    if (status == UPG_OK && (file->alignment & (file->alignment - 1)) != 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: general.alignment: %zu is not a power of two",
                        file->path, file->alignment);
    return status;
}

/* ---- Tensors ---- */

static void take_tensor_type(struct cursor *c, enum upg_type *type)
{
    const size_t n_others = sizeof other_types / sizeof *other_types;
    const uint64_t number = take_number(c, 4);
    const char *name;

    for (size_t i = 0; i < sizeof tensor_types / sizeof *tensor_types; i++)
        if (tensor_types[i].number == number) {
            *type = tensor_types[i].type;
            return;
        }
    name = number < n_others && other_types[number] ? other_types[number] : "unknown";
    if (c->status == UPG_OK)
        c->status = upg_fail(c->err, UPG_ERR_UNSUPPORTED,
                             "%s: %s: element type %" PRIu64 " (%s) is not supported; upg reads "
                             "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and Q2_K to Q6_K",
                             c->path, c->field, number, name);
}

/* Its description without its place; n_bytes by shape and type. */
static void take_tensor(struct cursor *c, struct upg_arena *arena, struct upg_gguf_tensor *tensor)
{
    bool fits;

    tensor->name = take_name(c, UPG_GGUF_MAX_NAME, arena);
    if (!tensor->name)
        return;
    snprintf(c->field, sizeof c->field, "tensor %s", tensor->name);
    tensor->n_dims = (size_t)take_number(c, 4);
    if (c->status == UPG_OK && (tensor->n_dims < 1 || tensor->n_dims > UPG_GGUF_MAX_DIMS))
        c->status =
            upg_fail(c->err, UPG_ERR_FORMAT, "%s: %s: has %zu dimensions, GGUF allows 1 to %d",
                     c->path, c->field, tensor->n_dims, UPG_GGUF_MAX_DIMS);
    for (size_t d = 0; d < UPG_GGUF_MAX_DIMS && c->status == UPG_OK; d++) {
        tensor->shape[d] = d < tensor->n_dims ? (size_t)take_number(c, 8) : 1;
        if (c->status == UPG_OK && tensor->shape[d] == 0)
            c->status = upg_fail(c->err, UPG_ERR_FORMAT, "%s: %s: dimension %zu is 0", c->path,
                                 c->field, d);
    }
    take_tensor_type(c, &tensor->type);
    tensor->begin = (size_t)take_number(c, 8); /* from the start of the data, for now */
    if (c->status != UPG_OK)
        return;
    fits = upg_type_row_bytes(tensor->type, tensor->shape[0], &tensor->n_bytes);
    for (size_t d = 1; d < UPG_GGUF_MAX_DIMS && fits; d++)
        fits = size_mul(tensor->n_bytes, tensor->shape[d], &tensor->n_bytes);
    if (!fits)
        c->status = upg_fail(c->err, UPG_ERR_FORMAT,
                             "%s: %s: shape [%zu, %zu, %zu, %zu] of %s has no whole blocks or is "
                             "larger than memory",
                             c->path, c->field, tensor->shape[0], tensor->shape[1],
                             tensor->shape[2], tensor->shape[3], upg_type_name(tensor->type));
}

static int compare_places(const void *a, const void *b)
{
    const struct upg_gguf_tensor *x = a, *y = b;

    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Tensors in the order of their bytes tile the file from data_begin to its end. */
static upg_status place_tensors(struct upg_gguf *file, size_t data_begin, upg_error *err)
{
    size_t end = data_begin; /* of the tensors before */

    qsort(file->tensors, file->n_tensors, sizeof *file->tensors, compare_places);
    for (size_t i = 0; i < file->n_tensors; i++) {
        struct upg_gguf_tensor *tensor = &file->tensors[i];
        size_t begin, due;

        if (!size_round_up(end, file->alignment, &due) ||
            !size_add(data_begin, tensor->begin, &begin) || begin > file->n_bytes ||
            tensor->n_bytes > file->n_bytes - begin)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %s: its %zu bytes at %zu of the data, which begin at %zu, "
                            "end behind the file's %zu; download it again",
                            file->path, tensor->name, tensor->n_bytes, tensor->begin, data_begin,
                            file->n_bytes);
        if (begin != due)
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: tensor %s: starts at %zu, but the tensors before it end at %zu: "
                            "it should start at %zu; they overlap, or have a hole between them",
                            file->path, tensor->name, begin, end, due);
        tensor->begin = begin;
        tensor->data = file->bytes + begin;
        end = begin + tensor->n_bytes;
    }
    if (file->n_tensors > 0 && file->n_bytes - end >= file->alignment)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: %zu bytes follow the last tensor, which belong to nothing", file->path,
                        file->n_bytes - end);
    return UPG_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(struct upg_gguf_tensor *const *)a)->name,
                  (*(struct upg_gguf_tensor *const *)b)->name);
}

static upg_status index_names(struct upg_gguf *file, upg_error *err)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->n_tensors, sizeof(struct upg_gguf_tensor *), compare_names);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: tensor %s: the name comes twice", file->path,
                            file->by_name[i]->name);
    return UPG_OK;
}

static upg_status read_tensors(struct upg_gguf *file, struct cursor *c, struct upg_arena *arena)
{
    size_t data_begin;
    upg_status status;

    file->tensors = upg_arena_alloc(arena, file->n_tensors, sizeof *file->tensors);
    file->by_name = upg_arena_alloc(arena, file->n_tensors, sizeof(struct upg_gguf_tensor *));
    if (!file->tensors || !file->by_name)
        return upg_fail_memory(c->err, "GGUF tensors", file->n_tensors * sizeof *file->tensors);
    for (size_t i = 0; i < file->n_tensors; i++) {
        snprintf(c->field, sizeof c->field, "tensor number %zu", i);
        take_tensor(c, arena, &file->tensors[i]);
        if (c->status != UPG_OK)
            return c->status;
    }
    if (!size_round_up(c->at, file->alignment, &data_begin))
        data_begin = SIZE_MAX; /* behind every file */
    status = place_tensors(file, data_begin, c->err);
    return status == UPG_OK ? index_names(file, c->err) : status;
}

/* ---- The whole ---- */

static upg_status read_version(struct cursor *c)
{
    const uint8_t *magic;
    uint32_t version;

    snprintf(c->field, sizeof c->field, "header");
    magic = take(c, 4);
    if (magic && memcmp(magic, "GGUF", 4) != 0)
        return upg_fail(c->err, UPG_ERR_FORMAT,
                        "%s: is not a GGUF file: it does not begin with GGUF", c->path);
    version = (uint32_t)take_number(c, 4);
    if (c->status != UPG_OK)
        return c->status;
    if (version != 0 && (version & 0xFFFF) == 0)
        return upg_fail(c->err, UPG_ERR_UNSUPPORTED,
                        "%s: version: is a big-endian GGUF file; upg reads little-endian ones",
                        c->path);
    if (version != 2 && version != 3)
        return upg_fail(c->err, UPG_ERR_UNSUPPORTED,
                        "%s: version: is %" PRIu32 "; upg reads GGUF versions 2 and 3", c->path,
                        version);
    return UPG_OK;
}

upg_status upg_gguf_read(struct upg_gguf *file, const char *path, const uint8_t *bytes,
                         size_t n_bytes, struct upg_arena *arena, upg_error *err)
{
    struct cursor c = {.path = path, .bytes = bytes, .n_bytes = n_bytes, .err = err};
    upg_status status;

    *file = (struct upg_gguf){.path = path, .bytes = bytes, .n_bytes = n_bytes};
    if (n_bytes == 0)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: is empty; download it again", path);
    status = read_version(&c);
    if (status != UPG_OK)
        return status;
    file->n_tensors = take_count(&c, "tensors", UPG_GGUF_MAX_TENSORS, MIN_TENSOR_BYTES);
    file->n_entries = take_count(&c, "metadata entries", UPG_GGUF_MAX_ENTRIES, MIN_ENTRY_BYTES);
    if (c.status != UPG_OK)
        return c.status;
    status = read_entries(file, &c, arena);
    if (status == UPG_OK)
        status = read_alignment(file, err);
    if (status == UPG_OK)
        status = read_tensors(file, &c, arena);
    return status;
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, ((const struct upg_gguf_entry *)entry)->key);
}

struct upg_gguf_entry *upg_gguf_find_entry(struct upg_gguf *file, const char *key)
{
    struct upg_gguf_entry *entry =
        bsearch(key, file->entries, file->n_entries, sizeof *file->entries, compare_key);

    if (entry)
        entry->used = true;
    return entry;
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, (*(struct upg_gguf_tensor *const *)tensor)->name);
}

struct upg_gguf_tensor *upg_gguf_find_tensor(struct upg_gguf *file, const char *name)
{
    struct upg_gguf_tensor **tensor = bsearch(name, file->by_name, file->n_tensors,
                                              sizeof(struct upg_gguf_tensor *), compare_name);

    if (!tensor)
        return NULL;
    (*tensor)->used = true;
    return *tensor;
}
