/* encode_map.h -- compress one linear map: transform, scales, error feedback, codes. */
#ifndef UPG_COMPRESS_ENCODE_MAP_H
#define UPG_COMPRESS_ENCODE_MAP_H

#include "base/pool.h"
#include "codec/codec.h"
#include "codec/encoder.h"
#include "model/model.h"

#include <stdbool.h>

/* One part of a map: rows that share their bits.  Parts share the input side of the transform and
 * the gains, so that one rotated and quantized row of activations serves them all. */
struct upg_coded_part {
    int k;              /* 2, 3, 4; UPG_PLAIN_BITS: integers that are not transformed */
    size_t n_rows;      /* set by the caller */
    size_t padded_rows; /* the rest is set here; of plain rows: n_rows */
    bool has_output_transform;
    uint64_t seed_out;
    uint8_t *codes;      /* upg_coded_part_bytes(), owned: free() */
    uint16_t *row_scale; /* [padded_rows], owned */
    int8_t *values;      /* [padded_rows, padded_cols] decoded, owned */
    float *row_step;     /* plain rows, instead of the last two: [n_rows], owned */
    double nmse;         /* squared error over squared weights */
    double proxy_loss;   /* tr(E H E^T) / tr(W H W^T); equals nmse without a Hessian */
};

enum { UPG_MAX_CODED_PARTS = 3, UPG_PLAIN_BITS = 8 };

struct upg_coded_map {
    size_t n_parts, n_cols, padded_cols, n_blocks;
    uint64_t seed_in;
    float *gain;    /* [n_blocks], owned */
    double damping; /* of the Hessian, as used; 0 without one */
    struct upg_coded_part part[UPG_MAX_CODED_PARTS];
};

/* Set sizes and seeds of a map whose n_parts, n_cols, part[].k and part[].n_rows are set and whose
 * rest is zero.
 *   seed              of the signs; those of both sides follow from it
 *   output_transform  false for embeddings, whose rows must decode alone */
void upg_coded_map_layout(struct upg_coded_map *map, uint64_t seed, bool output_transform);

/* Bytes of a part's codes; false on overflow. */
bool upg_coded_part_bytes(const struct upg_coded_map *map, size_t i, size_t *n_bytes);

/* Memory for the codes, scales and values of a map whose layout is set.  After a failure, too,
 * upg_coded_map_clear() frees what there is. */
upg_status upg_coded_map_allocate(struct upg_coded_map *map, upg_error *err);

/* Encode w[sum of n_rows, n_cols] (row-major, read only) into a map that has layout and memory.
 *
 *   hessian  [n_cols, n_cols] mean of x x^T over the calibration rows; NULL: no feedback
 *   damping  as for upg_factorise()
 *
 * Deterministic for any number of threads.  UPG_ERR_ARGUMENT if a weight is not finite. */
upg_status upg_encode_map(struct upg_pool *pool, struct upg_coded_map *map, const float *w,
                          const float *hessian, double damping, const struct upg_effort *effort,
                          upg_error *err);

void upg_coded_map_clear(struct upg_coded_map *map);

/* Part i as a matrix of the file; borrows the map's memory. */
struct upg_matrix upg_coded_part_matrix(const struct upg_coded_map *map, size_t i);

/* What the codes mean, in the original basis: out[sum of n_rows, n_cols].  row_scale (may be NULL:
 * those of the map; of plain rows their steps) [sum of padded_rows] and gain replace the stored ones, for tuning.
 * scratch: [largest padded_rows, padded_cols] floats. */
void upg_coded_map_expand(struct upg_pool *pool, const struct upg_coded_map *map,
                          const float *row_scale, const float *gain, float *out, float *scratch);

/* Floats of scratch that upg_coded_map_expand() needs. */
size_t upg_coded_map_scratch(const struct upg_coded_map *map);

/* upg_coded_map_expand() with the map's own scales and scratch of its own. */
upg_status upg_coded_map_decode(struct upg_pool *pool, const struct upg_coded_map *map, float *out,
                                upg_error *err);

#endif
