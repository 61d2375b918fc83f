/* rope.h -- rotary position embedding: angles and rotation.
 *
 * A model without LongRoPE has one set of frequencies; with it there are two, and a sequence uses
 * one of them for all of its positions (short up to the original context, long beyond). */
#ifndef UPG_ENGINE_ROPE_H
#define UPG_ENGINE_ROPE_H

#include "model/model.h"

struct upg_rope {
    size_t n_pairs;   /* rotary_dim / 2; values from rotary_dim on are not rotated */
    bool interleaved; /* pairs (2i, 2i + 1) instead of (i, i + n_pairs) */
    double magnitude; /* LongRoPE's attention factor, 1 without */
    float *inverse;   /* [n_pairs] 1 / (factor_i theta^(2i / rotary_dim)), in the arena */
};

/* Fill the frequencies; long_factors picks LongRoPE's second set.  UPG_ERR_MEMORY. */
upg_status upg_rope_init(struct upg_rope *rope, const struct upg_config *config, bool long_factors,
                         struct upg_arena *arena, upg_error *err);

/* cosine, sine [n_pairs] of one position, magnitude included. */
void upg_rope_angles(const struct upg_rope *rope, size_t pos, float *cosine, float *sine);

/* Rotate one head x[>= rotary_dim] in place.
 * Su et al. 2021 (RoFormer), equation 34; Ding et al. 2024 (LongRoPE) for the magnitude. */
void upg_rope_rotate(const struct upg_rope *rope, float *x, const float *cosine, const float *sine);

#endif
