/* safetensors_writer.c -- header first, tensors in order, header again. */
#include "model/safetensors_writer.h"

#include "base/size.h"
#include "model/json_text.h"
#include "model/upg_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

struct entry {
    struct upg_safetensor tensor; /* name in the arena */
    bool is_padding;
    uint64_t checksum;
};

/* Invariants: entries before `current` are written completely; padding is never current. */
struct upg_safetensors_writer {
    struct upg_atomic_file file;
    struct upg_arena arena;
    struct entry *entries; /* [n] in the arena, padding included */
    size_t n;
    size_t current, n_written; /* bytes of the current tensor */
    XXH3_state_t *hash;        /* of the current tensor */
    size_t header_bytes;       /* a multiple of 64 */
};

enum { HEADER_ALIGN = 64 };

/* ---- Layout */

static upg_status add_entry(struct upg_safetensors_writer *w, const struct upg_safetensor *tensor,
                            upg_error *err)
{
    struct entry *entry = &w->entries[w->n];

    entry->tensor = *tensor;
    entry->tensor.name = upg_arena_text(&w->arena, tensor->name, strlen(tensor->name));
    if (!entry->tensor.name)
        return upg_fail_memory(err, "a tensor's name", strlen(tensor->name));
    entry->tensor.n_values = 1;
    for (size_t d = 0; d < tensor->n_dims; d++)
        if (!size_mul(entry->tensor.n_values, tensor->shape[d], &entry->tensor.n_values))
            return upg_fail_memory(err, tensor->name, SIZE_MAX);
    if (!size_mul(entry->tensor.n_values, upg_dtype_bytes(tensor->dtype), &entry->tensor.n_bytes))
        return upg_fail_memory(err, tensor->name, SIZE_MAX);
    w->n++;
    return UPG_OK;
}

/* The header and everything before a tensor are multiples of `align`, so only its own size counts.
 */
static upg_status add_padding(struct upg_safetensors_writer *w, size_t align, upg_error *err)
{
    const size_t over = w->entries[w->n - 1].tensor.n_bytes % align;
    char name[32];
    const struct upg_safetensor padding = {
        .name = name, .dtype = UPG_DTYPE_U8, .n_dims = 1, .shape = {align - over}};

    if (over == 0)
        return UPG_OK;
    snprintf(name, sizeof name, UPG_PAD_PREFIX "%zu", w->n);
    w->entries[w->n].is_padding = true;
    return add_entry(w, &padding, err);
}

static upg_status lay_out(struct upg_safetensors_writer *w, const struct upg_safetensor *tensors,
                          size_t n, size_t align, upg_error *err)
{
    upg_status status = UPG_OK;

    w->entries = upg_arena_alloc(&w->arena, n, 2 * sizeof *w->entries);
    w->hash = XXH3_createState();
    if (!w->entries || !w->hash)
        return upg_fail_memory(err, "a tensor directory", n * sizeof *w->entries);
    XXH3_64bits_reset(w->hash);
    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        status = add_entry(w, &tensors[i], err);
        if (status == UPG_OK && i + 1 < n)
            status = add_padding(w, align, err);
    }
    return status;
}

/* ---- The header */

