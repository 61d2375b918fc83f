/* trial.h -- a finished file reads real text before the job counts as done. */
#ifndef UPG_COMPRESS_TRIAL_H
#define UPG_COMPRESS_TRIAL_H

#include "base/error.h"

/* Open the model as anyone would and let its engine read ids[n], n >= 2, or as many of them as its
 * context holds.  *nll: negative log-likelihood, nats a token.  UPG_ERR_INTERNAL if it is no number.
 */
upg_status upg_trial_run(const char *path, const int32_t *ids, size_t n, size_t n_threads,
                         double *nll, upg_error *err);

#endif
