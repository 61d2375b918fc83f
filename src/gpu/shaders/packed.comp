/* packed.comp -- integer sums of a packed matrix times int8 rows (docs/codec.md, sections 3 and 4).
 *
 *   sums[t][h][row] = sum over the columns of scale block h of (v[row, col] + 128) * x[t, col]
 *
 * Integers: every order of summation gives the same bits, so the work is cut as the device likes.
 * finish.comp subtracts the 128 (x's sums are known) and scales.
 *
 * A team of 16 threads decodes RUN column groups of a row block; thread r holds rows 16 i + r and
 * all 4 columns, so a step of a team's block is one word a thread, and 64 consecutive bytes a load.
 * In each plane, the windows of two neighbouring steps lie in 8 bits, which choose a pair of values:
 * one look-up in shared memory serves two weights.  Each thread reads a copy of the tables in its
 * own bank.  Values are biased by 64 in each plane, so bytes add without carry.  Words of four
 * columns are in the order 0, 2, 1, 3, as quantize.comp writes x.
 *
 * A unit of a workgroup is a row block and as many columns as its teams take, whole scale blocks.
 * Workgroups: (at most one a unit, 1, tile of TOKENS tokens); each goes through several units, as
 * its tables are worth filling only for several. */
#version 460
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_control_flow_attributes : require
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4452) /* OpSUDot of 4 packed bytes: signed a, unsigned b */
int signed_times_unsigned(int a, uint b, spirv_literal int format);
#endif

layout(local_size_x_id = 0) in;                 /* 16 teams or more */
layout(constant_id = 1) const uint COPIES = 16; /* of a table: 16 or 32 */

layout(push_constant) uniform Constants
{
    uint n_groups; /* of a row */
    uint n_tokens; /* of this dispatch */
    uint x_stride; /* words of a token's row */
    uint n_blocks; /* scale blocks of a row */
    uint padded_rows;
    uint n_units;
};

layout(binding = 0) readonly buffer Codes { uint codes[]; }; /* [row block][group][K][16] */
layout(binding = 1) readonly buffer X { int x[]; };          /* [token][x_stride] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 3) buffer Sums { int sums[]; };             /* [token][n_blocks][padded_rows] */

#if K == 2
const uint ENTRIES = 128;
#else
const uint ENTRIES = 256; /* plane b of K == 3 uses 128 */
#endif
const uint RUN = 4;   /* column groups of a team in a unit */
const uint AHEAD = 2; /* of them loaded at a time: 4 take more registers than they win */

shared uint16_t table[ENTRIES * COPIES * 2]; /* [entry][copy][plane] */
shared int team_sums[gl_WorkGroupSize.x / 2]; /* [scale block of the unit][128] */

void fill_tables()
{
    const uint thread = gl_LocalInvocationIndex, n = gl_WorkGroupSize.x / ENTRIES;
    const uint entry = thread % ENTRIES, pair = pairs[entry];

    for (uint j = thread / ENTRIES; j < COPIES; j += n) {
        const uint copy = (j + thread) % COPIES; /* neighbours write to different banks */

        table[(entry * COPIES + copy) * 2] = uint16_t(pair);
        table[(entry * COPIES + copy) * 2 + 1] = uint16_t(pair >> 16);
    }
}

/* Windows of steps (0, 1), (2, 3), (4, 5), (6, 7), a byte a column: previous is the last vector of
 * the block to the left. */
void windows_of_rate_1(uint previous, uint v, out uint windows[4])
{
    windows[0] = ((previous >> 3) & 0x1f1f1f1fu) | ((v << 5) & 0x60606060u);
    windows[1] = ((previous >> 5) & 0x07070707u) | ((v << 3) & 0x78787878u);
    windows[2] = ((previous >> 7) & 0x01010101u) | ((v << 1) & 0x7e7e7e7eu);
    windows[3] = (v >> 1) & 0x7f7f7f7fu;
}

void windows_of_rate_2(uint previous, uint v0, uint v1, out uint windows[4])
{
    windows[0] = ((previous >> 4) & 0x0f0f0f0fu) | ((v0 << 4) & 0xf0f0f0f0u);
    windows[1] = v0;
    windows[2] = ((v0 >> 4) & 0x0f0f0f0fu) | ((v1 << 4) & 0xf0f0f0f0u);
    windows[3] = v1;
}

