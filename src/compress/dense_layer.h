/* dense_layer.h -- one decoder layer in float32 over whole windows of text, forward and backward.
 *
 * What the compressor needs and the engine does not have: gradients.  The forward pass is the one
 * of src/engine/forward.c without a cache: every window begins at position 0.  Weights are plain
 * float32; who tunes scales of compressed matrices expands them first.
 *
 * T = n_windows * window rows; all buffers are row-major. */
#ifndef UPG_COMPRESS_DENSE_LAYER_H
#define UPG_COMPRESS_DENSE_LAYER_H

#include "base/pool.h"
#include "engine/observe.h" /* enum upg_linear_kind */
#include "engine/rope.h"
#include "model/model.h"

/* Borrowed weights of a layer. */
struct upg_dense_weights {
    const float *attention_norm; /* [d_model] */
    const float *qkv;            /* [(n_heads + 2 n_kv_heads) head_dim, d_model] */
    const float *o;              /* [d_model, n_heads head_dim] */
    const float *mlp_norm;       /* [d_model] */
    const float *gate_up;        /* [2 d_ff, d_model] */
    const float *down;           /* [d_model, d_ff] */
};

/* Everything a forward pass leaves for its backward pass, and scratch.  One set serves all layers
 * when the forward pass of a layer is run again before its backward pass. */
struct upg_dense_pass {
    const struct upg_config *config;
    struct upg_pool *pool;
    size_t n_windows, window;
    struct upg_rope rope;
    float *cosine, *sine;    /* [window, rotary_dim / 2] */
    float *h1;               /* [T, d_model] rows normed for attention */
    float *qkv_out;          /* [T, (n_heads + 2 n_kv_heads) head_dim] output of qkv */
    float *qkv;              /* the same, q and k rotated */
    float *heads;            /* [T, n_heads head_dim] */
    float *y;                /* [T, d_model] residual stream between attention and MLP */
    float *h2;               /* [T, d_model] rows normed for the MLP */
    float *gate_up;          /* [T, 2 d_ff] */
    float *act;              /* [T, d_ff] */
    float *o_out, *down_out; /* [T, d_model] outputs of o and down, before they are added */
    float *d_h, *d_qkv, *d_heads, *d_gate_up, *d_act; /* gradients, shapes as above */
    float *d_norm;                                    /* [d_model] gradient of a norm's weights */
    float *scores;                                    /* [n_threads, 2, window, window] */
    size_t max_tokens;                                /* T that there is room for */
};

enum upg_dense_gradients { UPG_DENSE_FORWARD_ONLY, UPG_DENSE_GRADIENTS };

/* Buffers for n_windows windows of `window` tokens, in the arena. */
upg_status upg_dense_pass_init(struct upg_dense_pass *pass, const struct upg_config *config,
                               struct upg_pool *pool, size_t n_windows, size_t window,
                               enum upg_dense_gradients gradients, struct upg_arena *arena,
                               upg_error *err);

/* Which of the four linear maps, or norms, a visitor is shown. */
struct upg_gradient_visitor {
    void *context;
    /* Rows x [T, n_in] went in, y [T, n_out] came out (before rotation, before the residual sum);
     * dy [T, n_out] is the loss's gradient there, dx [T, n_in] the one at the input. */
    void (*linear)(void *context, enum upg_linear_kind kind, const float *x, const float *y,
                   const float *dy, const float *dx, size_t n_tokens);
    /* is_mlp: which norm; gradient [d_model] with respect to its weights. */
    void (*norm)(void *context, int is_mlp, const float *gradient);
};

/* The layer in five steps, so that the compressor can replace a map's weights between the moment
 * when its inputs are known and the moment when it is applied:
 *   enter_attention  h1 from x          attend  qkv, heads from h1
 *   enter_mlp        y, h2 from heads   gate    gate_up, act from h2     leave  out from act and y
 */
void upg_dense_enter_attention(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                               const float *x);
void upg_dense_attend(struct upg_dense_pass *pass, const struct upg_dense_weights *weights);
void upg_dense_enter_mlp(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                         const float *x);
void upg_dense_gate(struct upg_dense_pass *pass, const struct upg_dense_weights *weights);
void upg_dense_leave(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                     float *out);

/* All five: out[T, d_model] = layer(x[T, d_model]); out may be x only if no backward pass follows.
 */
void upg_dense_forward(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                       const float *x, float *out);

/* Gradient of the loss: d_out[T, d_model] becomes the gradient with respect to x, in place.  The
 * last call of upg_dense_forward() must have been for the same weights and x. */
void upg_dense_backward(struct upg_dense_pass *pass, const struct upg_dense_weights *weights,
                        const float *x, float *d_out, const struct upg_gradient_visitor *visitor);

/* out[i] = w * x / sqrt(mean(x^2) + eps), for n_tokens rows of n. */
void upg_dense_norm(struct upg_pool *pool, float *out, const float *x, const float *weight,
                    size_t n_tokens, size_t n, double eps);

/* Backward of the same: d_x += gradient with respect to x; d_weight[n] = gradient with respect to
 * the weights (overwritten). */
void upg_dense_norm_backward(struct upg_pool *pool, float *d_x, float *d_weight, const float *d_out,
                             const float *x, const float *weight, size_t n_tokens, size_t n,
                             double eps);

#endif
