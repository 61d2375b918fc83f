/* test_kv_codes.c -- keys and values come back as exactly as their type promises. */
#include "unit.h"

#include "base/half.h"
#include "base/random.h"
#include "engine/kv_codes.h"

#include <math.h>
#include <stdlib.h>

enum {
    HEAD = 128,
    GUARD = 64,
    HALF_GROUP = UPG_KV_GROUP / 2,
    SCALE_BYTES = UPG_KV_BLOCK * (HEAD / UPG_KV_GROUP) * 2
};

/* A side between guard bytes, and what was stored in it. */
struct fixture {
    uint8_t *memory; /* [GUARD + n_bytes + GUARD] */
    size_t n_bytes;
    float x[UPG_KV_BLOCK][HEAD];
};

static void setup(struct fixture *f, upg_kv_type type)
{
    struct upg_random random = {7};

    assert_true(upg_kv_side_bytes(type, HEAD, &f->n_bytes));
    assert_int_equal(f->n_bytes % 64, 0);
    f->memory = upg_aligned_alloc(f->n_bytes + 2 * GUARD, 1);
    assert_non_null(f->memory);
    memset(f->memory, 0xA5, GUARD);
    memset(f->memory + GUARD + f->n_bytes, 0xA5, GUARD);
    for (size_t t = 0; t < UPG_KV_BLOCK; t++)
        for (size_t i = 0; i < HEAD; i++) /* magnitudes from 2^-12 to 2^7 in different tokens */
            f->x[t][i] = (float)((upg_random_unit(&random) - 0.5) * ldexp(1, (int)(t % 20) - 12));
}

static void teardown(struct fixture *f)
{
    for (size_t i = 0; i < GUARD; i++)
        assert_true(f->memory[i] == 0xA5 && f->memory[GUARD + f->n_bytes + i] == 0xA5);
    free(f->memory);
}

/* ---- A decoder; the layout is in kernels.h ---- */

/* Keys [UPG_KV_BLOCK, HEAD] of a coded side. */
static void load_keys(upg_kv_type type, const void *side, float *out)
{
    const size_t n = UPG_KV_BLOCK * (HEAD / UPG_KV_GROUP);
    const uint16_t *scales = side;
    const uint8_t *codes = (const uint8_t *)side + SCALE_BYTES;

    for (size_t index = 0; index < n; index++, out += UPG_KV_GROUP) { /* token and group */
        const float scale = upg_f16_to_f32(scales[index]);

        if (type == UPG_KV_Q8) {
            const int8_t *q = (const int8_t *)codes + index * UPG_KV_GROUP;

            for (size_t i = 0; i < UPG_KV_GROUP; i++)
                out[i] = (float)q[i] * scale;
        } else {
            const uint8_t *q = codes + index * HALF_GROUP;

            for (size_t i = 0; i < HALF_GROUP; i++) {
                out[i] = ((float)(q[i] & 15) - 7.5f) * scale;
                out[i + HALF_GROUP] = ((float)(q[i] >> 4) - 7.5f) * scale;
            }
        }
    }
}

/* UPG_KV_BLOCK tokens of one value, or in Q4 of two values, with the scales of their group. */
static void load_q8_row(const int8_t *q, const float *scales, float *out)
{
    for (size_t j = 0; j < UPG_KV_BLOCK; j++)
        out[j] = (float)q[j] * scales[j];
}

static void load_q4_rows(const uint8_t *q, const float *scales, float *low, float *high)
{
    for (size_t j = 0; j < UPG_KV_BLOCK; j++) {
        low[j] = ((float)(q[j] & 15) - 7.5f) * scales[j];
        high[j] = ((float)(q[j] >> 4) - 7.5f) * scales[j];
    }
}

/* Values [HEAD, UPG_KV_BLOCK] of a coded side. */
static void load_values(upg_kv_type type, const void *side, float *out)
{
    const uint16_t *stored = side;
    const uint8_t *codes = (const uint8_t *)side + SCALE_BYTES;

    for (size_t g = 0; g < HEAD / UPG_KV_GROUP; g++) {
        float scales[UPG_KV_BLOCK];
        float *rows = out + g * UPG_KV_GROUP * UPG_KV_BLOCK; /* [UPG_KV_GROUP, UPG_KV_BLOCK] */

        for (size_t j = 0; j < UPG_KV_BLOCK; j++)
            scales[j] = upg_f16_to_f32(stored[g * UPG_KV_BLOCK + j]);
        if (type == UPG_KV_Q8)
            for (size_t i = 0; i < UPG_KV_GROUP; i++)
                load_q8_row((const int8_t *)codes + (g * UPG_KV_GROUP + i) * UPG_KV_BLOCK, scales,
                            rows + i * UPG_KV_BLOCK);
        else
            for (size_t i = 0; i < HALF_GROUP; i++)
                load_q4_rows(codes + (g * HALF_GROUP + i) * UPG_KV_BLOCK, scales,
                             rows + i * UPG_KV_BLOCK, rows + (i + HALF_GROUP) * UPG_KV_BLOCK);
    }
}

/* ---- Tests ---- */

/* Half a step of the group's scale, and the rounding of that scale to float16. */
static float bound(upg_kv_type type, const float *group)
{
    float greatest = 0;

    for (size_t i = 0; i < UPG_KV_GROUP; i++)
        greatest = fmaxf(greatest, fabsf(group[i]));
    return greatest * (type == UPG_KV_Q8 ? 0.5f / 127 : 0.5f / 7.5f) * 1.01f + greatest * 0x1p-10f +
           0x1p-18f;
}