static json_t *entry_to_json(const struct upg_safetensor *tensor, size_t begin)
{
    const size_t end = begin + tensor->n_bytes;
    json_t *shape = json_array();

    for (size_t d = 0; shape && d < tensor->n_dims; d++) {
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d])) != 0) {
            json_decref(shape);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", upg_dtype_name(tensor->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* The header as an object; NULL when out of memory. */
static json_t *header_json(const struct upg_safetensors_writer *w, const json_t *metadata)
{
    json_t *header = json_object();
    size_t begin = 0;
    bool ok = header != NULL;

    if (ok && metadata)
        ok = json_object_set(header, "__metadata__", (json_t *)metadata) == 0;
    for (size_t i = 0; i < w->n && ok; i++) {
        const struct upg_safetensor *tensor = &w->entries[i].tensor;
        ok = json_object_set_new(header, tensor->name, entry_to_json(tensor, begin)) == 0;
        begin += tensor->n_bytes;
    }
    if (ok)
        return header;
    json_decref(header);
    return NULL;
}

/* The length field, the JSON, and spaces up to header_bytes, or if that is 0 to at least `reserve`
 * more than needed, which sets header_bytes. */
static upg_status compose(struct upg_safetensors_writer *w, const json_t *metadata, size_t reserve,
                          struct upg_buffer *out, upg_error *err)
{
    static const char no_length[8];
    json_t *json = header_json(w, metadata);
    upg_status status = upg_buffer_append(out, no_length, sizeof no_length, err);

    if (status == UPG_OK)
        status = upg_json_append(out, json, 0, err);
    json_decref(json);
    if (status != UPG_OK)
        return status;
    if (w->header_bytes == 0)
        w->header_bytes = (out->n + reserve + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    if (out->n > w->header_bytes || w->header_bytes > 8 + UPG_SAFETENSORS_MAX_HEADER)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "%s: the header needs %zu bytes, but %zu were reserved (at most %zu)",
                        w->file.path ? w->file.path : "(outline)", out->n, w->header_bytes,
                        UPG_SAFETENSORS_MAX_HEADER);
    status = upg_buffer_reserve(out, w->header_bytes - out->n, err);
    if (status != UPG_OK)
        return status;
    memset(out->bytes + out->n, ' ', w->header_bytes - out->n);
    out->n = w->header_bytes;
    for (size_t i = 0; i < 8; i++)
        out->bytes[i] = (char)((w->header_bytes - 8) >> (8 * i) & 0xFF);
    return UPG_OK;
}

static upg_status write_header_again(struct upg_safetensors_writer *w, const json_t *metadata,
                                     upg_status (*seal)(char *, size_t, upg_error *),
                                     upg_error *err)
{
    struct upg_buffer header = {0};
    upg_status status = compose(w, metadata, 0, &header, err);
    size_t n = 0;

    if (status == UPG_OK && seal)
        status = seal(header.bytes, header.n, err);
    while (status == UPG_OK && n < header.n) {
        const ssize_t written = pwrite(w->file.fd, header.bytes + n, header.n - n, (off_t)n);
        if (written < 0 && errno != EINTR)
            status = upg_fail_errno(err, w->file.part_path, "write the header");
        else if (written > 0)
            n += (size_t)written;
    }
    upg_buffer_clear(&header);
    return status;
}

/* ---- The stream */

/* Close the current tensor if it is complete, and write the padding behind it. */
static upg_status advance(struct upg_safetensors_writer *w, upg_error *err)
{
    static const char zeros[HEADER_ALIGN];
    upg_status status = UPG_OK;

    while (status == UPG_OK && w->current < w->n) {
        struct entry *entry = &w->entries[w->current];
        if (entry->is_padding) {
            status = upg_atomic_file_write(&w->file, zeros, entry->tensor.n_bytes, err);
            entry->checksum = XXH3_64bits(zeros, entry->tensor.n_bytes);
        } else if (w->n_written == entry->tensor.n_bytes) {
            entry->checksum = XXH3_64bits_digest(w->hash);
            XXH3_64bits_reset(w->hash);
            w->n_written = 0;
        } else {
            break;
        }
        w->current++;
    }
    return status;
}

upg_status upg_safetensors_writer_open(struct upg_safetensors_writer **writer, const char *path,
                                       const struct upg_safetensor *tensors, size_t n,
                                       const json_t *metadata, size_t reserve, size_t align,
                                       upg_error *err)
{
    struct upg_safetensors_writer *w = calloc(1, sizeof *w);
    struct upg_buffer header = {0};
    upg_status status;

    if (!w)
        return upg_fail_memory(err, "a file writer", sizeof *w);
    status = lay_out(w, tensors, n, align, err);
    if (status == UPG_OK && path)
        status = upg_atomic_file_open(&w->file, path, err);
    if (status == UPG_OK)
        status = compose(w, metadata, reserve, &header, err);
    if (status == UPG_OK && path)
        status = upg_atomic_file_write(&w->file, header.bytes, header.n, err);
    if (status == UPG_OK && path)
        status = advance(w, err); /* tensors without bytes */
    upg_buffer_clear(&header);
    if (status == UPG_OK)
        *writer = w;
    else
        upg_safetensors_writer_discard(w);
    return status;
}

const char *upg_safetensors_writer_next(const struct upg_safetensors_writer *writer,
                                        size_t *n_bytes)
{
    const struct upg_safetensor *tensor;

    if (writer->current == writer->n)
        return NULL;
    tensor = &writer->entries[writer->current].tensor;
    *n_bytes = tensor->n_bytes - writer->n_written;
    return tensor->name;
}

upg_status upg_safetensors_writer_write(struct upg_safetensors_writer *writer, const void *bytes,
                                        size_t n, upg_error *err)
{
    size_t room = 0;
    const char *name = upg_safetensors_writer_next(writer, &room);
    upg_status status;

    if (n == 0)
        return UPG_OK;
    if (n > room)
        return upg_fail(err, UPG_ERR_INTERNAL, "%s: tensor %s: %zu bytes come, it has room for %zu",
                        writer->file.path, name ? name : "(none left)", n, room);
    status = upg_atomic_file_write(&writer->file, bytes, n, err);
    if (status != UPG_OK)
        return status;
    XXH3_64bits_update(writer->hash, bytes, n);
    writer->n_written += n;
    return advance(writer, err);
}

uint64_t upg_safetensors_writer_n_bytes(const struct upg_safetensors_writer *writer)
{
    uint64_t n_bytes = writer->header_bytes;

    for (size_t i = 0; i < writer->n; i++)
        n_bytes += writer->entries[i].tensor.n_bytes;
    return n_bytes;
}

upg_status upg_safetensors_writer_checksums(const struct upg_safetensors_writer *writer,
                                            struct upg_buffer *out, upg_error *err)
{
    upg_status status = UPG_OK;

    for (size_t i = 0; i < writer->n && status == UPG_OK; i++) {
        char digits[20];
        const int n = snprintf(digits, sizeof digits, "%s%016" PRIx64, i ? " " : "",
                               writer->entries[i].checksum);
        status = upg_buffer_append(out, digits, (size_t)n, err);
    }
    return status;
}

static void release(struct upg_safetensors_writer *w)
{
    upg_arena_clear(&w->arena);
    XXH3_freeState(w->hash);
    free(w);
}

upg_status upg_safetensors_writer_commit(struct upg_safetensors_writer *writer,
                                         const json_t *metadata,
                                         upg_status (*seal)(char *header, size_t n, upg_error *err),
                                         upg_error *err)
{
    upg_status status = UPG_OK;

    if (writer->current != writer->n)
        status = upg_fail(err, UPG_ERR_INTERNAL, "%s: tensor %s is not complete", writer->file.path,
                          writer->entries[writer->current].tensor.name);
    if (status == UPG_OK)
        status = write_header_again(writer, metadata, seal, err);
    if (status == UPG_OK)
        status = upg_atomic_file_commit(&writer->file, err);
    else
        upg_atomic_file_discard(&writer->file);
    release(writer);
    return status;
}

void upg_safetensors_writer_discard(struct upg_safetensors_writer *writer)
{
    if (!writer)
        return;
    upg_atomic_file_discard(&writer->file);
    release(writer);
}
