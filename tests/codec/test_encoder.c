/* test_encoder.c -- the encoder: quality as stored, agreement with the decoder and among tiers. */
#include "base/arena.h"
#include "codec/encoder.h"
#include "gaussian.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_COLS = 4096 };

/* One row block encoded from left to right. */
struct encoded {
    uint8_t codes[MAX_COLS / 4 * 64 * 4];
    int8_t values[UPG_ROW_BLOCK][MAX_COLS]; /* as the encoder reports them */
};

static struct encoded *encode(int k, const char *tier, const float *targets, size_t n_cols,
                              size_t n_commit, size_t look_ahead)
{
    const size_t n_groups = n_cols / UPG_COL_GROUP;
    struct encoded *encoded = upg_aligned_alloc(1, sizeof *encoded);
    int8_t *values = malloc(UPG_ROW_BLOCK * n_commit * UPG_COL_GROUP);
    struct upg_encoder *encoder;
    struct upg_lanes lanes = {{0}};

    assert_non_null(encoded);
    assert_non_null(values);
    assert_int_equal(upg_encoder_new(&encoder, k, n_commit + look_ahead, tier, NULL), UPG_OK);
    for (size_t group = 0; group < n_groups; group += n_commit) {
        const size_t rest = n_groups - group, n = rest < n_commit ? rest : n_commit;
        const size_t n_known = rest < n + look_ahead ? rest : n + look_ahead;
        const size_t width = n * UPG_COL_GROUP;

        assert_int_equal(upg_encoder_commit(encoder, &lanes, targets + group * UPG_COL_GROUP,
                                            n_cols, n, n_known,
                                            encoded->codes + group * 64 * (size_t)k, values, NULL),
                         UPG_OK);
        for (size_t row = 0; row < UPG_ROW_BLOCK; row++)
            memcpy(&encoded->values[row][group * UPG_COL_GROUP], values + row * width, width);
    }
    upg_encoder_free(encoder);
    free(values);
    return encoded;
}

/* Mean squared error of what the scalar decoder makes of the bytes; also checks the values. */
static double stored_error(int k, const struct encoded *encoded, const float *targets,
                           size_t n_cols)
{
    double sum = 0;

    for (size_t group = 0; group < n_cols / UPG_COL_GROUP; group++) {
        const uint8_t *block = encoded->codes + group * 64 * (size_t)k;
        int8_t v[UPG_ROW_BLOCK][UPG_COL_GROUP];

        upg_decode_block(k, block, group ? block - 64 * k : NULL, v);
        for (size_t row = 0; row < UPG_ROW_BLOCK; row++)
            for (size_t c = 0; c < UPG_COL_GROUP; c++) {
                const size_t col = group * UPG_COL_GROUP + c;
                const double error = (double)targets[row * n_cols + col] - v[row][c];
                assert_int_equal(v[row][c], encoded->values[row][col]);
                sum += error * error;
            }
    }
    return sum / (double)(UPG_ROW_BLOCK * n_cols);
}

/* Shannon's bound is 4^-k: 0.0625, 0.0156, 0.0039; the best scalar quantizers (Lloyd 1957, Max
 * 1960) reach 0.1175, 0.0345, 0.0095. */
static void gaussian_error_stays_below_the_promise(void **state)
{
    (void)state;
    static const double promise[] = {0.0727, 0.0190, 0.0052};
    const struct upg_effort *normal = upg_effort_of("normal");
    float *targets = malloc(UPG_ROW_BLOCK * MAX_COLS * sizeof *targets);

    for (int k = 2; k <= 4; k++) {
        const double sigma = (double)upg_code_of(k)->sigma;
        fill_gaussian(targets, UPG_ROW_BLOCK * MAX_COLS, sigma, 4096);
        struct encoded *encoded =
            encode(k, NULL, targets, MAX_COLS, normal->commit_groups, normal->look_ahead_groups);
        const double mse = stored_error(k, encoded, targets, MAX_COLS) / (sigma * sigma);
        assert_true(mse <= promise[k - 2]);
        assert_true(mse > pow(4, -k));
        free(encoded);
    }
    free(targets);
}

static void more_effort_gives_less_error(void **state)
{
    (void)state;
    enum { COLS = 1024 };
    static const char *names[] = {"fast", "normal", "best"};
    float *targets = malloc(UPG_ROW_BLOCK * COLS * sizeof *targets);
    double previous = 1;

    fill_gaussian(targets, UPG_ROW_BLOCK * COLS, (double)upg_code_of(3)->sigma, 1);
    for (size_t i = 0; i < 3; i++) {
        const struct upg_effort *effort = upg_effort_of(names[i]);
        struct encoded *encoded =
            encode(3, NULL, targets, COLS, effort->commit_groups, effort->look_ahead_groups);
        const double mse = stored_error(3, encoded, targets, COLS) / 385;
        assert_true(mse < previous);
        previous = mse;
        free(encoded);
    }
    assert_null(upg_effort_of("heroic"));
    free(targets);
}

enum { N_PATTERNS = 6 };

