/* slots.h -- the matrices and norms of a model in the order of a .upg file.
 *
 * A slot is a linear map (or the embedding) that the forward pass sees as one; the matrices that it
 * consists of are its parts.  Readers, the writer and the checks all walk a model this way. */
#ifndef UPG_MODEL_SLOTS_H
#define UPG_MODEL_SLOTS_H

#include "model/model.h"

enum upg_slot_kind {
    UPG_SLOT_EMBEDDING,
    UPG_SLOT_QKV,
    UPG_SLOT_O,
    UPG_SLOT_GATE_UP,
    UPG_SLOT_DOWN,
    UPG_SLOT_HEAD
};

struct upg_slot {
    enum upg_slot_kind kind;
    char name[48];         /* "model.layers.3.mlp.down_proj": Hugging Face's, without ".weight" */
    size_t n_rows, n_cols; /* by the config */
    struct upg_matrix *parts;  /* [*n_parts], room for max_parts */
    size_t max_parts;          /* 1 for the embedding, else UPG_MAX_PARTS */
    struct upg_linear *linear; /* NULL for the embedding, which is always one part */
};

/* Embedding, four of each layer, and the head if it is not the embedding. */
size_t upg_n_slots(const struct upg_config *config);
struct upg_slot upg_slot_of(const struct upg_model *model, size_t i);
size_t upg_slot_n_parts(const struct upg_slot *slot);

struct upg_norm {
    char name[72];        /* "model.layers.3.input_layernorm.weight" */
    const float **values; /* where the model keeps [d_model] */
};

/* Two of each layer and the last one. */
size_t upg_n_norms(const struct upg_config *config);
struct upg_norm upg_norm_of(const struct upg_model *model, size_t i);

#endif
