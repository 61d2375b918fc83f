/* upg_format.c -- names and the header's checksum. */
#include "model/upg_format.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const struct {
    const char *name;
    enum upg_type type;
    int k;
} stored_types[] = {
    {"f32", UPG_TYPE_F32, 0},     {"f16", UPG_TYPE_F16, 0},     {"bf16", UPG_TYPE_BF16, 0},
    {"i8", UPG_TYPE_I8_ROWS, 0},  {"upg2", UPG_TYPE_PACKED, 2}, {"upg3", UPG_TYPE_PACKED, 3},
    {"upg4", UPG_TYPE_PACKED, 4},
};

enum { N_STORED_TYPES = sizeof stored_types / sizeof *stored_types };

const char *upg_stored_type_name(enum upg_type type, int k)
{
    for (size_t i = 0; i < N_STORED_TYPES; i++)
        if (stored_types[i].type == type && (type != UPG_TYPE_PACKED || stored_types[i].k == k))
            return stored_types[i].name;
    return NULL;
}

bool upg_stored_type_parse(const char *name, enum upg_type *type, int *k)
{
    for (size_t i = 0; i < N_STORED_TYPES; i++) {
        if (strcmp(stored_types[i].name, name) == 0) {
            *type = stored_types[i].type;
            *k = stored_types[i].k;
            return true;
        }
    }
    return false;
}

void upg_matrix_name(char name[UPG_MAX_TENSOR_NAME], const char *slot, const char *part)
{
    snprintf(name, UPG_MAX_TENSOR_NAME, "%s%s%s", slot, part ? "." : "", part ? part : "");
}

upg_status upg_check_version(const json_t *metadata, const char *where, upg_error *err)
{
    const char *version = json_string_value(json_object_get(metadata, UPG_KEY_VERSION));

    if (!version)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: a safetensors file without the metadata of a .upg file; to open a "
                        "Hugging Face model, name its directory",
                        where);
    if (strcmp(version, UPG_FORMAT_VERSION) != 0)
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: format version %.20s; this upg reads version " UPG_FORMAT_VERSION
                        "; get a newer upg",
                        where, version);
    return UPG_OK;
}

/* The key is written without a space behind the colon.  Within a JSON string the quotes would have
 * backslashes, so the first match is the key itself. */
const char *upg_find_header_checksum(const char *header, size_t n_bytes)
{
    static const char key[] = "\"" UPG_KEY_HEADER_CHECKSUM "\":\"";
    const size_t n_key = sizeof key - 1;
    const char *found = memmem(header, n_bytes, key, n_key);

    if (!found || (size_t)(header + n_bytes - found) < n_key + UPG_CHECKSUM_DIGITS)
        return NULL;
    return found + n_key;
}

upg_status upg_header_checksum(const char *header, size_t n_bytes, const char *digits,
                               uint64_t *checksum, upg_error *err)
{
    const size_t before = (size_t)(digits - header);
    char zeros[UPG_CHECKSUM_DIGITS];
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return upg_fail_memory(err, "a checksum", 0);
    memset(zeros, '0', sizeof zeros);
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, header, before);
    XXH3_64bits_update(state, zeros, sizeof zeros);
    XXH3_64bits_update(state, digits + sizeof zeros, n_bytes - before - sizeof zeros);
    *checksum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return UPG_OK;
}
