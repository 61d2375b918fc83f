/* types_gguf.h -- decoders of the GGUF block types, for types.c only.
 *
 * A row of a GGUF type is a run of blocks of 32 (Q8_0 .. Q5_1) or 256 (Q2_K .. Q6_K) weights.  Each
 * decoder turns n_blocks consecutive blocks into float32, out[n_blocks * weights of a block].  The
 * order of operations, in float32, is that of the reference dequantizer (the Python package
 * `gguf`), so the results have the same bits. */
#ifndef UPG_MODEL_TYPES_GGUF_H
#define UPG_MODEL_TYPES_GGUF_H

#include <stddef.h>
#include <stdint.h>

typedef void upg_decode_blocks_fn(const uint8_t *blocks, size_t n_blocks, float *out);

upg_decode_blocks_fn upg_decode_q8_0, upg_decode_q4_0, upg_decode_q4_1, upg_decode_q5_0,
    upg_decode_q5_1, upg_decode_q2_k, upg_decode_q3_k, upg_decode_q4_k, upg_decode_q5_k,
    upg_decode_q6_k;

#endif
