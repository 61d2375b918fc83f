/* answer.h -- an answer in the making: tokens become text, and text or tokens end it.
 *
 * Whoever runs the model draws tokens and gives them here, one after the other, whatever the order
 * in which the model computes them. */
#ifndef UPG_ENGINE_ANSWER_H
#define UPG_ENGINE_ANSWER_H

#include "base/buffer.h"
#include "engine/sampler.h"
#include "engine/stop_text.h"
#include "model/model.h"

struct upg_answer {
    const struct upg_model *model; /* borrowed; without a tokenizer answers are ids without text */
    size_t max_tokens;             /* 0: no limit of its own */
    bool ignore_stop_ids;
    struct upg_sampler *sampler; /* owned */
    upg_detokenizer detokenizer;
    struct upg_stop_text stop;
    struct upg_buffer pieces; /* what the detokenizer made of a token */
    struct upg_buffer text;   /* decided since the caller emptied it (text.n = 0) */
    upg_tokens ids;           /* a final stop token not included */
    bool finished;
    upg_finish finish;
    const char *stop_string; /* the one that ended it; NULL: none did */
};

/* Whether the stop strings can be found in answers of the model: UPG_OK or UPG_ERR_ARGUMENT. */
upg_status upg_answer_check_stop(const struct upg_model *model, const struct upg_stop_text *stop,
                                 upg_error *err);

/* Start an answer after the prompt ids[n_ids].  Stop strings are borrowed until
 * upg_answer_clear(), which frees the rest, also after a failure.  UPG_ERR_ARGUMENT names what is out
 * of its range; UPG_ERR_MEMORY. */
upg_status upg_answer_init(struct upg_answer *answer, const struct upg_model *model,
                           const upg_generate_options *options, const int32_t *ids, size_t n_ids,
                           upg_error *err);
void upg_answer_clear(struct upg_answer *answer);

bool upg_answer_is_stop_id(const struct upg_answer *answer, int32_t id);

/* Take the token that was drawn; may finish the answer. */
upg_status upg_answer_take(struct upg_answer *answer, int32_t id, upg_error *err);

/* Finish the answer if nothing has: held text becomes decided unless a stop string ended it or it was
 * cancelled. */
upg_status upg_answer_end(struct upg_answer *answer, upg_finish why, upg_error *err);

/* allowed[(n_vocab + 31) / 32], bits as in upg_sampler_draw(): ids that have a token.  The others have
 * rows in the head, with logits that mean nothing. */
void upg_answer_allow_tokens(const struct upg_model *model, uint32_t *allowed);

#endif
