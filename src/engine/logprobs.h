/* logprobs.h -- probabilities of tokens, as the model gives them. */
#ifndef UPG_ENGINE_LOGPROBS_H
#define UPG_ENGINE_LOGPROBS_H

#include "base/error.h"

/* Natural logarithms of softmax(logits[n_vocab]): that of `id`, and the n_top greatest in order, of
 * equal ones the lowest id first; n_top <= n_vocab, top[n_top]. */
void upg_logprobs(const float *logits, size_t n_vocab, int32_t id, float *logprob, upg_logprob *top,
                  size_t n_top);

#endif
