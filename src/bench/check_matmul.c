/* check_matmul.c -- plain matrices against float64 sums.
 *
 * Small integers must come out exactly, whatever the order of summation; other values within the
 * error of n_cols float32 additions.  Each output must be the same bits when its token or its row
 * is alone. */
#include "bench/check.h"

#include "base/half.h"
#include "bench/guarded.h"

#include <math.h>
#include <string.h>

enum { MOST_ROWS = 40, MOST_COLS = 700, MOST_TOKENS = 40, N_SHAPES = 60, N_HALVES = 65536 };

/* One type of weights. */
struct plain {
    size_t weight_bytes;
    void (*run)(const struct upg_kernels *kernels, float *y, size_t y_stride, const void *w,
                const float *row_scale, const float *x, size_t x_stride, size_t n_rows,
                size_t n_cols, size_t n_tokens);
    double (*value)(const void *w, size_t i, float row_scale);
    void (*fill)(struct upg_check *check, void *w, size_t n, enum upg_check_data data);
    void (*fill_integers)(struct upg_check *check, void *w, size_t n);
};

struct shape {
    size_t n_rows, n_cols, n_tokens, x_stride, y_stride;
};

static void run_f32(const struct upg_kernels *kernels, float *y, size_t y_stride, const void *w,
                    const float *row_scale, const float *x, size_t x_stride, size_t n_rows,
                    size_t n_cols, size_t n_tokens)
{
    (void)row_scale;
    kernels->matmul_f32(y, y_stride, w, x, x_stride, n_rows, n_cols, n_tokens);
}

static double value_f32(const void *w, size_t i, float row_scale)
{
    (void)row_scale;
    return (double)((const float *)w)[i];
}

static void fill_f32(struct upg_check *check, void *w, size_t n, enum upg_check_data data)
{
    upg_check_floats(check, w, n, data);
}

static void fill_integers_f32(struct upg_check *check, void *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((float *)w)[i] = (float)upg_check_int(check, -8, 8);
}

static void run_bf16(const struct upg_kernels *kernels, float *y, size_t y_stride, const void *w,
                     const float *row_scale, const float *x, size_t x_stride, size_t n_rows,
                     size_t n_cols, size_t n_tokens)
{
    (void)row_scale;
    kernels->matmul_bf16(y, y_stride, w, x, x_stride, n_rows, n_cols, n_tokens);
}

static double value_bf16(const void *w, size_t i, float row_scale)
{
    (void)row_scale;
    return (double)upg_bf16_to_f32(((const uint16_t *)w)[i]);
}

static void fill_bf16(struct upg_check *check, void *w, size_t n, enum upg_check_data data)
{
    for (size_t i = 0; i < n; i++) {
        float value;
        upg_check_floats(check, &value, 1, data);
        ((uint16_t *)w)[i] = upg_f32_to_bf16(value);
    }
}

static void fill_integers_bf16(struct upg_check *check, void *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)w)[i] = upg_f32_to_bf16((float)upg_check_int(check, -8, 8));
}

static void run_f16(const struct upg_kernels *kernels, float *y, size_t y_stride, const void *w,
                    const float *row_scale, const float *x, size_t x_stride, size_t n_rows,
                    size_t n_cols, size_t n_tokens)
{
    (void)row_scale;
    kernels->matmul_f16(y, y_stride, w, x, x_stride, n_rows, n_cols, n_tokens);
}

static double value_f16(const void *w, size_t i, float row_scale)
{
    (void)row_scale;
    return (double)upg_f16_to_f32(((const uint16_t *)w)[i]);
}

static void fill_f16(struct upg_check *check, void *w, size_t n, enum upg_check_data data)
{
    static const uint16_t extremes[] = {0x7BFF, 0xFBFF, 0x0001, 0x8001, 0x0000, 0x0400};

    for (size_t i = 0; i < n; i++) {
        float value;
        upg_check_floats(check, &value, 1, data);
        ((uint16_t *)w)[i] =
            data == DATA_EXTREME ? extremes[upg_check_int(check, 0, 5)] : upg_f32_to_f16(value);
    }
}

static void fill_integers_f16(struct upg_check *check, void *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)w)[i] = upg_f32_to_f16((float)upg_check_int(check, -8, 8));
}

static void run_i8(const struct upg_kernels *kernels, float *y, size_t y_stride, const void *w,
                   const float *row_scale, const float *x, size_t x_stride, size_t n_rows,
                   size_t n_cols, size_t n_tokens)
{
    kernels->matmul_i8_rows(y, y_stride, w, row_scale, x, x_stride, n_rows, n_cols, n_tokens);
}

static double value_i8(const void *w, size_t i, float row_scale)
{
    return (double)upg_bf16_to_f32(upg_f32_to_bf16((float)((const int8_t *)w)[i] * row_scale));
}

