/* layers.h -- encode all maps of a model in the order in which text goes through them. */
#ifndef UPG_COMPRESS_LAYERS_H
#define UPG_COMPRESS_LAYERS_H

#include "compress/dense_model.h"
#include "compress/encode_map.h"
#include "compress/held_distance.h"
#include "compress/store.h"

/* Windows that are not fitted to: they go the same way, to tell what was lost. */
struct upg_held_windows {
    const int32_t *ids;           /* [n_windows, window] */
    size_t n_windows;             /* at least 1 */
    const float *hidden;          /* [n_windows, window, d_model] the original's rows at its head */
    struct upg_distance distance; /* set by upg_layers_encode() */
};

/* What has been spent so far. */
struct upg_spent {
    size_t n_layers;                      /* done */
    double weights, bytes, squared_error; /* the last: relative, weighted by the weights */
};

struct upg_layers {
    struct upg_store store;
    struct upg_coded_map *maps; /* [n_slots] laid out by the caller */
    bool keep;                  /* codes and values of all maps stay in memory */
    bool fit;                   /* maps make up for what those before them lost (fit.h) */
    const int32_t *ids;         /* [n_windows, window] calibration */
    size_t n_windows, window;
    struct upg_held_windows held;
    void (*on_layer)(void *context, const struct upg_spent *spent); /* after each; NULL: none */
    void *layer_context;
    float *tied_hessian; /* [d_model, d_model] of the head, for a tied embedding; else NULL */
};

/* Encode every map that the store does not have, and store it.  progress: stage "compress", a unit a
 * thousand weights. */
upg_status upg_layers_encode(struct upg_layers *layers, struct upg_pool *pool,
                             const struct upg_model *model, const struct upg_effort *effort,
                             upg_progress_fn progress, void *progress_context, upg_error *err);

/* Have map `slot` in memory: there already, or from the store, which must hold it. */
upg_status upg_layers_load(struct upg_layers *layers, size_t slot, upg_error *err);

#endif
