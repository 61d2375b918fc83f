/* verify.c -- every byte of a file against its checksums. */
#include "base/file_map.h"
#include "model/check.h"
#include "model/open.h"
#include "model/safetensors.h"
#include "model/upg_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { CHUNK_BYTES = 16 << 20 }; /* between two calls of progress */

struct verifier {
    const char *where;
    const uint8_t *bytes;
    size_t n_bytes;
    const upg_model_options *options; /* may be NULL */
    XXH3_state_t *hash;
};

/* 16 digits at text as a number; false if they are something else. */
static bool parse_digits(const char *text, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < UPG_CHECKSUM_DIGITS; i++) {
        const char *digit = text[i] ? strchr("0123456789abcdef", text[i]) : NULL;
        if (!digit)
            return false;
        *value = *value << 4 | (uint64_t)(digit - "0123456789abcdef");
    }
    return true;
}

static upg_status fail_checksum(const struct verifier *v, const char *what, uint64_t found,
                                uint64_t expected, upg_error *err)
{
    return upg_fail(err, UPG_ERR_FORMAT,
                    "%s: %s: is damaged: checksum %016" PRIx64 ", the file says %016" PRIx64
                    "; download the file again",
                    v->where, what, found, expected);
}

static upg_status verify_header(const struct verifier *v, const struct upg_safetensors *directory,
                                upg_error *err)
{
    const char *header = (const char *)v->bytes;
    const char *digits = upg_find_header_checksum(header, directory->header_bytes);
    uint64_t found = 0, expected = 0;
    upg_status status;

    if (!digits || !parse_digits(digits, &expected))
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: __metadata__: " UPG_KEY_HEADER_CHECKSUM
                        ": is missing, so the header cannot be verified",
                        v->where);
    status = upg_header_checksum(header, directory->header_bytes, digits, &found, err);
    if (status == UPG_OK && found != expected)
        status = fail_checksum(v, "header", found, expected, err);
    return status;
}

static upg_status hash_tensor(const struct verifier *v, const struct upg_safetensor *tensor,
                              uint64_t *checksum, upg_error *err)
{
    const upg_model_options *options = v->options;

    XXH3_64bits_reset(v->hash);
    for (size_t i = 0; i < tensor->n_bytes; i += CHUNK_BYTES) {
        const size_t left = tensor->n_bytes - i, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        XXH3_64bits_update(v->hash, tensor->data + i, n);
        if (options && options->progress &&
            options->progress(options->progress_context, "verify",
                              (uint64_t)(tensor->data + i + n - v->bytes), v->n_bytes) != 0)
            return upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", v->where);
    }
    *checksum = XXH3_64bits_digest(v->hash);
    return UPG_OK;
}

static upg_status verify_tensors(const struct verifier *v, const struct upg_safetensors *directory,
                                 upg_error *err)
{
    const char *list = json_string_value(json_object_get(directory->metadata, UPG_KEY_CHECKSUMS));
    const size_t step = UPG_CHECKSUM_DIGITS + 1, n = directory->n_tensors;

    if (!list || strlen(list) + 1 != n * step)
        return upg_fail(err, UPG_ERR_FORMAT,
                        "%s: __metadata__: " UPG_KEY_CHECKSUMS
                        ": must be %zu checksums, one a tensor",
                        v->where, n);
    for (size_t i = 0; i < n; i++) {
        const struct upg_safetensor *tensor = &directory->tensors[i];
        uint64_t found = 0, expected = 0;
        upg_status status;
        char what[UPG_SAFETENSORS_MAX_NAME + 16];
        if (!parse_digits(list + i * step, &expected))
            return upg_fail(err, UPG_ERR_FORMAT,
                            "%s: __metadata__: " UPG_KEY_CHECKSUMS
                            ": number %zu is not 16 hexadecimal digits",
                            v->where, i);
        status = hash_tensor(v, tensor, &found, err);
        if (status != UPG_OK)
            return status;
        snprintf(what, sizeof what, "tensor %s", tensor->name);
        if (found != expected)
            return fail_checksum(v, what, found, expected, err);
    }
    return UPG_OK;
}

/* Checksums of a .upg file in memory. */
static upg_status verify_bytes(struct verifier *v, upg_error *err)
{
    struct upg_safetensors directory = {0};
    struct upg_arena arena = {0};
    upg_status status =
        upg_safetensors_read(&directory, v->where, v->bytes, v->n_bytes, &arena, err);

    v->hash = XXH3_createState();
    if (!v->hash && status == UPG_OK)
        status = upg_fail_memory(err, "a checksum", 0);
    if (status == UPG_OK)
        status = upg_check_version(directory.metadata, v->where, err);
    if (status == UPG_OK)
        status = verify_header(v, &directory, err);
    if (status == UPG_OK)
        status = verify_tensors(v, &directory, err);
    XXH3_freeState(v->hash);
    upg_safetensors_clear(&directory);
    upg_arena_clear(&arena);
    return status;
}

/* Checksums first, so that damage is reported as such and not as what it leads to. */
static upg_status verify_checksums(const char *path, const upg_model_options *options,
                                   upg_error *err)
{
    enum upg_file_kind kind = UPG_FILE_UPG;
    struct verifier v = {.where = path ? path : "(embedded)", .options = options};
    struct upg_file_map map = {0};
    upg_status status = path ? upg_file_kind_of(path, &kind, err) : UPG_OK;

    if (status != UPG_OK || kind != UPG_FILE_UPG)
        return status; /* other formats have none */
    if (path) {
        status = upg_file_map_open(&map, path, err);
        v.bytes = map.bytes;
        v.n_bytes = map.n_bytes;
    } else {
        v.bytes = upg_embedded_model(&v.n_bytes);
    }
    if (status == UPG_OK && v.n_bytes > 0) /* opening says more of an empty one */
        status = verify_bytes(&v, err);
    upg_file_map_close(&map);
    return status;
}

upg_status upg_verify(const char *path, const upg_model_options *options, upg_error *err)
{
    struct upg_model *model;
    upg_status status = verify_checksums(path, options, err);

    if (status == UPG_OK)
        status = upg_model_open(&model, path, options, err);
    if (status != UPG_OK)
        return status;
    status = upg_model_check_values(model, true, err);
    upg_model_free(model);
    return status;
}
