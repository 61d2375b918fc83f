/* gguf_values.c -- metadata of a GGUF file by key, checked for type and range. */
#include "base/half.h"
#include "model/gguf.h"

#include <inttypes.h>
#include <string.h>

static const char *const type_names[UPG_GGUF_N_TYPES] = {
    "a uint8", "an int8", "a uint16", "an int16", "a uint32", "an int32", "a float32",
    "a bool",  "a text",  "an array", "a uint64", "an int64", "a float64"};

static upg_status fail_type(const struct upg_gguf *file, const struct upg_gguf_entry *entry,
                            const char *wanted, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is %s, it should be %s", file->path, entry->key,
                    type_names[entry->value.type], wanted);
}

static upg_status fail_missing(const struct upg_gguf *file, const char *key, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is missing in the metadata", file->path, key);
}

/* n bytes, in two's complement. */
static int64_t load_signed(const uint8_t *bytes, size_t n)
{
    const int n_unused = 64 - 8 * (int)n;

    return (int64_t)(upg_gguf_load(bytes, n) << n_unused) >> n_unused;
}

/* An integer of any type as sign and magnitude; false for other types. */
static bool load_integer(const struct upg_gguf_value *value, bool *negative, uint64_t *magnitude)
{
    int64_t number;

    *negative = false;
    switch (value->type) {
    case UPG_GGUF_U8: *magnitude = upg_gguf_load(value->bytes, 1); return true;
    case UPG_GGUF_U16: *magnitude = upg_gguf_load(value->bytes, 2); return true;
    case UPG_GGUF_U32: *magnitude = upg_gguf_load(value->bytes, 4); return true;
    case UPG_GGUF_U64: *magnitude = upg_gguf_load(value->bytes, 8); return true;
    case UPG_GGUF_I8: number = load_signed(value->bytes, 1); break;
    case UPG_GGUF_I16: number = load_signed(value->bytes, 2); break;
    case UPG_GGUF_I32: number = load_signed(value->bytes, 4); break;
    case UPG_GGUF_I64: number = load_signed(value->bytes, 8); break;
    default: return false;
    }
    *negative = number < 0;
    *magnitude = *negative ? 0 - (uint64_t)number : (uint64_t)number;
    return true;
}

static bool load_double(const struct upg_gguf_value *value, double *number)
{
    bool negative;
    uint64_t bits;

    if (value->type == UPG_GGUF_F32) {
        *number = upg_bits_to_f32((uint32_t)upg_gguf_load(value->bytes, 4));
    } else if (value->type == UPG_GGUF_F64) {
        bits = upg_gguf_load(value->bytes, 8);
        memcpy(number, &bits, sizeof bits);
    } else if (load_integer(value, &negative, &bits)) {
        *number = negative ? -(double)bits : (double)bits;
    } else {
        return false;
    }
    return true;
}

upg_status upg_gguf_get_size_or(struct upg_gguf *file, const char *key, size_t min, size_t max,
                                size_t fallback, size_t *value, upg_error *err)
{
    const struct upg_gguf_entry *entry = upg_gguf_find_entry(file, key);
    bool negative;
    uint64_t number;

    if (!entry) {
        *value = fallback;
        return UPG_OK;
    }
    if (!load_integer(&entry->value, &negative, &number))
        return fail_type(file, entry, "an integer", err);
    if (negative || number < min || number > max)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is %s%" PRIu64 ", it must be %zu to %zu",
                        file->path, key, negative ? "-" : "", number, min, max);
    *value = (size_t)number;
    return UPG_OK;
}

upg_status upg_gguf_get_size(struct upg_gguf *file, const char *key, size_t min, size_t max,
                             size_t *value, upg_error *err)
{
    if (!upg_gguf_find_entry(file, key))
        return fail_missing(file, key, err);
    return upg_gguf_get_size_or(file, key, min, max, 0, value, err);
}

upg_status upg_gguf_get_double_or(struct upg_gguf *file, const char *key, double min, double max,
                                  double fallback, double *value, upg_error *err)
{
    const struct upg_gguf_entry *entry = upg_gguf_find_entry(file, key);
    double number = fallback;

    if (entry && !load_double(&entry->value, &number))
        return fail_type(file, entry, "a number", err);
    if (!(number >= min && number <= max)) /* also NaN */
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is %g, it must be %g to %g", file->path, key,
                        number, min, max);
    *value = number;
    return UPG_OK;
}

