/* kv_codes.h -- how the keys, or the values, of one block, layer and head are stored.
 *
 * F32 and F16: keys [UPG_KV_BLOCK, head_dim], values transposed [head_dim, UPG_KV_BLOCK].
 *
 * Q8 and Q4: groups of UPG_KV_GROUP values of a token share a float16 scale.  Vectors are rotated by
 * a Hadamard transform of the whole head before they are stored, which spreads outliers over all
 * values (Ashkboos et al. 2024, QuaRot, section 4); a query rotated alike has the same scores, and
 * the weighted sum of values is rotated back once.  A value is
 *     Q8: code * scale, code -127 .. 127        Q4: (code - 7.5) * scale, code 0 .. 15
 * In Q4 the values i and i + 16 of a group share a byte, the first in its low half. */
#ifndef UPG_ENGINE_KV_CODES_H
#define UPG_ENGINE_KV_CODES_H

#include "engine/kv_blocks.h"

enum { UPG_KV_GROUP = 32 };

/* Whether the type is stored rotated and in codes. */
static inline bool upg_kv_is_coded(upg_kv_type type)
{
    return type == UPG_KV_Q8 || type == UPG_KV_Q4;
}

/* Coded types need heads that upg_hadamard() can rotate: 64, 128 or 256. */
bool upg_kv_allows(upg_kv_type type, size_t head_dim);

/* Bytes of the keys, or of the values, of a block; a multiple of 64.  False on overflow. */
bool upg_kv_side_bytes(upg_kv_type type, size_t head_dim, size_t *n_bytes);

/* Store x[head_dim], rotated already if the type is coded, as token 0 .. UPG_KV_BLOCK - 1 of a side.
 * Writes nothing that belongs to another token.  Float16 saturates; in a coded type a group with a
 * NaN or an infinity becomes NaN. */
void upg_kv_store_key(upg_kv_type type, void *side, size_t head_dim, size_t token, const float *x);
void upg_kv_store_value(upg_kv_type type, void *side, size_t head_dim, size_t token,
                        const float *x);

#endif
