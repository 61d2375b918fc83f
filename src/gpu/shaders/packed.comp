/* packed.comp -- a packed matrix times int8 rows (docs/codec.md, sections 3 to 5).
 *
 *   sums[t][h][row] = sum over the columns of scale block h of (v[row, col] + 128) * x[t, col]
 *
 * The sums are integers: every order of summation gives the same bits, so the work is cut as the
 * device likes.  finish.comp makes outputs of them.
 *
 * A unit is a row block's part of a scale block.  A workgroup has a run of units, in the order in
 * which their codes lie in memory, and goes through them ROUND at a time.  A round's pairs of
 * column groups are dealt out to teams of 16 threads as runs; thread r of a team holds rows 16 i + r
 * and all 4 columns, so a vector of a pair is two words a thread, and 128 consecutive bytes a load.
 * Words of four columns are in the order 0, 2, 1, 3, as quantize.comp writes x.
 *
 * Workgroups: (any number up to that of units, 1, tile of TOKENS tokens). */
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "dot.glsl"

layout(push_constant) uniform Constants
{
    uint n_groups;    /* of a row */
    uint n_tokens;    /* of this dispatch */
    uint n_blocks;    /* scale blocks of a row */
    uint padded_rows;
};

layout(binding = 0) readonly buffer Codes { uvec2 codes[]; };   /* [row block][2 groups][K][16] */
layout(binding = 1) readonly buffer X { ivec2 x[]; };           /* [token][n_groups / 2] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; };    /* [256] plane a low, b high */
layout(binding = 3) writeonly buffer Sums { int sums[]; };      /* [token][n_blocks][padded_rows] */

#include "packed.glsl"

const uint SCALE_BLOCK = 64;                      /* column groups */
const uint ROUND = 24 / TOKENS; /* units: 12 KB of sums */

shared int scratch[ROUND * TOKENS * 128]; /* [token][unit][128] */

void load(out uvec2 words[K], uint pair, uint row)
{
    [[unroll]] for (uint v = 0; v < K; v++)
        words[v] = codes[(pair * K + v) * 16 + row];
}

/* acc[i][t] += row 16 i + r of a block times x. */
void multiply_block(uvec2 pairs_of[4], int x_word[TOKENS], inout int acc[8][TOKENS])
{
#if TOKENS == 1 /* the rows of a pair keep their places, x's columns go there */
    const int x01 = x_word[0] & 0x00ff00ff, x23 = (x_word[0] >> 8) & 0x00ff00ff;

    [[unroll]] for (uint i = 0; i < 4; i++) {
        acc[2 * i][0] += multiply(x01, pairs_of[i].x);
        acc[2 * i][0] += multiply(x23, pairs_of[i].y);
        acc[2 * i + 1][0] += multiply(x01 << 8, pairs_of[i].x);
        acc[2 * i + 1][0] += multiply(x23 << 8, pairs_of[i].y);
    }
#else
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uvec2 rows = rows_of(pairs_of[i]);

        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            acc[2 * i][t] += multiply(x_word[t], rows.x);
            acc[2 * i + 1][t] += multiply(x_word[t], rows.y);
        }
    }
#endif
}

/* Column groups from the first of a unit to that of another, over all row blocks. */
uint group_of(uint unit) { return unit / n_blocks * n_groups + unit % n_blocks * SCALE_BLOCK; }

/* Column groups from g to the end of its unit. */
uint rest_of_unit(uint g) { return min(SCALE_BLOCK - g % SCALE_BLOCK, n_groups - g); }

/* A team's run of column groups, in pairs: sums go to scratch[].  The two teams of a subgroup have
 * runs of one length, which end units at different places: hence one loop over all units. */
void multiply_run(uint at, uint end, uint first_unit, uint row)
{
    const uint first_token = gl_WorkGroupID.z * TOKENS;
    uint g = at % n_groups, unit = at / n_groups * n_blocks + g / SCALE_BLOCK - first_unit;
    uint stop = min(at + rest_of_unit(g), end);
    uint previous[2] = {0, 0};
    uvec2 next[K];
    int acc[8][TOKENS];

    [[unroll]] for (int i = 0; i < 8; i++)
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            acc[i][t] = 0;
    load(next, at / 2, row);
    if (g > 0) {
        previous[0] = codes[(at / 2 * K - K) * 16 + (K == 2 ? 0 : 16) + row].y;
        previous[1] = codes[(at / 2 * K - 1) * 16 + row].y;
    }
    while (at < end) {
        const uvec2 words[K] = next;
        ivec2 x_words[TOKENS];

        load(next, min(at + 2, end - 2) / 2, row);
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            x_words[t] = x[(min(first_token + t, n_tokens - 1) * n_groups + g) / 2];
        [[unroll]] for (uint j = 0; j < 2; j++) {
            uvec2 pairs_of[4];
            uint word[K];
            int x_word[TOKENS];

            [[unroll]] for (uint v = 0; v < K; v++)
                word[v] = words[v][j];
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                x_word[t] = x_words[t][j];
            decode(word, previous, pairs_of);
            multiply_block(pairs_of, x_word, acc);
        }
        at += 2;
        g += 2;
        if (at == stop) { /* the unit's end, or the run's */
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                [[unroll]] for (int i = 0; i < 8; i++) {
                    atomicAdd(scratch[(t * ROUND + unit) * 128 + 16 * i + row], acc[i][t]);
                    acc[i][t] = 0;
                }
            unit++;
            if (g == n_groups)
                g = previous[0] = previous[1] = 0;
            stop = min(at + rest_of_unit(g), end);
        }
    }
}

void multiply_units(uint first_unit, uint n_units)
{
    const uint thread = gl_LocalInvocationIndex, n_teams = gl_WorkGroupSize.x / 16;
    const uint begin = group_of(first_unit), end = group_of(first_unit + n_units);
    const uint each = (end - begin + 2 * n_teams - 1) / (2 * n_teams) * 2;
    const uint at = begin + thread / 16 * each;

    for (uint i = thread; i < ROUND * TOKENS * 128; i += gl_WorkGroupSize.x)
        scratch[i] = 0;
    barrier();
    if (at < end)
        multiply_run(at, min(at + each, end), first_unit, thread % 16);
    barrier();
    for (uint i = thread; i < n_units * 128; i += gl_WorkGroupSize.x) {
        const uint unit = first_unit + i / 128;

        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const uint token = gl_WorkGroupID.z * TOKENS + t;

            if (token < n_tokens)
                sums[(token * n_blocks + unit % n_blocks) * padded_rows + unit / n_blocks * 128 +
                     i % 128] = scratch[t * ROUND * 128 + i];
        }
    }
    barrier();
}

void main()
{
    const uint n_units = padded_rows / 128 * n_blocks;
    const uint begin = n_units * gl_WorkGroupID.x / gl_NumWorkGroups.x;
    const uint end = n_units * (gl_WorkGroupID.x + 1) / gl_NumWorkGroups.x;

    choose_places();
    fill_tables();
    for (uint unit = begin; unit < end; unit += ROUND) /* its first barrier is the tables', too */
        multiply_units(unit, min(ROUND, end - unit));
}
