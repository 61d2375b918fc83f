/* upg_writer.c -- the writer of .upg files; docs/format.md is the specification.
 *
 * Order of the file: norms, then each matrix with its scales before its weights, then the
 * tokenizer, whose size alone is no multiple of anything. */
#include "model/upg_writer.h"

#include "base/half.h"
#include "base/size.h"
#include "model/config.h"
#include "model/json_text.h"
#include "model/safetensors_writer.h"
#include "model/upg_format.h"
#include "text/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of a matrix: row scale, gain, codes. */
enum { MAX_COMPONENTS = 3 };

struct upg_writer {
    const struct upg_model *outline;
    struct upg_arena arena;
    struct upg_matrix *matrices; /* [n_matrices] outlines with names, in file order */
    size_t n_matrices, n_done;
    struct upg_safetensor *tensors; /* [n_tensors] */
    size_t n_tensors;
    struct upg_buffer tokenizer; /* compact form; empty: none */
    json_t *metadata;
    struct upg_safetensors_writer *file;
    char *path; /* in the arena */
};

/* ---- The plan: names and tensors */

/* Names of parts, for people: which rows of the slot they are.  NULL for a slot of one part. */
static const char *part_name(const struct upg_config *c, const struct upg_slot *slot, size_t i)
{
    static const char *const numbers[UPG_MAX_PARTS] = {"0", "1", "2"};
    static const char *const qkv[UPG_MAX_PARTS] = {"q", "k", "v"};
    static const char *const gate_up[UPG_MAX_PARTS] = {"gate", "up", ""};
    const size_t n_parts = upg_slot_n_parts(slot), first_rows = slot->parts[0].n_rows;

    if (n_parts == 1)
        return NULL;
    if (slot->kind == UPG_SLOT_GATE_UP && n_parts == 2 && first_rows == c->d_ff)
        return gate_up[i];
    if (slot->kind == UPG_SLOT_QKV && first_rows == c->n_heads * c->head_dim) {
        if (n_parts == 2)
            return i == 0 ? "q" : "kv";
        if (slot->parts[1].n_rows == c->n_kv_heads * c->head_dim)
            return qkv[i];
    }
    return numbers[i];
}

static upg_status add_tensor(struct upg_writer *w, const char *name, const char *component,
                             enum upg_dtype dtype, size_t n_rows, size_t n_cols, upg_error *err)
{
    struct upg_safetensor *tensor = &w->tensors[w->n_tensors++];
    char full[UPG_MAX_TENSOR_NAME + 16];
    const int n = snprintf(full, sizeof full, "%s%s%s", name, *component ? "." : "", component);

    tensor->name = upg_arena_text(&w->arena, full, (size_t)n);
    tensor->dtype = dtype;
    tensor->n_dims = n_cols ? 2 : 1;
    tensor->shape[0] = n_rows;
    tensor->shape[1] = n_cols;
    return tensor->name ? UPG_OK : upg_fail_memory(err, "a tensor's name", (size_t)n);
}

