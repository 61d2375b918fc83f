/* sampler.h -- choosing the next token from logits. */
#ifndef UPG_ENGINE_SAMPLER_H
#define UPG_ENGINE_SAMPLER_H

#include "base/error.h"

struct upg_sampler;

/* The caller owns the sampler; sampling is copied.  UPG_ERR_ARGUMENT names the value that is out of
 * its range; UPG_ERR_MEMORY. */
upg_status upg_sampler_new(struct upg_sampler **sampler, const upg_sampling *sampling,
                           size_t n_vocab, upg_error *err);
void upg_sampler_free(struct upg_sampler *sampler); /* NULL is allowed */

/* Never choose this id (0 <= id < n_vocab). */
void upg_sampler_ban(struct upg_sampler *sampler, int32_t id);

/* Count a token of the prompt, or of the answer, for the penalties. */
void upg_sampler_see_prompt(struct upg_sampler *sampler, int32_t id);
void upg_sampler_see_answer(struct upg_sampler *sampler, int32_t id);

/* Choose from logits[n_vocab] by the rules of upg_sampling.  The random state moves on by one draw
 * exactly when temperature > 0.  Time is O(n_vocab).  UPG_ERR_FORMAT if a logit is NaN or +infinity
 * (damaged weights); UPG_ERR_ARGUMENT if every token is banned. */
upg_status upg_sampler_draw(struct upg_sampler *sampler, const float *logits, int32_t *id,
                            upg_error *err);

#endif
