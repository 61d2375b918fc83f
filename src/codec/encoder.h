/* encoder.h -- from target values to codes: a Viterbi search over each of a row block's sequences.
 *
 * Targets are in table units: w / (row_scale * gain), as W' after the transform; an ideal target
 * has a standard deviation of upg_code.sigma.  The search minimises the squared error in table
 * units over all codes, looking ahead some columns beyond those that it commits.
 *
 * Column by column, with error feedback (LDLQ), for each row block:
 *
 *     struct upg_lanes lanes = {{0}};                       // left edge
 *     for (group = 0; group < n_groups; group += n) {
 *         upg_encoder_commit(encoder, &lanes, targets + 4 * group, stride, n,
 *                            n + look_ahead, blocks + group * block_bytes, values, err);
 *         // values[128][4 n]: correct the targets to the right by the errors of these columns
 *     }
 *
 * An encoder belongs to one thread at a time; lanes carry all that a row block's sequences
 * remember, so one encoder may serve many row blocks by turns. */
#ifndef UPG_CODEC_ENCODER_H
#define UPG_CODEC_ENCODER_H

#include "base/pool.h"
#include "codec/codec.h"

struct upg_encoder;

/* The ends of a row block's sequences so far: trellis states.  All zero at the left edge. */
struct upg_lanes {
    uint16_t state[UPG_LANES];
};

/* How far the search goes with feedback, in column groups (of 4 columns, 8 steps).  Few columns at
 * a time let feedback act early, many to look at keep the search from ending in a corner. */
struct upg_effort {
    size_t commit_groups;     /* at a time */
    size_t look_ahead_groups; /* beyond them */
};

/* "fast", "normal", "best"; NULL for other names. */
const struct upg_effort *upg_effort_of(const char *name);

/* An encoder for codes of k = 2, 3, 4 bits that sees at most max_groups column groups in one call.
 * `highest` limits the instruction set: "scalar", "avx2", "avx512", "neon", NULL for the best that
 * the machine has; all give the same codes.  UPG_ERR_ARGUMENT for an unknown k or name. */
upg_status upg_encoder_new(struct upg_encoder **encoder, int k, size_t max_groups,
                           const char *highest, upg_error *err);
void upg_encoder_free(struct upg_encoder *encoder); /* NULL is allowed */
const char *upg_encoder_tier(const struct upg_encoder *encoder);

/* Encode the next n_commit column groups of a row block.
 *
 *   lanes    in: where the row block's sequences stand; out: after the committed groups
 *   targets  [128, stride] float32 in table units, row-major; columns 0 .. 4 n_known - 1 are read
 *   n_known  groups whose targets are known, 1 <= n_commit <= n_known <= max_groups: those behind
 *            n_commit are looked at, not encoded
 *   blocks   [n_commit, 64 k] bytes, overwritten
 *   values   [128, 4 n_commit] what the codes decode to, in table units; NULL if not wanted
 *
 * Targets beyond +-80 table units count as +-80 (no code exceeds 63).  UPG_ERR_ARGUMENT if one is
 * NaN or infinite: nothing is written then. */
upg_status upg_encoder_commit(struct upg_encoder *encoder, struct upg_lanes *lanes,
                              const float *targets, size_t stride, size_t n_commit, size_t n_known,
                              uint8_t *blocks, int8_t *values, upg_error *err);

/* Encode a whole matrix without feedback, row blocks split over the pool's threads.
 *
 *   w          [n_rows, n_cols] float32, row-major, after the transform; padding is encoded as 0
 *   row_scale  [n_rows] binary16 and
 *   gain       [ceil(n_cols / 256)], as upg_fit_scales() gives them; a row of scale 0 is encoded
 *              as 0
 *   codes      upg_packed_code_bytes() bytes, overwritten
 *
 * UPG_ERR_ARGUMENT for an unknown k, or a target that is not finite: the codes are of no use then.
 */
upg_status upg_encode_matrix(struct upg_pool *pool, int k, const float *w, size_t n_rows,
                             size_t n_cols, const uint16_t *row_scale, const float *gain,
                             uint8_t *codes, upg_error *err);

#endif
