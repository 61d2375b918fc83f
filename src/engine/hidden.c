/* hidden.c -- the states behind the last norm, seen on their way to the head. */
#include "engine/engine.h"

#include <math.h>

/* Where the states of a sequence's tokens from `first` on go. */
struct hidden_rows {
    const upg_sequence *sequence;
    size_t first;  /* position of row 0 */
    float *hidden; /* [n, d_model] */
};

/* out = rms(x) * weight of the final norm. */
static void final_norm(const struct upg_model *model, const float *x, float *out)
{
    const size_t n = model->config.d_model;
    double squares = 0, scale;

    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    scale = 1 / sqrt(squares / (double)n + model->config.norm_eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] * scale) * model->norm[i];
}

/* A step computes the last n_rows of the tokens that are in the cache by now.  Tokens before `first`
 * are among them when the rotary factors changed and all is computed again. */
static void see_hidden(void *context, size_t n_layers, const float *rows, size_t n_rows,
                       size_t n_cols, size_t stride)
{
    const struct hidden_rows *h = context;
    const struct upg_model *model = h->sequence->engine->model;
    const size_t begin = h->sequence->list.n_tokens - n_rows;

    for (size_t i = 0; n_layers == model->config.n_layers && i < n_rows; i++)
        if (begin + i >= h->first)
            final_norm(model, rows + i * stride, h->hidden + (begin + i - h->first) * n_cols);
}

upg_status upg_sequence_append_hidden(upg_sequence *sequence, const int32_t *ids, size_t n,
                                      float *hidden, upg_progress_fn progress,
                                      void *progress_context, upg_error *err)
{
    struct upg_observer *observer = &sequence->engine->forward.observer;
    const struct upg_observer before = *observer;
    struct hidden_rows rows = {.sequence = sequence, .first = sequence->n_tokens, .hidden = hidden};
    upg_status status;

    if (sequence->engine->gpu)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "hidden states are not read back from a GPU");
    *observer = (struct upg_observer){.context = &rows, .hidden = see_hidden};
    status = upg_sequence_append(sequence, ids, n, 0, progress, progress_context, err);
    *observer = before;
    return status;
}
