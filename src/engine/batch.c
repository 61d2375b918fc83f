/* batch.c -- a step of the model for many requests.
 *
 * Every running answer has a row, or a few more with a draft.  What is left of the step's rows goes
 * to prompts: half of it to the oldest, so that it always goes on, and the rest to the shortest first,
 * which makes the average wait shortest (Smith 1956).  While answers are running, prompts have a
 * chunk of rows at most: by so much a step may become longer. */
#include "engine/scheduler.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

enum {
    MIN_CHUNK = 16,  /* fewer rows cost hardly less */
    FIRST_CHUNK = 64 /* as long as nothing is known */
};
#define LONGEST_STALL 0.1 /* seconds: hardly seen in a text that is being written */

static bool is_answering(const struct upg_task *task)
{
    return upg_task_generates(task) && upg_task_n_pending(task) == 1;
}

/* Most tokens that a draft may have, so that nothing is different when it is taken back. */
static size_t draft_room(const struct upg_scheduler *s, const struct upg_task *task)
{
    const upg_sequence *sequence = task->sequence;
    const struct upg_long_rope *lr = &s->engine->model->config.long_rope;
    const size_t n = sequence->n_tokens;
    size_t room = size_min(UPG_MAX_DRAFT, s->draw.context - 1 - n);

    if (task->request.max_tokens > 0)
        room = size_min(room, task->request.max_tokens - 1 - task->answer.ids.n);
    if (lr->present && n <= lr->original_context) /* longer, the rotary factors would change */
        room = size_min(room, lr->original_context - n);
    if (upg_kv_has_open(&s->engine->cache)) { /* in a filled block single tokens are lost */
        const size_t used = sequence->list.n_tokens % UPG_KV_BLOCK + 1;

        room = size_min(room, used < UPG_KV_BLOCK ? UPG_KV_BLOCK - 1 - used : 0);
    }
    return room;
}

static void add_share(struct upg_scheduler *s, struct upg_task *task, size_t n_rows)
{
    const bool is_whole = n_rows == upg_task_n_pending(task) + task->n_draft;

    s->sharers[s->n_shares] = task;
    s->shares[s->n_shares++] = (struct upg_share){
        .sequence = task->sequence,
        .n_rows = n_rows,
        .n_logits = is_whole && upg_task_generates(task) ? 1 + task->n_draft : 0};
}

static size_t draft_length(const struct upg_scheduler *s, const struct upg_task *task,
                           size_t n_rows, size_t n_answers)
{
    const size_t most = size_min(task->n_guesses, s->max_wanted - n_rows);

    if (s->options.always_speculate)
        return most;
    return upg_draft_length(&s->costs, n_rows, (double)n_answers, task->p_draft, most);
}

/* A row for each answer, and drafts as far as they pay; returns the number of rows. */
static size_t plan_answers(struct upg_scheduler *s, bool with_drafts)
{
    size_t n_answers = 0, n_rows;

    for (size_t i = 0; i < s->running.n; i++)
        n_answers += is_answering(s->running.tasks[i]);
    n_rows = n_answers;
    for (size_t i = 0; i < s->running.n; i++) {
        struct upg_task *task = s->running.tasks[i];

        task->n_draft = task->n_guesses = 0;
        if (!is_answering(task))
            continue;
        if (with_drafts && !s->options.no_speculation && !task->request.no_speculation) {
            task->n_guesses = upg_draft_find(task->sequence->ids, task->sequence->n_tokens,
                                             task->guesses, draft_room(s, task));
            task->n_draft = draft_length(s, task, n_rows, n_answers);
        }
        n_rows += task->n_draft;
        add_share(s, task, 1 + task->n_draft);
    }
    return n_rows;
}

/* The running task that waits for rows and has the fewest tokens to go; NULL if there is none.
 * n_given[running.n]: rows that each has in this step. */
static size_t shortest_prompt(const struct upg_scheduler *s, const size_t *n_given)
{
    size_t best = s->running.n, best_left = 0;

    for (size_t i = 0; i < s->running.n; i++) {
        const struct upg_task *task = s->running.tasks[i];
        const size_t n_left = upg_task_n_pending(task) - n_given[i];

        if (!is_answering(task) && n_left > 0 && (best == s->running.n || n_left < best_left)) {
            best = i;
            best_left = n_left;
        }
    }
    return best;
}

