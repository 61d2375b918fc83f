/* gguf.h -- the container of a GGUF file: metadata and tensor directory.
 *
 * A file is "GGUF", a version, two counts, metadata entries, tensor descriptions, and behind the
 * next multiple of the alignment the tensors' bytes.  All of it was written by a stranger, so the
 * reader holds it to the format's rules and to the file's size; what it returns can be used without
 * further checks against either.  Versions 2 and 3, little-endian (the specification is
 * docs/gguf.md of the ggml project).
 *
 * Invariants after upg_gguf_read():
 *   (1) entries are sorted by key, tensors by position, and neither a key nor a name comes twice;
 *   (2) keys and names are printable ASCII without spaces, so that messages can show them;
 *   (3) tensors tile the data: each starts at the first multiple of the alignment behind the one
 *       before, and fewer bytes than the alignment follow the last one;
 *   (4) every count is at most what the file has bytes for, and nothing was allocated by a count
 *       before that was known. */
#ifndef UPG_MODEL_GGUF_H
#define UPG_MODEL_GGUF_H

#include "model/model.h"
#include "text/text.h"

enum {
    UPG_GGUF_MAX_ENTRIES = 1 << 16,
    UPG_GGUF_MAX_TENSORS = 1 << 16,
    UPG_GGUF_MAX_KEY = 65535, /* bytes; the specification's bounds, like the next two */
    UPG_GGUF_MAX_NAME = 64,
    UPG_GGUF_MAX_DIMS = 4,
    UPG_GGUF_MAX_DEPTH = 4 /* of arrays in arrays; real files have none */
};

/* Numbers as in the file. */
enum upg_gguf_type {
    UPG_GGUF_U8,
    UPG_GGUF_I8,
    UPG_GGUF_U16,
    UPG_GGUF_I16,
    UPG_GGUF_U32,
    UPG_GGUF_I32,
    UPG_GGUF_F32,
    UPG_GGUF_BOOL,
    UPG_GGUF_TEXT,
    UPG_GGUF_ARRAY,
    UPG_GGUF_U64,
    UPG_GGUF_I64,
    UPG_GGUF_F64,
    UPG_GGUF_N_TYPES
};

/* A value where it stands in the file: little-endian, at any address. */
struct upg_gguf_value {
    enum upg_gguf_type type;
    enum upg_gguf_type element; /* of an array */
    const uint8_t *bytes;       /* the number, the text, or an array's first element */
    size_t n;                   /* bytes of a text, elements of an array, else 1 */
};

/* n bytes, little-endian, n <= 8. */
static inline uint64_t upg_gguf_load(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

struct upg_gguf_entry {
    const char *key; /* C string in the arena */
    struct upg_gguf_value value;
    bool used; /* somebody asked for it: what nobody asked for may be harmful */
};

struct upg_gguf_tensor {
    const char *name; /* C string in the arena */
    enum upg_type type;
    size_t n_dims;
    size_t shape[UPG_GGUF_MAX_DIMS]; /* fastest first: [columns, rows, ...]; 1 beyond n_dims */
    size_t begin, n_bytes;           /* in the file */
    const uint8_t *data;
    bool used;
};

struct upg_gguf {
    const char *path; /* for messages, borrowed */
    const uint8_t *bytes;
    size_t n_bytes, alignment;
    struct upg_gguf_entry *entries; /* [n_entries] in the arena */
    size_t n_entries;
    struct upg_gguf_tensor *tensors;  /* [n_tensors] in the arena */
    struct upg_gguf_tensor **by_name; /* [n_tensors] the same, sorted by name */
    size_t n_tensors;
};

/* Read the container of the file bytes[n_bytes], which must outlive it.  Arrays and names go into
 * the arena.  UPG_ERR_FORMAT; UPG_ERR_UNSUPPORTED (version, byte order, element type);
 * UPG_ERR_MEMORY. */
upg_status upg_gguf_read(struct upg_gguf *file, const char *path, const uint8_t *bytes,
                         size_t n_bytes, struct upg_arena *arena, upg_error *err);

/* NULL if there is none.  Both mark what they find as used. */
struct upg_gguf_entry *upg_gguf_find_entry(struct upg_gguf *file, const char *key);
struct upg_gguf_tensor *upg_gguf_find_tensor(struct upg_gguf *file, const char *name);

/* Values by key.  Any integer type will do for a size, any number for a double.  UPG_ERR_FORMAT
 * names the key when it is missing (unless there is a fallback), of another type, or not in
 * min .. max. */
upg_status upg_gguf_get_size(struct upg_gguf *file, const char *key, size_t min, size_t max,
                             size_t *value, upg_error *err);
upg_status upg_gguf_get_size_or(struct upg_gguf *file, const char *key, size_t min, size_t max,
                                size_t fallback, size_t *value, upg_error *err);
upg_status upg_gguf_get_double_or(struct upg_gguf *file, const char *key, double min, double max,
                                  double fallback, double *value, upg_error *err);
upg_status upg_gguf_get_bool_or(struct upg_gguf *file, const char *key, bool fallback, bool *value,
                                upg_error *err);

/* A short text without control characters as a C string in the arena; *value is NULL if there is
 * none. */
upg_status upg_gguf_get_name(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                             const char **value, upg_error *err);

/* A text of any kind, borrowed from the file; value->text is NULL if there is none. */
upg_status upg_gguf_get_text(struct upg_gguf *file, const char *key, struct upg_text_span *value,
                             upg_error *err);

/* An array of texts, borrowed from the file, or of 32-bit integers, copied; the arrays themselves
 * go into the arena. */
upg_status upg_gguf_get_texts(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                              const struct upg_text_span **values, size_t *n, upg_error *err);
upg_status upg_gguf_get_ints(struct upg_gguf *file, const char *key, struct upg_arena *arena,
                             const int32_t **values, size_t *n, upg_error *err);

/* Fill `config` from the metadata and the tensors' names; texts and factors go into the arena.
 * UPG_ERR_FORMAT for a missing or impossible value, UPG_ERR_UNSUPPORTED for a setting that would
 * change the computation. */
upg_status upg_gguf_read_config(struct upg_gguf *file, struct upg_config *config,
                                struct upg_arena *arena, upg_error *err);

/* The tokenizer of the file; the caller owns it. */
upg_status upg_gguf_read_tokenizer(struct upg_gguf *file, upg_tokenizer **tokenizer,
                                   upg_error *err);

/* Append the ids of the end-of-text, end-of-turn and end-of-message keys that are there.  n_vocab:
 * they must be below. */
upg_status upg_gguf_read_stop_ids(struct upg_gguf *file, size_t n_vocab, upg_tokens *ids,
                                  upg_error *err);

/* upg_read_gguf() from bytes that outlive the model; `path` names them in messages. */
upg_status upg_read_gguf_bytes(struct upg_model *model, const char *path, const uint8_t *bytes,
                               size_t n_bytes, upg_error *err);

#endif
