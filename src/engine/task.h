/* task.h -- a request inside the scheduler. */
#ifndef UPG_ENGINE_TASK_H
#define UPG_ENGINE_TASK_H

#include "engine/answer.h"
#include "engine/engine.h"
#include "engine/speculation.h"

#include <stdatomic.h>

/* Requests of one client number; lives as long as one of them. */
struct upg_client {
    uint64_t number;
    size_t n_tasks, n_running;
    uint64_t last_turn; /* admissions of all clients, counted, at this one's last */
    struct upg_client *next;
};

/* Everything but the first three fields belongs to the scheduler's thread once the task is
 * submitted. */
struct upg_task {
    uint64_t number;
    atomic_bool is_cancelled;
    struct upg_task *next, *previous; /* of all that are not finished; under the scheduler's lock */

    upg_request request; /* ids: NULL, they are in the sequence; the other arrays are copies */
    void *copies;        /* their memory */
    upg_sequence *sequence;
    struct upg_client *client;
    struct upg_answer answer; /* from the first admission on */
    double *pooled;           /* [d_model] sum of hidden states; NULL in generation */
    size_t n_kept;            /* blocks at the front of the list that the prefix cache knows */

    size_t n_draft; /* in the step that is being made: the sequence's last n_draft tokens */
    int32_t guesses[UPG_MAX_DRAFT]; /* what may come next, run as a draft or not */
    size_t n_guesses;
    double p_draft; /* how often guesses were right of late */

    /* Drawn in this step. */
    upg_event_token tokens[1 + UPG_MAX_DRAFT];
    upg_logprob *top; /* [1 + UPG_MAX_DRAFT, n_top_logprobs] */
    size_t n_tokens;

    bool was_admitted, is_held_back;
    double submitted, admitted, first_token, last_token; /* seconds */
    upg_usage usage;
};

/* Check a request and copy it.  context: most tokens of prompt and answer.  The filter is taken over
 * only with success.  UPG_ERR_ARGUMENT, UPG_ERR_CONTEXT, UPG_ERR_MEMORY. */
upg_status upg_task_new(struct upg_task **task, upg_engine *engine, const upg_request *request,
                        size_t context, upg_error *err);

/* Free a task; on the scheduler's thread, since its blocks go back. */
void upg_task_free(struct upg_task *task);

static inline bool upg_task_generates(const struct upg_task *task)
{
    return task->request.kind == UPG_REQUEST_GENERATE;
}

/* Tokens that the model has not computed yet. */
static inline size_t upg_task_n_pending(const struct upg_task *task)
{
    return task->sequence->n_tokens - task->sequence->list.n_tokens;
}

/* Make what only a running request needs.  UPG_ERR_MEMORY. */
upg_status upg_task_start(struct upg_task *task, upg_error *err);

/* What drawing a token takes. */
struct upg_draw {
    const uint32_t *tokens; /* ids that have a token, [n_words] */
    uint32_t *allowed;      /* [n_words] scratch */
    size_t n_words, context;
    struct upg_draw_space space;
};

/* After a step: draw tokens from logits[1 + task->n_draft, n_vocab], those of the sequence's last
 * tokens, as long as they are the drafted ones; the sequence gets what was drawn and loses the rest
 * of the draft.  May finish the answer. */
upg_status upg_task_draw(struct upg_task *task, struct upg_draw *draw, const float *logits,
                         upg_error *err);

/* Tell the tokens and the text that there are now; false if the receiver cancels. */
bool upg_task_tell_tokens(struct upg_task *task);

/* Tell the end.  status UPG_OK: by `finish`; otherwise err has the message. */
void upg_task_tell_finish(struct upg_task *task, upg_finish finish, const upg_error *err,
                          const float *embedding, size_t n_embedding);

#endif