/* Share n_rows rows out to prompts. */
static void plan_prompts(struct upg_scheduler *s, size_t n_rows)
{
    size_t n_given[UPG_MAX_RUNNING] = {0}, oldest = 0, i;

    while (oldest < s->running.n && is_answering(s->running.tasks[oldest]))
        oldest++;
    if (oldest == s->running.n)
        return;
    n_given[oldest] = size_min(upg_task_n_pending(s->running.tasks[oldest]), (n_rows + 1) / 2);
    n_rows -= n_given[oldest];
    while (n_rows > 0 && (i = shortest_prompt(s, n_given)) < s->running.n) {
        const size_t n = size_min(n_rows, upg_task_n_pending(s->running.tasks[i]) - n_given[i]);

        n_given[i] += n;
        n_rows -= n;
    }
    for (i = 0; i < s->running.n; i++)
        if (n_given[i] > 0)
            add_share(s, s->running.tasks[i], n_given[i]);
}

/* Rows that prompts may have beside n_rows of answers: as many as were asked for, or as many as are
 * expected to take LONGEST_STALL. */
static size_t chunk_rows(const struct upg_scheduler *s, size_t n_rows)
{
    const double plain = upg_step_costs_expect(&s->costs, n_rows);
    size_t n = s->engine->max_rows;

    if (s->options.chunk_tokens > 0)
        return s->options.chunk_tokens;
    if (plain <= 0)
        return FIRST_CHUNK;
    while (n > MIN_CHUNK && upg_step_costs_expect(&s->costs, n_rows + n) > plain + LONGEST_STALL)
        n /= 2;
    return n;
}

static void plan(struct upg_scheduler *s, bool with_drafts)
{
    size_t n_rows, n_prompt_rows;

    s->n_shares = 0;
    n_rows = plan_answers(s, with_drafts);
    n_prompt_rows = s->engine->max_rows - n_rows;
    if (n_rows > 0)
        n_prompt_rows = size_min(n_prompt_rows, chunk_rows(s, n_rows));
    plan_prompts(s, n_prompt_rows);
}

static size_t blocks_needed(const struct upg_scheduler *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_shares; i++) {
        const struct upg_kv_list *list = &s->shares[i].sequence->list;

        n += upg_kv_blocks_needed(&s->engine->cache.blocks, list,
                                  list->n_tokens + s->shares[i].n_rows);
    }
    return n;
}

/* Plan a step that the free blocks suffice for: without drafts if need be, and with fewer tasks. */
static void compose(struct upg_scheduler *s)
{
    const size_t *n_free = &s->engine->cache.blocks.n_free;

    plan(s, true);
    if (blocks_needed(s) > *n_free)
        plan(s, false);
    while (blocks_needed(s) > *n_free) {
        upg_scheduler_preempt(s);
        plan(s, false);
    }
    for (size_t i = 0; i < s->n_shares; i++)
        for (size_t j = 0; j < s->sharers[i]->n_draft; j++)
            upg_sequence_push(s->sharers[i]->sequence, s->sharers[i]->guesses[j]);
}

/* pooled += rms(x) * weight of the model's final norm; x[d_model]. */
static void add_hidden(const struct upg_model *model, const float *x, double *pooled)
{
    const size_t n = model->config.d_model;
    double squares = 0, scale;

    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    scale = 1 / sqrt(squares / (double)n + model->config.norm_eps);
    for (size_t i = 0; i < n; i++)
        pooled[i] += (double)x[i] * scale * (double)model->norm[i];
}

void upg_scheduler_see_hidden(void *context, size_t n_layers, const float *rows, size_t n_rows,
                              size_t n_cols, size_t stride)
{
    const struct upg_scheduler *s = context;
    size_t row = 0;

    (void)n_rows, (void)n_cols;
    if (n_layers < s->engine->model->config.n_layers)
        return;
    for (size_t i = 0; i < s->n_shares; i++) {
        const struct upg_task *task = s->sharers[i];
        const size_t n = s->shares[i].n_rows, n_done = task->sequence->list.n_tokens; /* after it */
        const bool wants_all = task->request.kind == UPG_REQUEST_EMBED_MEAN;

        for (size_t j = 0; task->pooled && j < n; j++)
            if (wants_all || n_done - n + j + 1 == task->sequence->n_tokens)
                add_hidden(s->engine->model, rows + (row + j) * stride, task->pooled);
        row += n;
    }
}

