/* trellis.h -- the trellis of a code and the Viterbi search over it; inside this room only.
 *
 * A branch of the trellis appends one symbol to each plane's window.  Call the symbols that leave
 * the windows `old`, those that stay `middle` and those that enter `new`, each for both planes
 * together (old and new have k bits).  A state is (middle, old), and a branch leads from (middle,
 * old) by `new` to the state whose history is (middle, new).  The 2^k states with the same middle
 * are a group: they have the same 2^k successors.
 *
 * The xor maps of the codes make the branch's value depend on (middle, old ^ way) only, with `way`
 * a relabelling of `new` that does not depend on anything else.  So a group of 2^k x 2^k branches
 * has 2^k values, and a step is a small convolution over xor, with (min, +) for (+, *):
 *     cost'[middle, way] = min over old of cost[middle, old] + distance[middle, old ^ way].
 *
 * Numbers:  state = middle << k | old;  slot = middle << k | way names the successor before it has
 * its own state number next[slot].  Then previous state = (slot with `old` for `way`) and value =
 * value[slot ^ old]. */
#ifndef UPG_CODEC_TRELLIS_H
#define UPG_CODEC_TRELLIS_H

#include "codec/codec.h"

enum {
    UPG_TRELLIS_STATES = 1024, /* at most: 1024, 512, 256 for k = 2, 3, 4 */
    UPG_TRELLIS_UNIT = 400,    /* int16 units of targets and levels: 1/400 table unit */
    UPG_TRELLIS_TARGET = 80    /* targets are clamped to +-80 table units, so that they fit */
};

struct upg_trellis {
    const struct upg_code *code; /* outlives the trellis */
    int k;
    size_t n_states;
    int n_doublings; /* of differences before they are squared: finer costs where errors are small
                      */
    size_t n_levels; /* distinct values of branches, at most 127 for a code of 7-bit values */
    int16_t levels[256];                    /* [n_levels] in 1/UPG_TRELLIS_UNIT table units */
    uint8_t level_of[UPG_TRELLIS_STATES];   /* [middle << k | old ^ way] index into levels */
    int8_t value[UPG_TRELLIS_STATES];       /* [middle << k | old ^ way] table units */
    uint16_t next[UPG_TRELLIS_STATES];      /* [slot] state */
    uint16_t slot[UPG_TRELLIS_STATES];      /* [state] the slot that leads to it */
    uint8_t history[UPG_TRELLIS_STATES][2]; /* [state] newest 6 - rate bits of plane a and b */
};

/* The trellis of a code whose xor maps are as said above: for a plane of rate 1, map[x | 2] =
 * map[x] ^ 1; for one of rate 2, a permutation of 0..3. */
void upg_trellis_init(struct upg_trellis *trellis, const struct upg_code *code);

/* The winning `old` of `slot`, from the word of decisions that holds the slot's. */
static inline unsigned upg_trellis_old(const struct upg_trellis *trellis, unsigned slot,
                                       unsigned word)
{
    return word >> 4 * (3 - slot % 4) & ((1U << trellis->k) - 1);
}

/* The state before `slot` with its `old`. */
static inline unsigned upg_trellis_back(const struct upg_trellis *trellis, unsigned slot,
                                        unsigned old)
{
    return slot >> trellis->k << trellis->k | old;
}

/* Largest cost of a state above the best one, in units of (UPG_TRELLIS_UNIT << n_doublings)^-2 *
 * 2^15 squared table units; worse states all count as this. */
#define UPG_TRELLIS_COST_LIMIT 0x7FFFU

/* A Viterbi search in n_lanes sequences at once.  All tiers give the same bits.
 *
 *   targets    [n_steps, n_lanes] in 1/UPG_TRELLIS_UNIT table units
 *   cost       [2, n_states, n_lanes]: start costs in the first half, final costs in the half
 *              n_steps % 2; both at most UPG_TRELLIS_COST_LIMIT, low k bits = old of the state
 *   decisions  [n_steps, n_states / 4, n_lanes]: the winning `old` of slot s in bits
 *              4 * (3 - s % 4) .. of word s / 4
 * All buffers are 64-byte aligned. */
struct upg_viterbi {
    const char *tier;
    size_t n_lanes;
    void (*run)(const struct upg_trellis *trellis, const int16_t *targets, size_t n_steps,
                uint16_t *cost, uint16_t *decisions);
};

/* NULL where the machine or the compiler's target lacks it. */
const struct upg_viterbi *upg_viterbi_scalar(void);
const struct upg_viterbi *upg_viterbi_avx2(void);
const struct upg_viterbi *upg_viterbi_avx512(void);
const struct upg_viterbi *upg_viterbi_neon(void);

#endif
