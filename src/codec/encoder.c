/* encoder.c -- the steps around the Viterbi search: targets to integers, trace back, pack bits.
 *
 * The 64 sequences of a row block are searched in passes of as many as a vector has lanes.  Each
 * call starts from the single state in which the last one ended, so that what was committed stays,
 * and looks ahead because survivors merge late, over a hundred steps: cutting without looking ahead
 * would cost 10 to 50 % of error. */
#include "codec/encoder.h"

#include "base/arena.h"
#include "base/size.h"
#include "codec/trellis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct upg_encoder {
    struct upg_trellis trellis;
    const struct upg_viterbi *viterbi;
    size_t max_groups;
    int16_t *targets;    /* [64 / n_lanes, 8 max_groups, n_lanes], one part a pass */
    uint16_t *cost;      /* [2, n_states, n_lanes] */
    uint16_t *decisions; /* [8 max_groups, n_states / 4, n_lanes] */
};

const struct upg_effort *upg_effort_of(const char *name)
{
    static const struct {
        const char *name;
        struct upg_effort effort;
    } efforts[] = {
        {"fast", {16, 2}},
        {"normal", {8, 8}},
        {"best", {4, 16}},
    };

    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (strcmp(name, efforts[i].name) == 0)
            return &efforts[i].effort;
    return NULL;
}

/* The widest tier up to `highest`; NULL for an unknown name. */
static const struct upg_viterbi *find_viterbi(const char *highest)
{
    const struct {
        const char *name;
        const struct upg_viterbi *viterbi;
    } tiers[] = {{"scalar", upg_viterbi_scalar()},
                 {"neon", upg_viterbi_neon()},
                 {"avx2", upg_viterbi_avx2()},
                 {"avx512", upg_viterbi_avx512()}};
    const struct upg_viterbi *best = NULL;

    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        if (tiers[i].viterbi)
            best = tiers[i].viterbi;
        if (highest && strcmp(highest, tiers[i].name) == 0)
            return best;
    }
    return highest ? NULL : best;
}

upg_status upg_encoder_new(struct upg_encoder **encoder, int k, size_t max_groups,
                           const char *highest, upg_error *err)
{
    const struct upg_viterbi *viterbi = find_viterbi(highest);
    size_t n_steps, n_decisions;

    *encoder = NULL;
    if (!upg_code_of(k))
        return upg_fail(err, UPG_ERR_ARGUMENT, "encoder: there is no code of %d bits; use 2, 3, 4",
                        k);
    if (!viterbi)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "encoder: unknown instruction set '%s'; use scalar, neon, avx2 or avx512",
                        highest);
    struct upg_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return upg_fail_memory(err, "an encoder", sizeof *e);
    upg_trellis_init(&e->trellis, upg_code_of(k));
    e->viterbi = viterbi;
    e->max_groups = max_groups;
    if (size_mul(max_groups, UPG_STEPS, &n_steps) &&
        size_mul(n_steps, e->trellis.n_states / 4 * viterbi->n_lanes, &n_decisions)) {
        e->targets = upg_aligned_alloc(n_steps, UPG_LANES * sizeof *e->targets);
        e->cost = upg_aligned_alloc(2 * e->trellis.n_states, viterbi->n_lanes * sizeof *e->cost);
        e->decisions = upg_aligned_alloc(n_decisions, sizeof *e->decisions);
    }
    if (!e->targets || !e->cost || !e->decisions) {
        upg_encoder_free(e);
        return upg_fail_memory(err, "an encoder", max_groups);
    }
    *encoder = e;
    return UPG_OK;
}

void upg_encoder_free(struct upg_encoder *encoder)
{
    if (!encoder)
        return;
    free(encoder->targets);
    free(encoder->cost);
    free(encoder->decisions);
    free(encoder);
}

const char *upg_encoder_tier(const struct upg_encoder *encoder)
{
    return encoder->viterbi->tier;
}

/* Targets as integers in the order of the passes.  Row 16 i + r, column 4 g + c is lane 4 r + c at
 * step 8 g + i.  False if one is not finite. */