static upg_status add_packed(struct upg_writer *w, struct upg_matrix *m, upg_error *err)
{
    struct upg_packed *p = &m->packed;
    upg_status status;

    p->n_rows = m->n_rows;
    p->n_cols = m->n_cols;
    if (!upg_packed_code_bytes(p->k, m->n_rows, m->n_cols, &m->n_bytes) ||
        !size_round_up(m->n_rows, UPG_ROW_BLOCK, &p->padded_rows) ||
        !size_round_up(m->n_cols, UPG_COL_UNIT, &p->padded_cols))
        return upg_fail_memory(err, m->name, SIZE_MAX);
    status = add_tensor(w, m->name, "row_scale", UPG_DTYPE_F16, p->padded_rows, 0, err);
    if (status == UPG_OK)
        status = add_tensor(w, m->name, "gain", UPG_DTYPE_F32,
                            (p->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK, 0, err);
    if (status == UPG_OK)
        status = add_tensor(w, m->name, "codes", UPG_DTYPE_U8, m->n_bytes, 0, err);
    return status;
}

static upg_status add_plain(struct upg_writer *w, struct upg_matrix *m, upg_error *err)
{
    const enum upg_dtype dtype = m->type == UPG_TYPE_F32    ? UPG_DTYPE_F32
                                 : m->type == UPG_TYPE_F16  ? UPG_DTYPE_F16
                                 : m->type == UPG_TYPE_BF16 ? UPG_DTYPE_BF16
                                                            : UPG_DTYPE_I8;
    size_t row_bytes;
    upg_status status = UPG_OK;

    if (!upg_type_row_bytes(m->type, m->n_cols, &row_bytes) ||
        !size_mul(row_bytes, m->n_rows, &m->n_bytes))
        return upg_fail_memory(err, m->name, SIZE_MAX);
    if (m->type == UPG_TYPE_I8_ROWS)
        status = add_tensor(w, m->name, "row_scale", UPG_DTYPE_F32, m->n_rows, 0, err);
    if (status == UPG_OK)
        status = add_tensor(w, m->name, "weight", dtype, m->n_rows, m->n_cols, err);
    return status;
}

/* The part's entry in "matrices"; NULL when out of memory. */
static json_t *part_to_json(const struct upg_matrix *m, const char *part)
{
    json_t *entry = json_pack("{s:s, s:I}", "type", upg_stored_type_name(m->type, m->packed.k),
                              "rows", (json_int_t)m->n_rows);
    char digits[20];
    bool ok = entry != NULL;

    if (ok && part)
        ok = json_object_set_new(entry, "part", json_string(part)) == 0;
    if (ok && m->type == UPG_TYPE_PACKED) {
        snprintf(digits, sizeof digits, "%016" PRIx64, m->packed.seed_in);
        ok = json_object_set_new(entry, "seed_in", json_string(digits)) == 0;
        snprintf(digits, sizeof digits, "%016" PRIx64, m->packed.seed_out);
        if (ok && m->packed.has_output_transform)
            ok = json_object_set_new(entry, "seed_out", json_string(digits)) == 0;
    }
    if (ok)
        return entry;
    json_decref(entry);
    return NULL;
}

static upg_status add_matrix(struct upg_writer *w, const struct upg_slot *slot, size_t i,
                             json_t *entries, upg_error *err)
{
    struct upg_matrix *m = &w->matrices[w->n_matrices++];
    const char *part = part_name(&w->outline->config, slot, i);
    char name[UPG_MAX_TENSOR_NAME];

    *m = slot->parts[i];
    if (!upg_stored_type_name(m->type, m->packed.k))
        return upg_fail(err, UPG_ERR_UNSUPPORTED,
                        "%s: matrix %s is of type %s, which .upg files do not hold; compress it",
                        w->path, slot->name, upg_type_name(m->type));
    upg_matrix_name(name, slot->name, part);
    m->name = upg_arena_text(&w->arena, name, strlen(name));
    if (!m->name || json_array_append_new(entries, part_to_json(m, part)) != 0)
        return upg_fail_memory(err, "a matrix's name", strlen(name));
    return m->type == UPG_TYPE_PACKED ? add_packed(w, m, err) : add_plain(w, m, err);
}

/* bfloat16 holds a float32 whose lower half is zero. */
static bool fits_bf16(const float *values, size_t n)
{
    uint32_t lost = 0;

    for (size_t i = 0; i < n; i++)
        lost |= upg_f32_to_bits(values[i]) & 0xFFFFu;
    return lost == 0;
}

/* Everything that the file will hold, in order; *matrices is the metadata's description. */
static upg_status plan(struct upg_writer *w, json_t *matrices, upg_error *err)
{
    const struct upg_config *c = &w->outline->config;
    const size_t n_norms = upg_n_norms(c), n_slots = upg_n_slots(c);
    const size_t max_matrices = n_slots * UPG_MAX_PARTS;
    upg_status status = UPG_OK;

    w->matrices = upg_arena_alloc(&w->arena, max_matrices, sizeof *w->matrices);
    w->tensors =
        upg_arena_alloc(&w->arena, n_norms + max_matrices * MAX_COMPONENTS + 1, sizeof *w->tensors);
    if (!w->matrices || !w->tensors)
        return upg_fail_memory(err, "a file's plan", max_matrices * sizeof *w->matrices);
    for (size_t i = 0; i < n_norms && status == UPG_OK; i++) {
        const struct upg_norm norm = upg_norm_of(w->outline, i);
        const bool is_bf16 = fits_bf16(*norm.values, c->d_model);
        status = add_tensor(w, norm.name, "", is_bf16 ? UPG_DTYPE_BF16 : UPG_DTYPE_F32, c->d_model,
                            0, err);
    }
    for (size_t i = 0; i < n_slots && status == UPG_OK; i++) {
        const struct upg_slot slot = upg_slot_of(w->outline, i);
        json_t *entries = json_array();
        if (json_object_set_new(matrices, slot.name, entries) != 0)
            return upg_fail_memory(err, "a file's plan", 0);
        for (size_t p = 0; p < upg_slot_n_parts(&slot) && status == UPG_OK; p++)
            status = add_matrix(w, &slot, p, entries, err);
    }
    if (status == UPG_OK && w->tokenizer.n > 0)
        status = add_tensor(w, UPG_TOKENIZER_TENSOR, "", UPG_DTYPE_U8, w->tokenizer.n, 0, err);
    return status;
}

/* ---- Metadata */

/* metadata[key] = the text of json. */
static upg_status set_json(json_t *metadata, const char *key, const json_t *json, size_t digits,
                           upg_error *err)
{
    struct upg_buffer text = {0};
    upg_status status = upg_json_append(&text, json, digits, err);

    if (status == UPG_OK && json_object_set_new(metadata, key, json_string(text.bytes)) != 0)
        status = upg_fail_memory(err, "metadata", text.n);
    upg_buffer_clear(&text);
    return status;
}

static upg_status set_text(json_t *metadata, const char *key, const char *text, upg_error *err)
{
    if (json_object_set_new(metadata, key, json_string(text)) != 0)
        return upg_fail_memory(err, "metadata", 0);
    return UPG_OK;
}

/* What is known from the beginning, and room for what is not. */
static upg_status begin_metadata(struct upg_writer *w, const json_t *matrices, upg_error *err)
{
    json_t *config = upg_config_to_json(&w->outline->config, &w->outline->stop_ids);
    upg_status status;

    w->metadata = json_object();
    if (!w->metadata || !config) {
        json_decref(config);
        return upg_fail_memory(err, "metadata", 0);
    }
    status = set_text(w->metadata, UPG_KEY_VERSION, UPG_FORMAT_VERSION, err);
    if (status == UPG_OK)
        status = set_text(w->metadata, UPG_KEY_HEADER_CHECKSUM, "0000000000000000", err);
    if (status == UPG_OK)
        status = set_json(w->metadata, UPG_KEY_CONFIG, config, 0, err);
    if (status == UPG_OK)
        status = set_json(w->metadata, UPG_KEY_MATRICES, matrices, 0, err);
    json_decref(config);
    return status;
}

/* Provenance as it was given, and the version of this program. */
static upg_status set_provenance(json_t *metadata, const json_t *provenance, upg_error *err)
{
    json_t *json = json_object(); /* json_copy() leaves out what it has no memory for */
    upg_status status = UPG_OK;

    if (json_object_update(json, (json_t *)provenance) != 0 ||
        json_object_set_new(json, "version", json_string(upg_version())) != 0)
        status = upg_fail_memory(err, "metadata", 0);
    if (status == UPG_OK)
        status = set_json(metadata, UPG_KEY_PROVENANCE, json, 0, err);
    json_decref(json);
    return status;
}

static upg_status end_metadata(struct upg_writer *w, const json_t *provenance,
                               const json_t *quality, upg_error *err)
{
    struct upg_buffer checksums = {0};
    upg_status status = upg_safetensors_writer_checksums(w->file, &checksums, err);

    if (status == UPG_OK)
        status = set_text(w->metadata, UPG_KEY_CHECKSUMS, checksums.bytes, err);
    if (status == UPG_OK && provenance)
        status = set_provenance(w->metadata, provenance, err);
    /* Nine digits: nobody measures more, and jansson ends the process where it has no memory left to
     * read a number of more than 15 characters. */
    if (status == UPG_OK && quality)
        status = set_json(w->metadata, UPG_KEY_QUALITY, quality, 9, err);
    upg_buffer_clear(&checksums);
    return status;
}

static upg_status seal(char *header, size_t n, upg_error *err)
{
    const char *found = upg_find_header_checksum(header, n);
    char *digits = header + (found - header), text[UPG_CHECKSUM_DIGITS + 1];
    uint64_t checksum;
    const upg_status status = upg_header_checksum(header, n, digits, &checksum, err);

    if (status == UPG_OK) {
        snprintf(text, sizeof text, "%016" PRIx64, checksum);
        memcpy(digits, text, UPG_CHECKSUM_DIGITS);
    }
    return status;
}

/* ---- The stream */

static upg_status write_norms(struct upg_writer *w, upg_error *err)
{
    const size_t n = w->outline->config.d_model, n_norms = upg_n_norms(&w->outline->config);
    uint16_t *bits = upg_arena_alloc(&w->arena, n, sizeof *bits);
    upg_status status = bits ? UPG_OK : upg_fail_memory(err, "a norm", n * sizeof *bits);

    for (size_t i = 0; i < n_norms && status == UPG_OK; i++) {
        const struct upg_norm norm = upg_norm_of(w->outline, i);
        const float *values = *norm.values;
        if (w->tensors[i].dtype == UPG_DTYPE_F32) {
            status = upg_safetensors_writer_write(w->file, values, n * sizeof *values, err);
        } else {
            for (size_t j = 0; j < n; j++)
                bits[j] = upg_f32_to_bf16(values[j]);
            status = upg_safetensors_writer_write(w->file, bits, n * sizeof *bits, err);
        }
    }
    return status;
}

upg_status upg_writer_open(struct upg_writer **writer, const char *path,
                           const struct upg_model *outline, size_t reserve, upg_error *err)
{
    struct upg_writer *w = calloc(1, sizeof *w);
    json_t *matrices = json_object();
    const char *name = path ? path : "(outline)";
    upg_status status = UPG_OK;

    if (!w || !matrices) {
        free(w);
        json_decref(matrices);
        return upg_fail_memory(err, "a file writer", sizeof *w);
    }
    w->outline = outline;
    w->path = upg_arena_text(&w->arena, name, strlen(name));
    if (!w->path)
        status = upg_fail_memory(err, "a file name", strlen(name));
    if (status == UPG_OK && outline->tokenizer)
        status = upg_tokenizer_pack(outline->tokenizer, &w->tokenizer, err);
    if (status == UPG_OK)
        status = plan(w, matrices, err);
    if (status == UPG_OK)
        status = begin_metadata(w, matrices, err);
    /* Checksums come at the end: 17 bytes each, at most one padding tensor a tensor. */
    if (status == UPG_OK)
        status = upg_safetensors_writer_open(
            &w->file, path, w->tensors, w->n_tensors, w->metadata,
            reserve + 2 * w->n_tensors * (UPG_CHECKSUM_DIGITS + 1) + sizeof UPG_KEY_CHECKSUMS + 8,
            UPG_TENSOR_ALIGN, err);
    if (status == UPG_OK && path)
        status = write_norms(w, err);
    json_decref(matrices);
    if (status == UPG_OK)
        *writer = w;
    else
        upg_writer_discard(w);
    return status;
}

size_t upg_writer_n_matrices(const struct upg_writer *writer)
{
    return writer->n_matrices;
}

const struct upg_matrix *upg_writer_outline(const struct upg_writer *writer, size_t i)
{
    return &writer->matrices[i];
}

static bool agrees(const struct upg_matrix *a, const struct upg_matrix *b)
{
    return a->type == b->type && a->n_rows == b->n_rows && a->n_cols == b->n_cols &&
           (a->type != UPG_TYPE_PACKED ||
            (a->packed.k == b->packed.k && a->packed.seed_in == b->packed.seed_in &&
             a->packed.has_output_transform == b->packed.has_output_transform &&
             (!a->packed.has_output_transform || a->packed.seed_out == b->packed.seed_out)));
}

upg_status upg_writer_matrix(struct upg_writer *writer, const struct upg_matrix *matrix,
                             upg_error *err)
{
    const struct upg_matrix *outline;
    const struct upg_packed *p;
    size_t n_gains;
    upg_status status = UPG_OK;

    if (writer->n_done == writer->n_matrices || !agrees(&writer->matrices[writer->n_done], matrix))
        return upg_fail(err, UPG_ERR_INTERNAL, "%s: matrix %zu is not the one announced",
                        writer->path, writer->n_done);
    outline = &writer->matrices[writer->n_done++];
    p = &outline->packed;
    n_gains = (p->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    if (outline->type == UPG_TYPE_PACKED) {
        status = upg_safetensors_writer_write(writer->file, matrix->packed.row_scale,
                                              p->padded_rows * sizeof *p->row_scale, err);
        if (status == UPG_OK)
            status = upg_safetensors_writer_write(writer->file, matrix->packed.gain,
                                                  n_gains * sizeof *p->gain, err);
    } else if (outline->type == UPG_TYPE_I8_ROWS) {
        status = upg_safetensors_writer_write(writer->file, matrix->row_scale,
                                              outline->n_rows * sizeof *matrix->row_scale, err);
    }
    if (status == UPG_OK)
        status = upg_safetensors_writer_write(
            writer->file, outline->type == UPG_TYPE_PACKED ? matrix->packed.codes : matrix->data,
            outline->n_bytes, err);
    return status;
}

uint64_t upg_writer_n_bytes(const struct upg_writer *writer)
{
    return upg_safetensors_writer_n_bytes(writer->file);
}

static void release(struct upg_writer *w)
{
    upg_buffer_clear(&w->tokenizer);
    json_decref(w->metadata);
    upg_arena_clear(&w->arena);
    free(w);
}

upg_status upg_writer_commit(struct upg_writer *writer, const json_t *provenance,
                             const json_t *quality, upg_error *err)
{
    upg_status status = upg_safetensors_writer_write(writer->file, writer->tokenizer.bytes,
                                                     writer->tokenizer.n, err);

    if (status == UPG_OK)
        status = end_metadata(writer, provenance, quality, err);
    if (status == UPG_OK)
        status = upg_safetensors_writer_commit(writer->file, writer->metadata, seal, err);
    else
        upg_safetensors_writer_discard(writer->file);
    release(writer);
    return status;
}

void upg_writer_discard(struct upg_writer *writer)
{
    if (!writer)
        return;
    upg_safetensors_writer_discard(writer->file);
    release(writer);
}
