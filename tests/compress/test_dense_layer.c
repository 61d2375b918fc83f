/* test_dense_layer.c -- the backward pass of a layer against differences of its forward pass. */
#include "unit.h"

#include "base/random.h"
#include "compress/dense_layer.h"
#include "compress/gemm.h"

#include <math.h>

enum { WINDOWS = 2, WINDOW = 7, TOKENS = WINDOWS * WINDOW };

/* A small layer with grouped heads, partial rotation and an odd feed-forward width. */
static const struct upg_config config = {.n_layers = 1,
                                         .d_model = 24,
                                         .d_ff = 19,
                                         .n_heads = 4,
                                         .n_kv_heads = 2,
                                         .head_dim = 8,
                                         .rotary_dim = 6,
                                         .n_vocab = 11,
                                         .context = 64,
                                         .rope_theta = 100.0,
                                         .norm_eps = 1e-5};

struct fixture {
    struct upg_arena arena;
    struct upg_pool *pool;
    struct upg_dense_pass pass;
    float *w[6]; /* attention_norm, qkv, o, mlp_norm, gate_up, down */
    size_t n[6];
    float *x, *out, *probe; /* [TOKENS, d_model] */
    float *linear_grad[4], *norm_grad[2];
};

static void fill(float *x, size_t n, double scale, double offset, struct upg_random *random)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(offset + scale * (2.0 * upg_random_unit(random) - 1.0));
}

static struct upg_dense_weights weights_of(const struct fixture *f)
{
    return (struct upg_dense_weights){f->w[0], f->w[1], f->w[2], f->w[3], f->w[4], f->w[5]};
}

static void set_up(struct fixture *f, size_t n_threads)
{
    const size_t n_qkv = (config.n_heads + 2 * config.n_kv_heads) * config.head_dim;
    const size_t n[6] = {
        config.d_model, n_qkv * config.d_model,           config.d_model * 32,
        config.d_model, 2 * config.d_ff * config.d_model, config.d_model * config.d_ff};
    struct upg_random random = {42};
    upg_error err;

    memset(f, 0, sizeof *f);
    upg_gemm_init(UPG_GEMM_FLOAT32); /* differences need all digits */
    assert_ok(upg_pool_new(&f->pool, n_threads, &err), err);
    assert_ok(upg_dense_pass_init(&f->pass, &config, f->pool, WINDOWS, WINDOW, UPG_DENSE_GRADIENTS,
                                  &f->arena, &err),
              err);
    for (size_t i = 0; i < 6; i++) {
        const int is_norm = i == 0 || i == 3;
        f->n[i] = n[i];
        f->w[i] = upg_arena_alloc(&f->arena, n[i], sizeof(float));
        fill(f->w[i], n[i], 0.4, is_norm ? 1.0 : 0.0, &random);
    }
    f->x = upg_arena_alloc(&f->arena, TOKENS * config.d_model, sizeof(float));
    f->out = upg_arena_alloc(&f->arena, TOKENS * config.d_model, sizeof(float));
    f->probe = upg_arena_alloc(&f->arena, TOKENS * config.d_model, sizeof(float));
    fill(f->x, TOKENS * config.d_model, 1.0, 0.0, &random);
    fill(f->probe, TOKENS * config.d_model, 1.0, 0.0, &random);
}

static void tear_down(struct fixture *f)
{
    upg_pool_free(f->pool);
    upg_arena_clear(&f->arena);
}

/* The loss whose gradient at the output is `probe`. */
static double loss(struct fixture *f)
{
    const struct upg_dense_weights weights = weights_of(f);
    double sum = 0.0;

    upg_dense_forward(&f->pass, &weights, f->x, f->out);
    for (size_t i = 0; i < TOKENS * config.d_model; i++)
        sum += (double)f->out[i] * (double)f->probe[i];
    return sum;
}

/* d loss / d *value, by a central difference. */
static double slope(struct fixture *f, float *value)
{
    const float keep = *value, step = 1e-2f;
    double up, down;

    *value = keep + step;
    up = loss(f);
    *value = keep - step;
    down = loss(f);
    *value = keep;
    return (up - down) / (double)(2.0f * step);
}