static void fill_i8(struct upg_check *check, void *w, size_t n, enum upg_check_data data)
{
    upg_check_bytes(check, w, n, data);
}

static void fill_integers_i8(struct upg_check *check, void *w, size_t n)
{
    upg_check_bytes(check, w, n, DATA_RANDOM);
}

static struct shape random_shape(struct upg_check *check)
{
    struct shape shape = {.n_rows = (size_t)upg_check_int(check, 1, MOST_ROWS),
                          .n_cols = (size_t)upg_check_int(check, 1, 70),
                          .n_tokens = (size_t)upg_check_int(check, 1, 17)};

    if (upg_check_int(check, 0, 2) == 0)
        shape.n_cols = (size_t)upg_check_int(check, 1, MOST_COLS);
    if (upg_check_int(check, 0, 5) == 0)
        shape.n_tokens = (size_t)upg_check_int(check, 18, MOST_TOKENS);
    if (upg_check_int(check, 0, 2) == 0)
        shape.n_tokens = 1;
    shape.x_stride = shape.n_cols + (size_t)upg_check_int(check, 0, 3);
    shape.y_stride = shape.n_rows + (size_t)upg_check_int(check, 0, 3);
    return shape;
}

/* The y of one case against float64; tolerance in units of sum |w x|. */
static void compare(struct upg_check *check, const struct plain *plain, const struct shape *shape,
                    const float *y, const void *w, const float *row_scale, const float *x,
                    double tolerance)
{
    for (size_t t = 0; t < shape->n_tokens; t++)
        for (size_t r = 0; r < shape->n_rows; r++) {
            double sum = 0, size = 0;
            for (size_t c = 0; c < shape->n_cols; c++) {
                const double product = plain->value(w, r * shape->n_cols + c, row_scale[r]) *
                                       (double)x[t * shape->x_stride + c];
                sum += product;
                size += fabs(product);
            }
            const double got = (double)y[t * shape->y_stride + r];
            if (!(fabs(got - sum) <= tolerance * size + 1e-43)) {
                upg_check_failed(check, "row %zu, token %zu is %.9g instead of %.9g", r, t, got,
                                 sum);
                return;
            }
        }
}

/* Rows and tokens alone give the bits that they have together. */
static void compare_alone(struct upg_check *check, const struct plain *plain,
                          const struct shape *shape, const float *y, const void *w,
                          const float *row_scale, const float *x)
{
    for (size_t t = 0; t < shape->n_tokens; t++) {
        float alone[MOST_ROWS];
        plain->run(check->kernels, alone, shape->n_rows, w, row_scale, x + t * shape->x_stride,
                   shape->x_stride, shape->n_rows, shape->n_cols, 1);
        if (!upg_check_same(check, alone, y + t * shape->y_stride, shape->n_rows))
            return;
    }
    for (size_t r = 0; r < shape->n_rows; r++) {
        const char *row = (const char *)w + r * shape->n_cols * plain->weight_bytes;
        float alone[MOST_TOKENS];
        plain->run(check->kernels, alone, 1, row, row_scale + r, x, shape->x_stride, 1,
                   shape->n_cols, shape->n_tokens);
        for (size_t t = 0; t < shape->n_tokens; t++)
            if (!upg_check_same(check, alone + t, y + t * shape->y_stride + r, 1))
                return;
    }
}

/* Strides leave gaps, which stay as they were. */
static void compare_gaps(struct upg_check *check, const struct shape *shape, const float *y)
{
    for (size_t t = 0; t + 1 < shape->n_tokens; t++)
        for (size_t i = shape->n_rows; i < shape->y_stride; i++)
            if (*(const uint8_t *)&y[t * shape->y_stride + i] != UPG_GUARD_BYTE)
                upg_check_failed(check, "wrote between the rows of y");
}

struct buffers {
    struct upg_guarded w, row_scale, x, y;
};