/* The whole prompt has been seen: scale the sum to length 1 and finish. */
static void finish_embedding(struct upg_scheduler *s, struct upg_task *task)
{
    const size_t n = s->engine->model->config.d_model;
    double length = 0;
    upg_error err;

    for (size_t i = 0; i < n; i++)
        length += task->pooled[i] * task->pooled[i];
    length = sqrt(length);
    if (!(length > 0) || !isfinite(length)) {
        upg_fail(&err, UPG_ERR_FORMAT,
                 "the model's last hidden state has length %g; its weights "
                 "are damaged",
                 length);
        upg_scheduler_finish(s, &s->running, task, UPG_FINISH_FAILED, &err);
        return;
    }
    for (size_t i = 0; i < n; i++)
        s->embedding[i] = (float)(task->pooled[i] / length);
    upg_scheduler_finish(s, &s->running, task, UPG_FINISH_STOP, NULL);
}

static void count_tokens(struct upg_scheduler *s, struct upg_task *task, const upg_usage *before)
{
    const double now = upg_now_seconds();

    if (task->first_token == 0) {
        task->first_token = now;
        task->usage.prompt_seconds = now - task->admitted;
        upg_histogram_add(&s->stats.first_token, now - task->submitted);
    } else {
        upg_histogram_add(&s->stats.between_tokens, now - task->last_token);
    }
    task->last_token = now;
    s->stats.n_tokens += task->usage.n_tokens - before->n_tokens;
    s->stats.n_drafted += task->usage.n_drafted - before->n_drafted;
    s->stats.n_accepted += task->usage.n_accepted - before->n_accepted;
}

/* What a step means for one of its tasks.  logits [share->n_logits, n_vocab]. */
static void settle(struct upg_scheduler *s, struct upg_task *task, const struct upg_share *share,
                   const float *logits)
{
    const upg_usage before = task->usage;
    upg_error err;

    if (share->n_logits > 0) {
        const upg_status status = upg_task_draw(task, &s->draw, logits, &err);

        count_tokens(s, task, &before);
        if (status != UPG_OK) {
            upg_task_tell_tokens(task);
            upg_scheduler_finish(s, &s->running, task, UPG_FINISH_FAILED, &err);
            return;
        }
    }
    upg_scheduler_keep_blocks(s, task);
    upg_sequence_choose_rope(task->sequence);
    if (task->sequence->list.n_tokens == 0) /* other factors: all is computed again */
        task->n_kept = 0;
    if (task->pooled && upg_task_n_pending(task) == 0)
        finish_embedding(s, task);
    else if (!upg_task_tell_tokens(task) && !task->answer.finished)
        upg_scheduler_finish(s, &s->running, task, UPG_FINISH_CANCELLED, NULL);
    else if (task->answer.finished)
        upg_scheduler_finish(s, &s->running, task, task->answer.finish, NULL);
}

void upg_scheduler_step(struct upg_scheduler *s)
{
    const size_t n_vocab = s->engine->model->config.n_vocab;
    size_t n_rows = 0, n_logits = 0;
    double start, seconds;
    upg_status status;
    upg_error err;

    compose(s);
    for (size_t i = 0; i < s->n_shares; i++)
        n_rows += s->shares[i].n_rows;
    start = upg_now_seconds();
    status = upg_engine_step(s->engine, s->shares, s->n_shares, s->logits, &err);
    seconds = upg_now_seconds() - start;
    upg_step_costs_add(&s->costs, n_rows, seconds);
    upg_histogram_add(&s->stats.step, seconds);
    s->stats.n_steps++;
    s->stats.n_rows += n_rows;
    s->stats.n_batch += s->n_shares;
    for (size_t i = 0; i < s->n_shares; i++) {
        if (status != UPG_OK)
            upg_scheduler_finish(s, &s->running, s->sharers[i], UPG_FINISH_FAILED, &err);
        else
            settle(s, s->sharers[i], &s->shares[i], s->logits + n_logits * n_vocab);
        n_logits += s->shares[i].n_logits;
    }
}
