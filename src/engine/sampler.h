/* sampler.h -- choosing the next token from logits. */
#ifndef UPG_ENGINE_SAMPLER_H
#define UPG_ENGINE_SAMPLER_H

#include "base/error.h"

struct upg_sampler;

/* What a draw needs for its duration; one for all samplers of a thread.  Start from {0}. */
struct upg_draw_space {
    float *adjusted;                  /* [n_vocab] logits after bias and penalties */
    struct upg_candidate *candidates; /* [n_vocab] */
    size_t n_vocab;
};

/* Make room for n_vocab tokens.  UPG_ERR_MEMORY. */
upg_status upg_draw_space_reserve(struct upg_draw_space *space, size_t n_vocab, upg_error *err);
void upg_draw_space_clear(struct upg_draw_space *space);

/* Whether all values are in their ranges: UPG_OK, or UPG_ERR_ARGUMENT that names one. */
upg_status upg_sampling_check(const upg_sampling *sampling, size_t n_vocab, upg_error *err);

/* The caller owns the sampler; sampling is copied.  It holds arrays of the vocabulary's size only for
 * the penalties and biases that are used.  UPG_ERR_ARGUMENT names the value that is out of its
 * range; UPG_ERR_MEMORY. */
upg_status upg_sampler_new(struct upg_sampler **sampler, const upg_sampling *sampling,
                           size_t n_vocab, upg_error *err);
void upg_sampler_free(struct upg_sampler *sampler); /* NULL is allowed */

/* Count a token of the prompt, or of the answer, for the penalties. */
void upg_sampler_see_prompt(struct upg_sampler *sampler, int32_t id);
void upg_sampler_see_answer(struct upg_sampler *sampler, int32_t id);

/* Choose from logits[n_vocab] by the rules of upg_sampling.
 *   allowed  [(n_vocab + 31) / 32] bit id % 32 of word id / 32: the token may be chosen; NULL: all
 * The random state moves on by one draw exactly when temperature > 0.  Time is O(n_vocab), memory
 * is allocated only when the space is used first.  UPG_ERR_FORMAT if a logit is NaN or +infinity
 * (damaged weights); UPG_ERR_ARGUMENT if every token is banned; UPG_ERR_MEMORY. */
upg_status upg_sampler_draw(struct upg_sampler *sampler, const float *logits,
                            const uint32_t *allowed, struct upg_draw_space *space, int32_t *id,
                            upg_error *err);

#endif