static bool convert_targets(struct upg_encoder *encoder, const float *targets, size_t stride,
                            size_t n_groups)
{
    const size_t n_lanes = encoder->viterbi->n_lanes, n_steps = n_groups * UPG_STEPS;
    const float limit = UPG_TRELLIS_TARGET;
    bool finite = true;

    for (size_t row = 0; row < UPG_ROW_BLOCK; row++)
        for (size_t col = 0; col < n_groups * UPG_COL_GROUP; col++) {
            const size_t lane = row % 16 * UPG_COL_GROUP + col % UPG_COL_GROUP;
            const size_t step = col / UPG_COL_GROUP * UPG_STEPS + row / 16;
            const float x = targets[row * stride + col];
            const float clamped = x > limit ? limit : x < -limit ? -limit : x;

            finite &= isfinite(x);
            encoder->targets[(lane / n_lanes * n_steps + step) * n_lanes + lane % n_lanes] =
                (int16_t)lrintf(clamped * UPG_TRELLIS_UNIT);
        }
    return finite;
}

/* Costs when the state of each lane of a pass is known: 0 for it, the limit for all others. */
static void start_costs(const struct upg_encoder *encoder, const uint16_t *state)
{
    const size_t n_lanes = encoder->viterbi->n_lanes;
    const unsigned mask = (1U << encoder->trellis.k) - 1;

    for (unsigned s = 0; s < encoder->trellis.n_states; s++) {
        const uint16_t worst = (uint16_t)((UPG_TRELLIS_COST_LIMIT & ~mask) | (s & mask));
        for (size_t lane = 0; lane < n_lanes; lane++)
            encoder->cost[s * n_lanes + lane] = worst;
    }
    for (size_t lane = 0; lane < n_lanes; lane++)
        encoder->cost[state[lane] * n_lanes + lane] = (uint16_t)(state[lane] & mask);
}

/* The state of least cost for each lane; the lowest number among equals. */
static void best_states(const struct upg_encoder *encoder, const uint16_t *cost, uint16_t *state)
{
    const size_t n_lanes = encoder->viterbi->n_lanes;
    const uint16_t tag = (uint16_t)((1U << encoder->trellis.k) - 1);
    uint16_t least[UPG_LANES];

    memset(least, 0xFF, sizeof least);
    memset(state, 0, n_lanes * sizeof *state);
    for (size_t s = 0; s < encoder->trellis.n_states; s++)
        for (size_t lane = 0; lane < n_lanes; lane++) {
            const uint16_t c = cost[s * n_lanes + lane] | tag;
            state[lane] = c < least[lane] ? (uint16_t)s : state[lane];
            least[lane] = c < least[lane] ? c : least[lane];
        }
}

/* The bits of one lane in a block: `bits` of a plane holds its eight symbols, step 0 lowest. */
static void put_lane(const struct upg_code *code, const unsigned bits[2], size_t lane,
                     uint8_t *block)
{
    for (int plane = 0; plane < 2; plane++)
        for (int vector = 0; vector < code->rate[plane]; vector++) {
            block[lane] = (uint8_t)(bits[plane] >> 8 * vector);
            block += UPG_LANES;
        }
}

/* Follow the decisions of a pass back from the best final states, over what was looked at only,
 * until the step at which the committed part ends.  state[n_lanes] receives the states there. */
static void skip_back(const struct upg_encoder *encoder, size_t n_steps, size_t n_kept,
                      uint16_t *state)
{
    const struct upg_trellis *trellis = &encoder->trellis;
    const size_t n_lanes = encoder->viterbi->n_lanes, n_words = trellis->n_states / 4;

    best_states(encoder, encoder->cost + n_steps % 2 * trellis->n_states * n_lanes, state);
    for (size_t step = n_steps; step-- > n_kept;)
        for (size_t lane = 0; lane < n_lanes; lane++) {
            const unsigned slot = trellis->slot[state[lane]];
            const unsigned word = encoder->decisions[(step * n_words + slot / 4) * n_lanes + lane];
            state[lane] =
                (uint16_t)upg_trellis_back(trellis, slot, upg_trellis_old(trellis, slot, word));
        }
}

/* The symbols that leave the windows in the first steps are those of the start state's history.
 * Decisions say the same unless all costs were at their limit, as far outliers may drive them. */
