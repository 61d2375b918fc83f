/* packed.comp -- integer sums of a packed matrix times int8 rows (docs/codec.md, sections 3 and 4).
 *
 *   sums[t][h][row] += sum over the columns of scale block h of (v[row, col] + 128) * x[t, col]
 *
 * Integers: every order of summation gives the same bits, so the work is cut as the device likes.
 * finish.comp subtracts the 128 (x's sums are known) and scales.
 *
 * A team of 16 threads decodes a run of RUN column groups of a row block; thread r holds rows
 * 16 i + r and all 4 columns, so a step of a team's block is one word a thread, and 64 consecutive
 * bytes a load.  In each plane, the windows of two neighbouring steps lie in 8 bits, which choose a
 * pair of values: one look-up in shared memory serves two weights.  Each thread reads a copy of
 * the table in its own bank.  Values are biased by 64 in each plane, so bytes add without carry.
 * Words of four columns are in the order 0, 2, 1, 3, as quantize.comp writes x.
 *
 * Workgroups: (row block, run of teams, tile of TOKENS tokens). */
#version 460
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_control_flow_attributes : require
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4452) /* OpSUDot of 4 packed bytes: signed a, unsigned b */
int signed_times_unsigned(int a, uint b, spirv_literal int format);
#endif

layout(local_size_x_id = 0) in;                     /* 16 teams or more */
layout(constant_id = 1) const uint COPIES = 16;     /* of a table: 16 or 32 */

layout(push_constant) uniform Constants
{
    uint n_groups;    /* of a row */
    uint n_tokens;    /* of this dispatch */
    uint x_stride;    /* words of a token's row */
    uint n_blocks;    /* scale blocks of a row */
    uint padded_rows;
    uint run;         /* column groups of a team: 4, 8 or 16 */
};

layout(binding = 0) readonly buffer Codes { uint codes[]; }; /* [row block][group][K][16] */
layout(binding = 1) readonly buffer X { int x[]; };          /* [token][x_stride] */
layout(binding = 2) readonly buffer Pairs { uint pairs[]; }; /* [256] plane a low, b high */
layout(binding = 3) buffer Sums { int sums[]; };             /* [token][n_blocks][padded_rows] */

#if K == 2
const uint A_ENTRIES = 128, B_ENTRIES = 128;
#elif K == 3
const uint A_ENTRIES = 256, B_ENTRIES = 128;
#else
const uint A_ENTRIES = 256, B_ENTRIES = 256;
#endif

shared uint16_t table_a[A_ENTRIES * COPIES];
shared uint16_t table_b[B_ENTRIES * COPIES];
shared int team_sums[gl_WorkGroupSize.x * 2]; /* [scale block][128]: runs are at most 16 groups */

void fill_tables()
{
    for (uint i = gl_LocalInvocationIndex; i < A_ENTRIES * COPIES; i += gl_WorkGroupSize.x)
        table_a[i] = uint16_t(pairs[i / COPIES]);
    for (uint i = gl_LocalInvocationIndex; i < B_ENTRIES * COPIES; i += gl_WorkGroupSize.x)
        table_b[i] = uint16_t(pairs[i / COPIES] >> 16);
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

    return uint(table_a[a * COPIES + copy]) + uint(table_b[b * COPIES + copy]);
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
    const uint copy = thread % COPIES, n_teams = gl_WorkGroupSize.x / 16;
    const uint first = (gl_WorkGroupID.y * n_teams + team) * run;
    const uint first_block = gl_WorkGroupID.y * n_teams * run / 64;
    const uint first_token = gl_WorkGroupID.z * TOKENS;
    const uint last = min(first + run, n_groups);
    int acc[8][TOKENS];
    uint previous_a = 0, previous_b = 0;
    uint at = (gl_WorkGroupID.x * n_groups + first) * (16 * K) + row;

    fill_tables();
    [[unroll]] for (int i = 0; i < 8; i++)
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            acc[i][t] = 0;
    if (first > 0 && first < n_groups) {
        previous_a = codes[at - 16 * K + (K == 2 ? 0 : 16)];
        previous_b = codes[at - 16];
    }
    barrier();
    for (uint g = first; g < last; g += 4) { /* n_groups is a multiple of 16 */
        uint word[4][K];

        [[unroll]] for (uint j = 0; j < 4; j++)
            [[unroll]] for (uint v = 0; v < K; v++)
                word[j][v] = codes[at + (j * K + v) * 16];
        at += 64 * K;
        [[unroll]] for (uint j = 0; j < 4; j++) {
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
                const uint p = look_up(a[i], b[i], 0, copy) | look_up(a[i], b[i], 1, copy) << 16;
                const uint q = look_up(a[i], b[i], 2, copy) | look_up(a[i], b[i], 3, copy) << 16;
                const uint even = (p & 0x00ff00ffu) | ((q << 8) & 0xff00ff00u);
                const uint odd = ((p >> 8) & 0x00ff00ffu) | (q & 0xff00ff00u);

                [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                    acc[2 * i][t] += multiply(x_word[t], even);
                    acc[2 * i + 1][t] += multiply(x_word[t], odd);
                }
            }
        }
    }
    const uint n_here = n_teams * run / 64; /* scale blocks of this workgroup */
    const uint block = team * run / 64;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        for (uint i = thread; i < n_here * 128; i += gl_WorkGroupSize.x)
            team_sums[i] = 0;
        barrier();
        [[unroll]] for (int i = 0; i < 8; i++)
            atomicAdd(team_sums[block * 128 + 16 * i + row], acc[i][t]);
        barrier();
        for (uint i = thread; i < n_here * 128; i += gl_WorkGroupSize.x) {
            const uint h = first_block + i / 128, token = first_token + t;

            if (h < n_blocks && token < n_tokens)
                sums[(token * n_blocks + h) * padded_rows + gl_WorkGroupID.x * 128 + i % 128] =
                    team_sums[i];
        }
        barrier();
    }
}
