/* viterbi_steps.h -- the Viterbi search of trellis.h, written once for vectors of any width.
 *
 * A tier's file defines `vec` (VEC_LANES values of 16 bits) and the operations below, includes
 * this, and wraps viterbi_run().  A template by inclusion, because the tiers must agree bit for
 * bit and differ in nothing but the width.
 *
 *   vec_load, vec_store, vec_set    from and to uint16_t arrays, all lanes the same
 *   vec_add, vec_sub, vec_min       modulo 2^16, unsigned minimum
 *   vec_add_signed, vec_sub_signed  signed, saturating
 *   vec_square                      (x * x + 2^14) >> 15 for signed x
 *   vec_retag(x, mask, tag)         (x & ~mask) | tag
 *   vec_push(x, mask, y)            (x << 4) | (y & mask)
 *
 * Costs carry `old`, the number of the state within its group, in their low k bits.  So the
 * minimum of 2^k sums also says which one it was, without a comparison: two operations a branch,
 * an addition and a minimum, which two ports of a core share. */
#ifndef UPG_CODEC_VITERBI_STEPS_H
#define UPG_CODEC_VITERBI_STEPS_H

#include "codec/trellis.h"

/* The least of cost[old] + distance[old ^ way] over old = 0..3. */
static inline vec min_plus_4(const vec cost[4], const vec distance[4], unsigned way)
{
    const vec a = vec_add(cost[0], distance[way]), b = vec_add(cost[1], distance[1 ^ way]);
    const vec c = vec_add(cost[2], distance[2 ^ way]), d = vec_add(cost[3], distance[3 ^ way]);

    return vec_min(vec_min(a, b), vec_min(c, d));
}

/* Squared distance of the targets to each level, less the floor that all costs exceed. */
static inline void measure_levels(const struct upg_trellis *trellis, vec target, vec floor,
                                  vec *distance)
{
    const vec mask = vec_set((uint16_t)((1U << trellis->k) - 1)), zero = vec_set(0);

    for (size_t i = 0; i < trellis->n_levels; i++) {
        vec difference = vec_sub_signed(target, vec_set((uint16_t)trellis->levels[i]));
        if (trellis->n_doublings)
            difference = vec_add_signed(difference, difference);
        distance[i] = vec_sub(vec_retag(vec_square(difference), mask, zero), floor);
    }
}

/* One step.  k is a constant in each caller, so that the loops unroll.  Returns the least cost. */
static inline __attribute__((always_inline)) vec
viterbi_step(const struct upg_trellis *trellis, const unsigned k, const uint16_t *from,
             uint16_t *to, const vec *distance, uint16_t *decisions)
{
    const unsigned n_ways = 1U << k, n_states = 4096U >> k;
    const vec mask = vec_set((uint16_t)(n_ways - 1)), limit = vec_set(UPG_TRELLIS_COST_LIMIT);
    vec minimum = limit;

    for (unsigned group = 0; group < n_states; group += n_ways) {
        const uint8_t *level_of = trellis->level_of + group;
        const uint16_t *next = trellis->next + group; /* what is old in them is in `middle` here */
        const vec tag = vec_set((uint16_t)(next[0] & (n_ways - 1)));
        for (unsigned way = 0; way < n_ways; way += 4) {
            vec best[4];

            for (unsigned old = 0; old < n_ways; old += 4) {
                vec cost[4], d[4];
                for (unsigned i = 0; i < 4; i++) {
                    cost[i] = vec_load(from + (size_t)(group + old + i) * VEC_LANES);
                    d[i] = distance[level_of[(old ^ way) + i]];
                }
                for (unsigned i = 0; i < 4; i++) {
                    const vec least = min_plus_4(cost, d, i);
                    best[i] = old == 0 ? least : vec_min(best[i], least);
                }
            }
            vec packed = vec_set(0);
            for (unsigned i = 0; i < 4; i++) {
                const vec cost = vec_min(best[i], limit);
                packed = vec_push(packed, mask, best[i]);
                minimum = vec_min(minimum, cost);
                vec_store(to + (size_t)next[way + i] * VEC_LANES, vec_retag(cost, mask, tag));
            }
            vec_store(decisions + (size_t)(group + way) / 4 * VEC_LANES, packed);
        }
    }
    return vec_retag(minimum, mask, vec_set(0));
}

static inline __attribute__((always_inline)) void
viterbi_run_k(const struct upg_trellis *trellis, const unsigned k, const int16_t *targets,
              size_t n_steps, uint16_t *cost, uint16_t *decisions)
{
    const size_t n = (size_t)(4096U >> k) * VEC_LANES;
    vec distance[256], floor = vec_set(0);

    for (size_t step = 0; step < n_steps; step++) {
        const vec target = vec_load((const uint16_t *)targets + step * VEC_LANES);
        measure_levels(trellis, target, floor, distance);
        floor = viterbi_step(trellis, k, cost + step % 2 * n, cost + (step + 1) % 2 * n, distance,
                             decisions + step * (n / 4));
    }
}

static void viterbi_run(const struct upg_trellis *trellis, const int16_t *targets, size_t n_steps,
                        uint16_t *cost, uint16_t *decisions)
{
    switch (trellis->k) {
    case 2: viterbi_run_k(trellis, 2, targets, n_steps, cost, decisions); break;
    case 3: viterbi_run_k(trellis, 3, targets, n_steps, cost, decisions); break;
    default: viterbi_run_k(trellis, 4, targets, n_steps, cost, decisions); break;
    }
}

#endif
