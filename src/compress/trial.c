/* trial.c -- negative log-likelihood of one window through the engine. */
#include "compress/trial.h"

#include "evaluate/distance.h"

#include <math.h>

static upg_status read_window(upg_engine *engine, const int32_t *ids, size_t n, size_t n_vocab,
                              double *nll, upg_error *err)
{
    upg_sequence *sequence = NULL;
    struct upg_mean mean = {0};
    upg_status status = upg_sequence_new(&sequence, engine, err);

    if (status == UPG_OK)
        status = upg_sequence_append(sequence, ids, n, n, NULL, NULL, err);
    if (status == UPG_OK) {
        size_t n_rows;
        const float *logits = upg_sequence_logits(sequence, &n_rows);
        for (size_t i = 0; i + 1 < n; i++) {
            const struct upg_distribution d = upg_distribution_of(logits + i * n_vocab, n_vocab);
            upg_mean_add(&mean, upg_surprise(&d, (size_t)ids[i + 1]));
        }
        *nll = mean.mean;
    }
    upg_sequence_free(sequence);
    return status;
}

upg_status upg_trial_run(const char *path, const int32_t *ids, size_t n, size_t n_threads,
                         double *nll, upg_error *err)
{
    upg_model *model = NULL;
    upg_engine *engine = NULL;
    upg_model_info info = {0};
    upg_status status = upg_model_open(&model, path, NULL, err);

    if (status == UPG_OK) {
        upg_engine_options options;
        upg_engine_options_defaults(&options);
        upg_model_get_info(model, &info);
        n = info.context < n ? info.context : n;
        options.n_threads = n_threads;
        options.context = n;
        status = upg_engine_new(&engine, model, &options, err);
    }
    if (status == UPG_OK)
        status = read_window(engine, ids, n, info.n_vocab, nll, err);
    if (status == UPG_OK && !isfinite(*nll))
        status =
            upg_fail(err, UPG_ERR_INTERNAL,
                     "%s: its logits for held-out text are no numbers; please report this, and "
                     "keep the original",
                     path);
    upg_engine_free(engine);
    upg_model_free(model);
    return status;
}