/* Both planes' values of two steps of column c: step i low, step i + 1 high. */
uint look_up(uint window_a, uint window_b, int c, uint copy)
{
    const uint a = bitfieldExtract(window_a, 8 * c, 8), b = bitfieldExtract(window_b, 8 * c, 8);

    return uint(table[(a * COPIES + copy) * 2]) + uint(table[(b * COPIES + copy) * 2 + 1]);
}

int multiply(int x_word, uint weights)
{
#ifdef DOT
    return signed_times_unsigned(x_word, weights, 0);
#else
    int sum = 0;

    [[unroll]] for (int i = 0; i < 32; i += 8)
        sum += bitfieldExtract(x_word, i, 8) * int(bitfieldExtract(weights, i, 8));
    return sum;
#endif
}

void main()
{
    const uint thread = gl_LocalInvocationIndex, row = thread % 16, team = thread / 16;
    const uint copy = thread % COPIES;
    const uint wide = gl_WorkGroupSize.x / 16 * RUN; /* groups of a unit, a multiple of 64 */
    const uint n_chunks = (n_groups + wide - 1) / wide;
    const uint first_token = gl_WorkGroupID.z * TOKENS;

    fill_tables();
    barrier();
    for (uint unit = gl_WorkGroupID.x; unit < n_units; unit += gl_NumWorkGroups.x) {
        const uint row_block = unit / n_chunks, chunk = unit % n_chunks;
        const uint first = chunk * wide + team * RUN;
        const uint last = min(first + RUN, n_groups); /* which is a multiple of 16 */
        uint at = (row_block * n_groups + first) * (16 * K) + row;
        uint previous_a = 0, previous_b = 0;
        int acc[8][TOKENS];

        [[unroll]] for (int i = 0; i < 8; i++)
            [[unroll]] for (uint t = 0; t < TOKENS; t++)
                acc[i][t] = 0;
        if (first > 0 && first < n_groups) {
            previous_a = codes[at - 16 * K + (K == 2 ? 0 : 16)];
            previous_b = codes[at - 16];
        }
        for (uint g = first; g < last; g += AHEAD) {
            uint word[AHEAD][K];

            [[unroll]] for (uint j = 0; j < AHEAD; j++)
                [[unroll]] for (uint v = 0; v < K; v++)
                    word[j][v] = codes[at + (j * K + v) * 16];
            at += AHEAD * 16 * K;
            [[unroll]] for (uint j = 0; j < AHEAD; j++) {
                uint a[4], b[4];
                int x_word[TOKENS];

#if K == 2
                windows_of_rate_1(previous_a, word[j][0], a);
                windows_of_rate_1(previous_b, word[j][1], b);
                previous_a = word[j][0];
#elif K == 3
                windows_of_rate_2(previous_a, word[j][0], word[j][1], a);
                windows_of_rate_1(previous_b, word[j][2], b);
                previous_a = word[j][1];
#else
                windows_of_rate_2(previous_a, word[j][0], word[j][1], a);
                windows_of_rate_2(previous_b, word[j][2], word[j][3], b);
                previous_a = word[j][1];
#endif
                previous_b = word[j][K - 1];
                [[unroll]] for (uint t = 0; t < TOKENS; t++)
                    x_word[t] = x[min(first_token + t, n_tokens - 1) * x_stride + g + j];
                [[unroll]] for (uint i = 0; i < 4; i++) {
                    const uint p =
                        look_up(a[i], b[i], 0, copy) + (look_up(a[i], b[i], 1, copy) << 16);
                    const uint q =
                        look_up(a[i], b[i], 2, copy) + (look_up(a[i], b[i], 3, copy) << 16);
                    const uint even = (p & 0x00ff00ffu) | ((q << 8) & 0xff00ff00u);
                    const uint odd = ((p >> 8) & 0x00ff00ffu) | (q & 0xff00ff00u);

                    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                        acc[2 * i][t] += multiply(x_word[t], even);
                        acc[2 * i + 1][t] += multiply(x_word[t], odd);
                    }
                }
            }
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            for (uint i = thread; i < wide * 2; i += gl_WorkGroupSize.x)
                team_sums[i] = 0;
            barrier();
            [[unroll]] for (int i = 0; i < 8; i++)
                atomicAdd(team_sums[team * RUN / 64 * 128 + 16 * i + row], acc[i][t]);
            barrier();
            for (uint i = thread; i < wide * 2; i += gl_WorkGroupSize.x) {
                const uint h = chunk * wide / 64 + i / 128, token = first_token + t;

                if (h < n_blocks && token < n_tokens)
                    sums[(token * n_blocks + h) * padded_rows + row_block * 128 + i % 128] =
                        team_sums[i];
            }
            barrier();
        }
    }
}