/* Inputs on which an encoder of 16-bit costs may go wrong. */
static void fill_pattern(float *x, size_t n, int pattern)
{
    fill_gaussian(x, n, 19, (uint64_t)pattern);
    for (size_t i = 0; i < n; i++)
        switch (pattern) {
        case 0: break;                                        /* what it is made for */
        case 1: x[i] = 0; break;                              /* padding */
        case 2: x[i] = i % 2 ? 3e38F : -3e38F; break;         /* far outside, alternating */
        case 3: x[i] = i % 97 == 0 ? x[i] * 50 : x[i]; break; /* outliers */
        case 4: x[i] *= 4; break;                             /* scale too small */
        default: x[i] = 1e-20F; break;                        /* scale too large */
        }
}

static void all_tiers_give_the_same_codes(void **state)
{
    (void)state;
    enum { COLS = 32 };
    static const char *tiers[] = {"neon", "avx2", "avx512"};
    float targets[UPG_ROW_BLOCK * COLS];

    for (int k = 2; k <= 4; k++)
        for (int pattern = 0; pattern < N_PATTERNS; pattern++) {
            fill_pattern(targets, UPG_ROW_BLOCK * COLS, pattern);
            struct encoded *reference = encode(k, "scalar", targets, COLS, 3, 4);
            stored_error(k, reference, targets, COLS);
            for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
                struct encoded *encoded = encode(k, tiers[i], targets, COLS, 3, 4);
                assert_memory_equal(reference, encoded, sizeof *reference);
                free(encoded);
            }
            free(reference);
        }
}

/* Targets out of reach are met by the largest values there are. */
static void outliers_are_clipped_not_wrapped(void **state)
{
    (void)state;
    enum { COLS = 64 };
    float targets[UPG_ROW_BLOCK * COLS];

    for (int k = 2; k <= 4; k++) {
        fill_gaussian(targets, UPG_ROW_BLOCK * COLS, (double)upg_code_of(k)->sigma, 5);
        for (size_t i = 0; i < UPG_ROW_BLOCK * COLS; i += 31)
            targets[i] = i % 2 ? 1e9F : -1e9F;
        struct encoded *encoded = encode(k, NULL, targets, COLS, 16, 0);
        double mean = 0;
        size_t n = 0;
        for (size_t i = 0; i < UPG_ROW_BLOCK * COLS; i += 31, n++)
            mean += (i % 2 ? 1 : -1) * encoded->values[i / COLS][i % COLS];
        assert_true(mean / (double)n > 1.5 * (double)upg_code_of(k)->sigma);
        free(encoded);
    }
}

/* Lanes carry all that a row block remembers. */
static void row_blocks_may_take_turns_on_one_encoder(void **state)
{
    (void)state;
    enum { COLS = 128, HALF = COLS / UPG_COL_GROUP / 2, BYTES = HALF * 64 * 3 };
    float *targets[2];
    struct encoded *alone[2];
    uint8_t *codes = malloc(2 * 2 * BYTES);
    struct upg_lanes lanes[2] = {{{0}}, {{0}}};
    struct upg_encoder *encoder;

    assert_int_equal(upg_encoder_new(&encoder, 3, HALF, NULL, NULL), UPG_OK);
    for (size_t i = 0; i < 2; i++) {
        targets[i] = malloc(UPG_ROW_BLOCK * COLS * sizeof(float));
        fill_gaussian(targets[i], UPG_ROW_BLOCK * COLS, 19, i);
        alone[i] = encode(3, NULL, targets[i], COLS, HALF, 0);
    }
    for (size_t half = 0; half < 2; half++)
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(upg_encoder_commit(encoder, &lanes[i], targets[i] + half * COLS / 2,
                                                COLS, HALF, HALF, codes + (2 * i + half) * BYTES,
                                                NULL, NULL),
                             UPG_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(codes + 2 * i * BYTES, alone[i]->codes, 2 * BYTES);
        free(targets[i]);
        free(alone[i]);
    }
    upg_encoder_free(encoder);
    free(codes);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    float targets[UPG_ROW_BLOCK * UPG_COL_GROUP] = {0};
    uint8_t block[64 * 3] = {7};
    struct upg_lanes lanes = {{0}}, before;
    struct upg_encoder *encoder = NULL;
    upg_error err;

    assert_int_equal(upg_encoder_new(&encoder, 5, 1, NULL, &err), UPG_ERR_ARGUMENT);
    assert_null(encoder);
    assert_int_equal(upg_encoder_new(&encoder, 3, 1, "mmx", &err), UPG_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "mmx"));
    assert_int_equal(upg_encoder_new(&encoder, 3, SIZE_MAX / 16, NULL, &err), UPG_ERR_MEMORY);
    assert_int_equal(upg_encoder_new(&encoder, 3, 1, NULL, NULL), UPG_OK);
    assert_int_equal(upg_encoder_commit(encoder, &lanes, targets, 4, 2, 2, block, NULL, &err),
                     UPG_ERR_ARGUMENT);
    lanes.state[9] = 3;
    before = lanes;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        targets[77] = bad[i];
        assert_int_equal(upg_encoder_commit(encoder, &lanes, targets, 4, 1, 1, block, NULL, &err),
                         UPG_ERR_ARGUMENT);
        assert_memory_equal(&lanes, &before, sizeof lanes);
        assert_int_equal(block[0], 7);
    }
    upg_encoder_free(encoder);
    upg_encoder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaussian_error_stays_below_the_promise),
        cmocka_unit_test(more_effort_gives_less_error),
        cmocka_unit_test(all_tiers_give_the_same_codes),
        cmocka_unit_test(outliers_are_clipped_not_wrapped),
        cmocka_unit_test(row_blocks_may_take_turns_on_one_encoder),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