static void check_shape(struct upg_check *check, const struct plain *plain, struct buffers *buffers,
                        const struct shape *shape, bool integers, enum upg_check_data data)
{
    const size_t n_weights = shape->n_rows * shape->n_cols;
    const size_t n_x = (shape->n_tokens - 1) * shape->x_stride + shape->n_cols;
    const size_t n_y = (shape->n_tokens - 1) * shape->y_stride + shape->n_rows;
    void *w = upg_guarded_place(&buffers->w, n_weights, plain->weight_bytes, plain->weight_bytes);
    float *row_scale = upg_guarded_place(&buffers->row_scale, shape->n_rows, sizeof(float), 4);
    float *x = upg_guarded_place(&buffers->x, n_x, sizeof(float), 4);
    float *y = upg_guarded_place(&buffers->y, n_y, sizeof(float), 4);

    upg_check_case(check, "%zu x %zu, %zu tokens, %s", shape->n_rows, shape->n_cols,
                   shape->n_tokens, integers ? "integers" : upg_check_data_name(data));
    if (integers) {
        plain->fill_integers(check, w, n_weights);
        fill_integers_f32(check, x, n_x);
        for (size_t r = 0; r < shape->n_rows; r++)
            row_scale[r] = ldexpf(1, upg_check_int(check, -3, 0));
    } else {
        plain->fill(check, w, n_weights, data);
        upg_check_floats(check, x, n_x, data);
        upg_check_floats(check, row_scale, shape->n_rows, DATA_RANDOM);
    }

    plain->run(check->kernels, y, shape->y_stride, w, row_scale, x, shape->x_stride, shape->n_rows,
               shape->n_cols, shape->n_tokens);
    compare(check, plain, shape, y, w, row_scale, x,
            integers ? 0 : 0x1p-24 * (double)(shape->n_cols + 2));
    compare_alone(check, plain, shape, y, w, row_scale, x);
    compare_gaps(check, shape, y);
    if (!upg_guarded_intact(&buffers->w) || !upg_guarded_intact(&buffers->row_scale) ||
        !upg_guarded_intact(&buffers->x) || !upg_guarded_intact(&buffers->y))
        upg_check_failed(check, "wrote outside y");
}

static void check_plain(struct upg_check *check, const struct plain *plain)
{
    struct buffers buffers;

    upg_guarded_init(check, &buffers.w, (size_t)MOST_ROWS * MOST_COLS * plain->weight_bytes);
    upg_guarded_init(check, &buffers.row_scale, MOST_ROWS * sizeof(float));
    upg_guarded_init(check, &buffers.x, (size_t)MOST_TOKENS * (MOST_COLS + 3) * sizeof(float));
    upg_guarded_init(check, &buffers.y, (size_t)MOST_TOKENS * (MOST_ROWS + 3) * sizeof(float));
    for (size_t i = 0; i < upg_check_count(check, N_SHAPES); i++) {
        const struct shape shape = random_shape(check);
        check_shape(check, plain, &buffers, &shape, true, DATA_RANDOM);
        for (enum upg_check_data data = 0; data < N_DATA; data++)
            check_shape(check, plain, &buffers, &shape, false, data);
    }
    upg_guarded_clear(&buffers.w);
    upg_guarded_clear(&buffers.row_scale);
    upg_guarded_clear(&buffers.x);
    upg_guarded_clear(&buffers.y);
}

/* All 65536 bit patterns of a 16-bit type, as a matrix of one column times 1. */
static void check_every_half(struct upg_check *check, const struct plain *plain)
{
    static uint16_t w[N_HALVES];
    static float y[N_HALVES], expected[N_HALVES];
    const float one = 1;

    for (size_t i = 0; i < N_HALVES; i++) {
        w[i] = (uint16_t)i;
        expected[i] = (float)plain->value(w, i, 1) + 0.0F; /* a sum that begins at 0 has no -0 */
    }
    upg_check_case(check, "every bit pattern times 1");
    plain->run(check->kernels, y, N_HALVES, w, NULL, &one, 1, N_HALVES, 1, 1);
    upg_check_same(check, expected, y, N_HALVES);
}

void upg_check_matmul_f32(struct upg_check *check)
{
    static const struct plain plain = {4, run_f32, value_f32, fill_f32, fill_integers_f32};

    check_plain(check, &plain);
}

void upg_check_matmul_bf16(struct upg_check *check)
{
    static const struct plain plain = {2, run_bf16, value_bf16, fill_bf16, fill_integers_bf16};

    check_plain(check, &plain);
    check_every_half(check, &plain);
}

void upg_check_matmul_f16(struct upg_check *check)
{
    static const struct plain plain = {2, run_f16, value_f16, fill_f16, fill_integers_f16};

    check_plain(check, &plain);
    check_every_half(check, &plain);
}

/* Every byte with scales of many sizes: the rounding to bf16 is exact. */
void upg_check_matmul_i8_rows(struct upg_check *check)
{
    static const struct plain plain = {1, run_i8, value_i8, fill_i8, fill_integers_i8};
    enum { N_SCALES = 40 };
    int8_t w[256];
    float row_scale[256], y[256], expected[256];
    const float one = 1;

    check_plain(check, &plain);
    for (int s = 0; s < N_SCALES; s++) {
        const float scale =
            ldexpf((float)upg_check_int(check, 1 << 23, (1 << 24) - 1), s * 5 - 150);
        for (size_t i = 0; i < 256; i++) {
            w[i] = (int8_t)((int)i - 128);
            row_scale[i] = i % 2 ? scale : -scale;
            expected[i] = (float)value_i8(w, i, row_scale[i]) + 0.0F;
        }
        upg_check_case(check, "every byte, scale %a", (double)scale);
        run_i8(check->kernels, y, 256, w, row_scale, &one, 1, 256, 1, 1);
        upg_check_same(check, expected, y, 256);
    }
}
