/* model.h -- what a model is, whatever file it came from.
 *
 * A model is a config, a tokenizer, and weights that point into mapped files.  Readers (hf.c,
 * gguf.c, upg_file.c) fill it; nothing outside this room knows file formats.  Immutable after
 * upg_model_open(). */
#ifndef UPG_MODEL_MODEL_H
#define UPG_MODEL_MODEL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/file_map.h"
#include "codec/codec.h"

#include <stdbool.h>

/* Element types of a stored matrix. */
enum upg_type {
    UPG_TYPE_F32,
    UPG_TYPE_F16,
    UPG_TYPE_BF16,
    UPG_TYPE_I8_ROWS, /* bf16(int8 * row_scale[row]), rounded to nearest even: exactly what the
                         reference models are */
    UPG_TYPE_PACKED,  /* the UPG code */
    UPG_TYPE_Q8_0,    /* GGUF block types from here on */
    UPG_TYPE_Q4_0,
    UPG_TYPE_Q4_1,
    UPG_TYPE_Q5_0,
    UPG_TYPE_Q5_1,
    UPG_TYPE_Q2_K,
    UPG_TYPE_Q3_K,
    UPG_TYPE_Q4_K,
    UPG_TYPE_Q5_K,
    UPG_TYPE_Q6_K
};

/* A matrix [n_rows outputs, n_cols inputs].  Plain and GGUF types are row-major without holes
 * between rows. */
struct upg_matrix {
    const char *name; /* lives in the model's arena */
    enum upg_type type;
    size_t n_rows, n_cols;
    const void *data;         /* in a mapped file; packed: same as packed.codes */
    size_t n_bytes;           /* of data */
    const float *row_scale;   /* I8_ROWS: [n_rows], else NULL */
    struct upg_packed packed; /* PACKED only */
};

const char *upg_type_name(enum upg_type type);

/* Bytes of one row of n_cols; false on overflow or if n_cols is no multiple of the type's block.
 * Not for PACKED. */
bool upg_type_row_bytes(enum upg_type type, size_t n_cols, size_t *n_bytes);

/* Bytes of codes and scales together, for "bits a weight". */
uint64_t upg_matrix_stored_bytes(const struct upg_matrix *matrix);

/* Rows [begin, begin + n) as float32, out[n, n_cols].  Exact for every type but PACKED, where it is
 * float32 of the reference.  scratch: for PACKED upg_packed_row_scratch() floats, else unused and
 * may be NULL. */
void upg_matrix_rows(const struct upg_matrix *matrix, size_t begin, size_t n, float *out,
                     float *scratch);

/* Whether no scale in the blocks of rows [begin, begin + n) is infinite or NaN.  True for types that
 * have no blocks. */
bool upg_matrix_scales_are_finite(const struct upg_matrix *matrix, size_t begin, size_t n);

enum { UPG_MAX_PARTS = 3 };

/* A linear map without bias whose outputs are those of its parts, one after the other.  Phi-3 files
 * have q, k, v in one matrix, Llama files in three, compressed files in two or three with different
 * bits: the forward pass sees one map. */
struct upg_linear {
    size_t n_parts;
    struct upg_matrix part[UPG_MAX_PARTS];
    size_t n_rows, n_cols;
};

struct upg_layer {
    const float *attention_norm; /* [d_model] float32, in the arena */
    struct upg_linear
        qkv; /* [(n_heads + 2 n_kv_heads) head_dim, d_model]: q heads, k heads, v heads */
    struct upg_linear o;       /* [d_model, n_heads head_dim] */
    const float *mlp_norm;     /* [d_model] */
    struct upg_linear gate_up; /* [2 d_ff, d_model]: gate first, then up */
    struct upg_linear down;    /* [d_model, d_ff] */
};

/* LongRoPE (Ding et al. 2024): two sets of factors, chosen by a sequence's length. */
struct upg_long_rope {
    bool present;
    size_t original_context;                 /* short factors up to this length, long ones beyond */
    const float *short_factor, *long_factor; /* [rotary_dim / 2] */
    double magnitude;                        /* multiplies cos and sin at every length */
};

struct upg_config {
    const char *architecture; /* "Phi3ForCausalLM" or "LlamaForCausalLM" */
    size_t n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, rotary_dim, n_vocab, context;
    double rope_theta, norm_eps;
    bool tied_embeddings;
    bool interleaved_pairs; /* RoPE pairs (2i, 2i+1): GGUF files of architecture llama permute rows
                               for this */
    size_t sliding_window;  /* 0: none (null, 0 and >= context mean none); otherwise refused at
                               import */
    struct upg_long_rope long_rope;
};

struct upg_model {
    struct upg_config config;
    upg_tokenizer *tokenizer;    /* owned; NULL if the model came without one */
    struct upg_matrix embedding; /* [n_vocab, d_model] */
    struct upg_linear head;      /* [n_vocab, d_model]; equals the embedding when tied */
    const float *norm;           /* [d_model] */
    struct upg_layer *layers;    /* [n_layers] */
    upg_tokens stop_ids;         /* union of config, generation config and template */
    const char *format;          /* "upg", "hf", "gguf" */
    const char *path;
    const char *metadata_json; /* provenance and quality of a .upg file; NULL */
    upg_tensor_info *tensors;  /* [n_tensors] the files' directory, for inspect */
    size_t n_tensors;
    uint64_t n_file_bytes;
    struct upg_file_map *maps; /* [n_maps] owned */
    size_t n_maps;
    struct upg_arena arena; /* everything above that is not mapped */
};

/* Readers.  `model` is zeroed; on failure the caller frees it with upg_model_free(). */
upg_status upg_read_hf(struct upg_model *model, const char *directory,
                       const upg_model_options *options, upg_error *err);
upg_status upg_read_gguf(struct upg_model *model, const char *path,
                         const upg_model_options *options, upg_error *err);
upg_status upg_read_upg(struct upg_model *model, const char *path, const upg_model_options *options,
                        upg_error *err);
/* The same from bytes in memory that outlive the model (the embedded default). */
upg_status upg_read_upg_bytes(struct upg_model *model, const char *where, const uint8_t *bytes,
                              size_t n_bytes, upg_error *err);

/* Only the tokenizer of a model (or of a directory that has nothing else).  The caller owns it. */
upg_status upg_read_tokenizer(upg_tokenizer **tokenizer, const char *path, upg_error *err);

/* The embedded default model's bytes; n_bytes 0 when the library was built without one. */
const uint8_t *upg_embedded_model(size_t *n_bytes);

/* Checks that config and weights agree (shapes, finite norms and scales, vocabulary and tokenizer),
 * fills stop_ids, and compares known family members with the table of their expected values. Called
 * by every reader at its end. */
upg_status upg_model_check(struct upg_model *model, upg_error *err);

#endif
