/* dense_model.h -- an opened model's weights as float32, a piece at a time. */
#ifndef UPG_COMPRESS_DENSE_MODEL_H
#define UPG_COMPRESS_DENSE_MODEL_H

#include "base/pool.h"
#include "compress/dense_layer.h"
#include "model/model.h"

/* Rows [begin, begin + n) of a linear map, parts one after the other: out[n, n_cols].
 * UPG_ERR_MEMORY for packed parts, which need scratch. */
upg_status upg_dense_linear(struct upg_pool *pool, const struct upg_linear *linear, size_t begin,
                            size_t n, float *out, upg_error *err);

/* Embedding rows of tokens: out[n, d_model]. */
upg_status upg_dense_embed(const struct upg_model *model, const int32_t *ids, size_t n, float *out,
                           upg_error *err);

/* The four maps of a layer, memory for one layer that is filled again and again. */
struct upg_dense_buffers {
    float *qkv, *o, *gate_up, *down;
};

upg_status upg_dense_buffers_init(struct upg_dense_buffers *buffers,
                                  const struct upg_config *config, struct upg_arena *arena,
                                  upg_error *err);

/* Fill the buffers with a layer of the model; *weights points into them and at the model's norms.
 */
upg_status upg_dense_read_layer(struct upg_pool *pool, const struct upg_model *model, size_t layer,
                                struct upg_dense_buffers *buffers,
                                struct upg_dense_weights *weights, upg_error *err);

#endif
