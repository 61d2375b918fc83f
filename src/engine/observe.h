/* observe.h -- looking into a forward pass: what the compressor's calibration and the tests use. */
#ifndef UPG_ENGINE_OBSERVE_H
#define UPG_ENGINE_OBSERVE_H

#include <stddef.h>

enum upg_linear_kind {
    UPG_LINEAR_QKV,
    UPG_LINEAR_O,
    UPG_LINEAR_GATE_UP,
    UPG_LINEAR_DOWN,
    UPG_LINEAR_HEAD
};

/* Callbacks; each may be NULL.  Rows are float32, row i at rows + i * stride, borrowed for the
 * call. */
struct upg_observer {
    void *context;

    /* The rows that a linear map is about to be applied to.  layer: 0 .. n_layers - 1, n_layers for
     * the head, which sees only the rows whose logits were asked for. */
    void (*linear_input)(void *context, size_t layer, enum upg_linear_kind kind, const float *rows,
                         size_t n_rows, size_t n_cols, size_t stride);

    /* The residual stream after n_layers layers (0: the embedding). */
    void (*hidden)(void *context, size_t n_layers, const float *rows, size_t n_rows, size_t n_cols,
                   size_t stride);
};

#endif