static void coded_values_are_within_half_a_step(void **state)
{
    const upg_kv_type types[] = {UPG_KV_Q8, UPG_KV_Q4};

    (void)state;
    for (size_t n = 0; n < 2; n++) {
        static float keys[UPG_KV_BLOCK][HEAD], values[HEAD][UPG_KV_BLOCK];
        struct fixture k, v;

        setup(&k, types[n]);
        setup(&v, types[n]);
        for (size_t t = UPG_KV_BLOCK; t-- > 0;) { /* any order */
            upg_kv_store_key(types[n], k.memory + GUARD, HEAD, t, k.x[t]);
            upg_kv_store_value(types[n], v.memory + GUARD, HEAD, t, v.x[t]);
        }
        load_keys(types[n], k.memory + GUARD, *keys);
        load_values(types[n], v.memory + GUARD, *values);
        for (size_t t = 0; t < UPG_KV_BLOCK; t++)
            for (size_t i = 0; i < HEAD; i++) {
                const float limit = bound(types[n], &k.x[t][i - i % UPG_KV_GROUP]);

                assert_true(fabsf(keys[t][i] - k.x[t][i]) <= limit);
                assert_true(fabsf(values[i][t] - v.x[t][i]) <= limit);
            }
        teardown(&k);
        teardown(&v);
    }
}

/* Threads store the tokens of a block side by side. */
static void storing_a_token_leaves_its_neighbours_alone(void **state)
{
    const upg_kv_type types[] = {UPG_KV_Q8, UPG_KV_Q4};

    (void)state;
    for (size_t n = 0; n < 2; n++) {
        static float before[HEAD][UPG_KV_BLOCK], after[HEAD][UPG_KV_BLOCK];
        struct fixture f;

        setup(&f, types[n]);
        for (size_t t = 0; t < UPG_KV_BLOCK; t++)
            upg_kv_store_value(types[n], f.memory + GUARD, HEAD, t, f.x[t]);
        load_values(types[n], f.memory + GUARD, *before);
        upg_kv_store_value(types[n], f.memory + GUARD, HEAD, 9, f.x[30]);
        load_values(types[n], f.memory + GUARD, *after);
        for (size_t i = 0; i < HEAD; i++)
            for (size_t t = 0; t < UPG_KV_BLOCK; t++)
                assert_true(after[i][t] == before[i][t == 9 ? 30 : t]);
        teardown(&f);
    }
}

static void a_value_that_is_no_number_shows(void **state)
{
    const upg_kv_type types[] = {UPG_KV_Q8, UPG_KV_Q4};

    (void)state;
    for (size_t n = 0; n < 2; n++) {
        static float keys[UPG_KV_BLOCK][HEAD];
        struct fixture f;

        setup(&f, types[n]);
        memset(f.memory + GUARD, 0, f.n_bytes);
        f.x[3][40] = n ? NAN : INFINITY;
        upg_kv_store_key(types[n], f.memory + GUARD, HEAD, 3, f.x[3]);
        load_keys(types[n], f.memory + GUARD, *keys);
        for (size_t i = 0; i < HEAD; i++)
            assert_int_equal(isnan(keys[3][i]) != 0, i / UPG_KV_GROUP == 1);
        teardown(&f);
    }
}

static void zeros_stay_zero_in_eight_bits(void **state)
{
    static float keys[UPG_KV_BLOCK][HEAD];
    const float zero[HEAD] = {0};
    struct fixture f;

    (void)state;
    setup(&f, UPG_KV_Q8);
    memset(f.memory + GUARD, 0, f.n_bytes);
    upg_kv_store_key(UPG_KV_Q8, f.memory + GUARD, HEAD, 0, zero);
    load_keys(UPG_KV_Q8, f.memory + GUARD, *keys);
    for (size_t i = 0; i < HEAD; i++)
        assert_true(keys[0][i] == 0);
    teardown(&f);
}

static void float16_saturates(void **state)
{
    const float x[HEAD] = {1e6f, -1e6f, 1.5f};
    struct fixture f;

    (void)state;
    setup(&f, UPG_KV_F16);
    upg_kv_store_key(UPG_KV_F16, f.memory + GUARD, HEAD, 5, x);
    assert_int_equal(((uint16_t *)(void *)(f.memory + GUARD))[5 * HEAD], 0x7BFF);
    assert_int_equal(((uint16_t *)(void *)(f.memory + GUARD))[5 * HEAD + 1], 0xFBFF);
    assert_int_equal(((uint16_t *)(void *)(f.memory + GUARD))[5 * HEAD + 2], 0x3E00);
    teardown(&f);
}

static void sizes_are_those_of_the_cache_limits(void **state)
{
    const struct {
        upg_kv_type type;
        double bits; /* a value, scales included */
    } cases[] = {{UPG_KV_F32, 32}, {UPG_KV_F16, 16}, {UPG_KV_Q8, 8.5}, {UPG_KV_Q4, 4.5}};
    size_t n_bytes;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(upg_kv_side_bytes(cases[i].type, HEAD, &n_bytes));
        assert_true(8.0 * (double)n_bytes / (UPG_KV_BLOCK * HEAD) == cases[i].bits);
    }
    assert_false(upg_kv_side_bytes(UPG_KV_F32, SIZE_MAX / 8, &n_bytes));
    assert_true(upg_kv_allows(UPG_KV_Q4, 64) && upg_kv_allows(UPG_KV_F16, 96));
    assert_false(upg_kv_allows(UPG_KV_Q8, 96));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coded_values_are_within_half_a_step),
        cmocka_unit_test(storing_a_token_leaves_its_neighbours_alone),
        cmocka_unit_test(a_value_that_is_no_number_shows),
        cmocka_unit_test(zeros_stay_zero_in_eight_bits),
        cmocka_unit_test(float16_saturates),
        cmocka_unit_test(sizes_are_those_of_the_cache_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