/* dW = dy^T x of the four linear maps, into linear_grad. */
static void keep_linear(void *context, enum upg_linear_kind kind, const float *x, const float *y,
                        const float *dy, const float *dx, size_t n_tokens)
{
    static const size_t weight_of[] = {1, 2, 4, 5};
    struct fixture *f = context;
    const size_t n_in = kind == UPG_LINEAR_O ? 32 : kind == UPG_LINEAR_DOWN ? 19 : 24;
    const size_t n_out = f->n[weight_of[kind]] / n_in;

    assert_non_null(y);
    assert_non_null(dx);
    f->linear_grad[kind] = upg_arena_alloc(&f->arena, n_out * n_in, sizeof(float));
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_out; r++)
            for (size_t c = 0; c < n_in; c++)
                f->linear_grad[kind][r * n_in + c] += dy[t * n_out + r] * x[t * n_in + c];
}

static void keep_norm(void *context, int is_mlp, const float *gradient)
{
    struct fixture *f = context;

    f->norm_grad[is_mlp] = upg_arena_alloc(&f->arena, config.d_model, sizeof(float));
    memcpy(f->norm_grad[is_mlp], gradient, config.d_model * sizeof(float));
}

static void check(struct fixture *f, const char *name, float *values, const float *gradient,
                  size_t n)
{
    for (size_t i = 0; i < n; i += 1 + n / 40) {
        const double expected = slope(f, &values[i]);
        const double got = (double)gradient[i];
        if (fabs(got - expected) > 2e-2 * (0.2 + fabs(expected)))
            fail_msg("%s[%zu]: gradient %g, difference quotient %g", name, i, got, expected);
    }
}

static void backward_is_the_slope_of_forward(void **state)
{
    const struct upg_gradient_visitor visitor = {NULL, keep_linear, keep_norm};
    struct upg_gradient_visitor with_context = visitor;
    struct fixture f;
    struct upg_dense_weights weights;
    float *d_x;
    (void)state;

    set_up(&f, 2);
    weights = weights_of(&f);
    d_x = upg_arena_alloc(&f.arena, TOKENS * config.d_model, sizeof(float));
    memcpy(d_x, f.probe, TOKENS * config.d_model * sizeof(float));
    with_context.context = &f;
    loss(&f);
    upg_dense_backward(&f.pass, &weights, f.x, d_x, &with_context);

    check(&f, "x", f.x, d_x, TOKENS * config.d_model);
    check(&f, "attention_norm", f.w[0], f.norm_grad[0], f.n[0]);
    check(&f, "qkv", f.w[1], f.linear_grad[UPG_LINEAR_QKV], f.n[1]);
    check(&f, "o", f.w[2], f.linear_grad[UPG_LINEAR_O], f.n[2]);
    check(&f, "mlp_norm", f.w[3], f.norm_grad[1], f.n[3]);
    check(&f, "gate_up", f.w[4], f.linear_grad[UPG_LINEAR_GATE_UP], f.n[4]);
    check(&f, "down", f.w[5], f.linear_grad[UPG_LINEAR_DOWN], f.n[5]);
    tear_down(&f);
}

static void thread_count_does_not_change_a_bit(void **state)
{
    struct fixture one, three;
    float *d_one, *d_three;
    (void)state;

    set_up(&one, 1);
    set_up(&three, 3);
    assert_true(loss(&one) == loss(&three));
    d_one = upg_arena_alloc(&one.arena, TOKENS * config.d_model, sizeof(float));
    d_three = upg_arena_alloc(&three.arena, TOKENS * config.d_model, sizeof(float));
    memcpy(d_one, one.probe, TOKENS * config.d_model * sizeof(float));
    memcpy(d_three, one.probe, TOKENS * config.d_model * sizeof(float));
    upg_dense_backward(
        &one.pass,
        &(struct upg_dense_weights){one.w[0], one.w[1], one.w[2], one.w[3], one.w[4], one.w[5]},
        one.x, d_one, NULL);
    upg_dense_backward(&three.pass,
                       &(struct upg_dense_weights){three.w[0], three.w[1], three.w[2], three.w[3],
                                                   three.w[4], three.w[5]},
                       three.x, d_three, NULL);
    assert_memory_equal(d_one, d_three, TOKENS * config.d_model * sizeof(float));
    tear_down(&one);
    tear_down(&three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backward_is_the_slope_of_forward),
        cmocka_unit_test(thread_count_does_not_change_a_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