upg_status upg_gguf_get_bool_or(struct upg_gguf *file, const char *key, bool fallback, bool *value,
                                upg_error *err)
{
    const struct upg_gguf_entry *entry = upg_gguf_find_entry(file, key);

    if (entry && entry->value.type != UPG_GGUF_BOOL)
        return fail_type(file, entry, "a bool", err);
    *value = entry ? entry->value.bytes[0] == 1 : fallback;
    return UPG_OK;
}

upg_status upg_gguf_get_text(struct upg_gguf *file, const char *key, struct upg_text_span *value,
                             upg_error *err)
{
    const struct upg_gguf_entry *entry = upg_gguf_find_entry(file, key);

    *value = (struct upg_text_span){0};
    if (!entry)
        return UPG_OK;
    if (entry->value.type != UPG_GGUF_TEXT)
        return fail_type(file, entry, "a text", err);
    *value = (struct upg_text_span){(const char *)entry->value.bytes, entry->value.n};
    return UPG_OK;
}

upg_status upg_gguf_get_name(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                             const char **value, upg_error *err)
{
    struct upg_text_span text;
    const upg_status status = upg_gguf_get_text(file, key, &text, err);

    *value = NULL;
    if (status != UPG_OK || !text.text)
        return status;
    for (size_t i = 0; i < text.n; i++)
        if (text.text[i] < 0x20 || text.text[i] >= 0x7F)
            return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: is not printable ASCII", file->path, key);
    *value = upg_arena_text(arena, text.text, text.n);
    return *value ? UPG_OK : upg_fail_memory(err, key, text.n + 1);
}

/* The array of `key`; *entry is NULL if there is none. */
static upg_status find_array(struct upg_gguf *file, const char *key, const char *wanted,
                             enum upg_gguf_type element, const struct upg_gguf_entry **entry,
                             upg_error *err)
{
    *entry = upg_gguf_find_entry(file, key);
    if (!*entry)
        return fail_missing(file, key, err);
    if ((*entry)->value.type != UPG_GGUF_ARRAY)
        return fail_type(file, *entry, wanted, err);
    if ((*entry)->value.element != element)
        return upg_fail(err, UPG_ERR_FORMAT, "%s: %s: each element is %s, it should be %s",
                        file->path, key, type_names[(*entry)->value.element], type_names[element]);
    return UPG_OK;
}

upg_status upg_gguf_get_texts(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                              const struct upg_text_span **values, size_t *n, upg_error *err)
{
    const struct upg_gguf_entry *entry;
    struct upg_text_span *spans;
    const uint8_t *at;
    const upg_status status =
        find_array(file, key, "an array of texts", UPG_GGUF_TEXT, &entry, err);

    if (status != UPG_OK)
        return status;
    spans = upg_arena_alloc(arena, entry->value.n, sizeof *spans);
    if (!spans)
        return upg_fail_memory(err, key, entry->value.n * sizeof *spans);
    at = entry->value.bytes;
    for (size_t i = 0; i < entry->value.n; i++) { /* lengths were checked when it was read */
        spans[i].n = (size_t)upg_gguf_load(at, 8);
        spans[i].text = (const char *)at + 8;
        at += 8 + spans[i].n;
    }
    *values = spans;
    *n = entry->value.n;
    return UPG_OK;
}

upg_status upg_gguf_get_ints(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                             const int32_t **values, size_t *n, upg_error *err)
{
    const struct upg_gguf_entry *entry;
    int32_t *numbers;
    const upg_status status = find_array(file, key, "an array of int32", UPG_GGUF_I32, &entry, err);

    if (status != UPG_OK)
        return status;
    numbers = upg_arena_alloc(arena, entry->value.n, sizeof *numbers);
    if (!numbers)
        return upg_fail_memory(err, key, entry->value.n * sizeof *numbers);
    for (size_t i = 0; i < entry->value.n; i++)
        numbers[i] = (int32_t)upg_gguf_load(entry->value.bytes + 4 * i, 4);
    *values = numbers;
    *n = entry->value.n;
    return UPG_OK;
}
