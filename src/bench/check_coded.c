/* check_coded.c -- products with coded sides of caches, against float64 sums of a decoder that
 * reads the layout anew; each token alone gives the same bits. */
#include "bench/check.h"

#include "base/half.h"
#include "bench/guarded.h"

#include <math.h>

enum { MOST_HEAD = 256, MOST_TOKENS = 70, N_SIDES = 40, SCALES = MOST_HEAD };

struct side {
    bool keys;
    int bits;
    size_t head_dim, n_rows, n_cols;
    const uint16_t *scales;
    const uint8_t *codes;
};

/* The weight of a row and a column; *size receives what its rounding errors are relative to. */
static double value_of(const struct side *s, size_t row, size_t col, double *size)
{
    const size_t token = s->keys ? row : col, i = s->keys ? col : row, group = i / UPG_CODED_GROUP;
    const size_t n_groups = s->head_dim / UPG_CODED_GROUP, in_group = i % UPG_CODED_GROUP;
    const size_t half = in_group % 16;
    const double scale = (double)upg_f16_to_f32(
        s->scales[s->keys ? token * n_groups + group : group * UPG_CODED_TOKENS + token]);
    double code;

    if (s->bits == 8) {
        code = (int8_t)s->codes[s->keys ? token * s->head_dim + i : i * UPG_CODED_TOKENS + token];
        *size = fabs(code * scale);
        return code * scale;
    }
    code = s->codes[s->keys ? (token * n_groups + group) * 16 + half
                            : (group * 16 + half) * UPG_CODED_TOKENS + token];
    code = (double)((int)code >> (in_group < 16 ? 0 : 4) & 15);
    *size = (code + 7.5) * fabs(scale);
    return (code - 7.5) * scale;
}

static void run(const struct upg_check *check, const struct side *s, float *y, size_t y_stride,
                const float *x, size_t x_stride, size_t n_tokens)
{
    (s->keys ? check->kernels->coded_keys : check->kernels->coded_values)(
        y, y_stride, s->bits, s->scales, s->head_dim, x, x_stride, n_tokens);
}

static void compare(struct upg_check *check, const struct side *s, const float *y, size_t y_stride,
                    const float *x, size_t x_stride, size_t n_tokens)
{
    for (size_t t = 0; t < n_tokens; t++) {
        float alone[MOST_HEAD];

        for (size_t r = 0; r < s->n_rows; r++) {
            const double got = (double)y[t * y_stride + r];
            double sum = 0, all = 0, size;
            for (size_t c = 0; c < s->n_cols; c++) {
                const double factor = (double)x[t * x_stride + c];
                sum += value_of(s, r, c, &size) * factor;
                all += size * fabs(factor);
            }
            if (!(fabs(got - sum) <= 0x1p-24 * (double)(s->n_cols + 4) * all + 1e-43)) {
                upg_check_failed(check, "row %zu, token %zu is %.9g instead of %.9g", r, t, got,
                                 sum);
                return;
            }
        }
        run(check, s, alone, MOST_HEAD, x + t * x_stride, x_stride, 1);
        if (!upg_check_same(check, alone, y + t * y_stride, s->n_rows))
            return;
    }
}

static void fill_scales(struct upg_check *check, uint16_t *scales, size_t n,
                        enum upg_check_data data)
{
    for (size_t i = 0; i < n; i++)
        scales[i] = data == DATA_ZERO ? 0
                    : data == DATA_EXTREME
                        ? (uint16_t)upg_check_int(check, 0, 0x7BFF)
                        : upg_f32_to_f16((float)upg_check_int(check, 1, 100) / 99);
}

static void check_side(struct upg_check *check, bool keys, struct upg_guarded *sides,
                       struct upg_guarded *xs, struct upg_guarded *ys, enum upg_check_data data)
{
    static const size_t heads[] = {32, 64, 96, 128, 256};
    struct side s = {.keys = keys,
                     .bits = upg_check_int(check, 0, 1) ? 8 : 4,
                     .head_dim = heads[upg_check_int(check, 0, 4)]};
    const size_t n_tokens =
        (size_t)(upg_check_int(check, 0, 4) ? upg_check_int(check, 1, 9)
                                            : upg_check_int(check, 10, MOST_TOKENS));
    const size_t n_scales = s.head_dim / UPG_CODED_GROUP * UPG_CODED_TOKENS;
    const size_t n_codes = s.head_dim * UPG_CODED_TOKENS * (size_t)s.bits / 8;
    uint16_t *side =
        upg_guarded_place(sides, (2 * n_scales + n_codes) / 2, sizeof *side, sizeof *side);

    s.n_rows = keys ? UPG_CODED_TOKENS : s.head_dim;
    s.n_cols = keys ? s.head_dim : UPG_CODED_TOKENS;
    s.scales = side;
    s.codes = (const uint8_t *)(side + n_scales);
    const size_t x_stride = s.n_cols + (size_t)upg_check_int(check, 0, 3);
    const size_t y_stride = s.n_rows + (size_t)upg_check_int(check, 0, 3);
    float *x = upg_guarded_place(xs, (n_tokens - 1) * x_stride + s.n_cols, sizeof *x, sizeof *x);
    float *y = upg_guarded_place(ys, (n_tokens - 1) * y_stride + s.n_rows, sizeof *y, sizeof *y);

    upg_check_case(check, "%d bits, heads of %zu, %zu tokens, %s", s.bits, s.head_dim, n_tokens,
                   upg_check_data_name(data));
    fill_scales(check, side, n_scales, data);
    upg_check_bytes(check, side + n_scales, n_codes, data);
    upg_check_floats(check, x, (n_tokens - 1) * x_stride + s.n_cols, data);
    run(check, &s, y, y_stride, x, x_stride, n_tokens);
    compare(check, &s, y, y_stride, x, x_stride, n_tokens);
    for (size_t t = 0; t + 1 < n_tokens; t++)
        for (size_t i = s.n_rows; i < y_stride; i++)
            if (*(const uint8_t *)&y[t * y_stride + i] != UPG_GUARD_BYTE)
                upg_check_failed(check, "wrote between the rows of y");
    if (!upg_guarded_intact(sides) || !upg_guarded_intact(xs) || !upg_guarded_intact(ys))
        upg_check_failed(check, "wrote outside y");
}

static void check_sides(struct upg_check *check, bool keys)
{
    struct upg_guarded sides, xs, ys;

    upg_guarded_init(check, &sides, 2 * SCALES + (size_t)MOST_HEAD * UPG_CODED_TOKENS);
    upg_guarded_init(check, &xs, (size_t)MOST_TOKENS * (MOST_HEAD + 3) * sizeof(float));
    upg_guarded_init(check, &ys, (size_t)MOST_TOKENS * (MOST_HEAD + 3) * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_SIDES); i++)
        for (enum upg_check_data data = 0; data < N_DATA; data++)
            check_side(check, keys, &sides, &xs, &ys, data);
    upg_guarded_clear(&sides);
    upg_guarded_clear(&xs);
    upg_guarded_clear(&ys);
}

void upg_check_coded_keys(struct upg_check *check)
{
    check_sides(check, true);
}

void upg_check_coded_values(struct upg_check *check)
{
    check_sides(check, false);
}