static unsigned old_of_start(const struct upg_trellis *trellis, unsigned start, size_t step,
                             unsigned old)
{
    const struct upg_code *code = trellis->code;
    int shift = 0;

    for (int plane = 0; plane < 2; plane++) {
        const int rate = code->rate[plane], begin = (int)step * rate;
        const unsigned mask = (1U << rate) - 1;
        if (begin + rate <= UPG_WINDOW_BITS - rate)
            old = (old & ~(mask << shift)) |
                  ((unsigned)trellis->history[start][plane] >> begin & mask) << shift;
        shift += rate;
    }
    return old;
}

/* Follow the decisions of a pass back from `state` at the end of the committed part to `start`;
 * write codes and, unless values is NULL, what they decode to. */
static void trace_back(const struct upg_encoder *encoder, size_t first_lane, size_t n_commit,
                       const uint16_t *start, uint16_t *state, uint8_t *blocks, int8_t *values)
{
    const struct upg_trellis *trellis = &encoder->trellis;
    const struct upg_code *code = trellis->code;
    const size_t n_lanes = encoder->viterbi->n_lanes, n_words = trellis->n_states / 4;
    unsigned bits[UPG_LANES][2] = {{0}};

    for (size_t step = n_commit * UPG_STEPS; step-- > 0;) {
        const size_t group = step / UPG_STEPS;
        const uint16_t *decisions = encoder->decisions + step * n_words * n_lanes;
        for (size_t lane = 0; lane < n_lanes; lane++) {
            const unsigned slot = trellis->slot[state[lane]];
            const size_t of_64 = first_lane + lane;
            unsigned old = upg_trellis_old(trellis, slot, decisions[slot / 4 * n_lanes + lane]);

            if (step < UPG_WINDOW_BITS - 1)
                old = old_of_start(trellis, start[lane], step, old);
            for (int plane = 0; plane < 2; plane++) {
                const int rate = code->rate[plane];
                bits[lane][plane] =
                    bits[lane][plane] << rate |
                    (unsigned)trellis->history[state[lane]][plane] >> (UPG_WINDOW_BITS - 2 * rate);
            }
            if (values) {
                const size_t row = step % UPG_STEPS * 16 + of_64 / UPG_COL_GROUP;
                values[(row * n_commit + group) * UPG_COL_GROUP + of_64 % UPG_COL_GROUP] =
                    trellis->value[slot ^ old];
            }
            state[lane] = (uint16_t)upg_trellis_back(trellis, slot, old);
            if (step % UPG_STEPS == 0) {
                put_lane(code, bits[lane], of_64, blocks + group * (size_t)trellis->k * UPG_LANES);
                bits[lane][0] = bits[lane][1] = 0;
            }
        }
    }
}

upg_status upg_encoder_commit(struct upg_encoder *encoder, struct upg_lanes *lanes,
                              const float *targets, size_t stride, size_t n_commit, size_t n_known,
                              uint8_t *blocks, int8_t *values, upg_error *err)
{
    const size_t n_lanes = encoder->viterbi->n_lanes, n_steps = n_known * UPG_STEPS;

    if (n_commit == 0 || n_commit > n_known || n_known > encoder->max_groups)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "encoder: %zu column groups to commit of %zu known, of at most %zu",
                        n_commit, n_known, encoder->max_groups);
    if (!convert_targets(encoder, targets, stride, n_known))
        return upg_fail(err, UPG_ERR_ARGUMENT, "encoder: a target is not a finite number");

    for (size_t first = 0; first < UPG_LANES; first += n_lanes) {
        uint16_t end[UPG_LANES], state[UPG_LANES];

        start_costs(encoder, lanes->state + first);
        encoder->viterbi->run(&encoder->trellis, encoder->targets + first * n_steps, n_steps,
                              encoder->cost, encoder->decisions);
        skip_back(encoder, n_steps, n_commit * UPG_STEPS, end);
        memcpy(state, end, n_lanes * sizeof *end);
        trace_back(encoder, first, n_commit, lanes->state + first, state, blocks, values);
        memcpy(lanes->state + first, end, n_lanes * sizeof *end);
    }
    return UPG_OK;
}
