/* export.h -- models for other programs: what the formats share. */
#ifndef UPG_MODEL_EXPORT_H
#define UPG_MODEL_EXPORT_H

#include "base/pool.h"
#include "model/model.h"
#include "model/upg_format.h"

/* Llama in GGUF has the rows of q and k so that RoPE's pairs are neighbours; everywhere else a head
 * is two halves. */
enum upg_row_order { UPG_ROWS_AS_THEY_ARE, UPG_ROWS_PAIRS_TO_HALVES, UPG_ROWS_HALVES_TO_PAIRS };

/* A tensor to be written: rows [begin, begin + n_rows) of a slot's parts, one after the other. */
struct upg_export_tensor {
    char name[UPG_MAX_TENSOR_NAME];
    const float *vector; /* [n_cols] float32 instead of rows: a norm; NULL: rows */
    const struct upg_matrix *parts;
    size_t begin, n_rows, n_cols;
    enum upg_row_order order; /* within each head */
};

/* Makes rows [begin, begin + n) of a tensor: bits[n, n_cols].  Called by many threads at once. */
typedef void (*upg_export_fill)(void *context, const struct upg_export_tensor *tensor, size_t begin,
                                size_t n, uint16_t *bits);

/* What an export works with; names are in the format's manner. */
struct upg_export {
    const struct upg_model *model;
    const upg_export_options *options;
    const char *destination;
    struct upg_pool *pool;
    struct upg_export_tensor *tensors; /* [n_tensors] */
    size_t n_tensors;
    size_t chunk_rows, max_cols;
    float *rows, *scratch; /* [n_threads, tile, max_cols], [n_threads, n_scratch] */
    size_t n_scratch;      /* floats of a thread */
    uint16_t *bits;        /* [chunk_rows, max_cols] */
    upg_export_fill fill;  /* where rows come from; NULL: from the model's matrices */
    void *fill_context;
    uint64_t n_done, n_all; /* thousands of weights */
    struct upg_arena arena;
};

/* Takes the next n bytes of a tensor. */
typedef upg_status (*upg_export_sink)(void *context, const void *bytes, size_t n, upg_error *err);

/* Hand a matrix as bfloat16 to the sink, a few rows at a time.  UPG_ERR_CANCELLED. */
upg_status upg_export_matrix(struct upg_export *e, const struct upg_export_tensor *tensor,
                             upg_export_sink sink, void *context, upg_error *err);

/* Write a model, or what `fill` makes of a model that has a config and norms only.  model,
 * options, destination, fill and fill_context are set, the rest is zero. */
upg_status upg_export_model(struct upg_export *e, upg_error *err);

upg_status upg_export_hf(struct upg_export *e, upg_error *err);
upg_status upg_export_gguf(struct upg_export *e, upg_error *err);

#endif
