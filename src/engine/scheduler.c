/* scheduler.c -- the public functions of the scheduler. */
#include "engine/scheduler.h"

#include "base/size.h"
#include "engine/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_RUNNING = 64,
    DEFAULT_WAITING = 256,
    MOST_WAITING = 65536,
    DEFAULT_CONTEXTS = 4, /* contexts that the cache holds */
    EXTRA_LOGITS = 32     /* rows for drafts, beyond one for each running task */
};

void upg_scheduler_options_defaults(upg_scheduler_options *options)
{
    *options = (upg_scheduler_options){.size = sizeof *options};
    upg_engine_options_defaults(&options->engine);
}

static upg_status complete_options(upg_scheduler_options *o, upg_error *err)
{
    if (o->max_running == 0)
        o->max_running = DEFAULT_RUNNING;
    if (o->max_waiting == 0)
        o->max_waiting = DEFAULT_WAITING;
    if (o->max_running > UPG_MAX_RUNNING)
        return upg_fail(err, UPG_ERR_ARGUMENT, "max_running: %zu is more than %d", o->max_running,
                        UPG_MAX_RUNNING);
    if (o->max_waiting > MOST_WAITING)
        return upg_fail(err, UPG_ERR_ARGUMENT, "max_waiting: %zu is more than %d", o->max_waiting,
                        MOST_WAITING);
    if (o->chunk_tokens > UPG_MAX_ROWS)
        return upg_fail(err, UPG_ERR_ARGUMENT, "chunk_tokens: %zu is more than %d", o->chunk_tokens,
                        UPG_MAX_ROWS);
    return UPG_OK;
}

/* ---- Making and freeing -------------------------------------------------------------------------- */

static bool reserve(struct upg_task_list *list, size_t capacity)
{
    list->tasks = calloc(capacity, sizeof *list->tasks);
    return list->tasks != NULL;
}

static upg_status make_buffers(struct upg_scheduler *s, upg_error *err)
{
    const struct upg_config *c = &s->engine->model->config;
    const struct upg_kv_blocks *blocks = &s->engine->cache.blocks;
    const size_t cache_tokens = (blocks->n_blocks - blocks->n_open) * UPG_KV_BLOCK;
    const size_t max_running = s->options.max_running, max_waiting = s->options.max_waiting;
    uint32_t *tokens;
    size_t n_logits;

    s->max_wanted = max_running + EXTRA_LOGITS;
    s->draw.context = s->engine->context < cache_tokens ? s->engine->context : cache_tokens;
    s->draw.n_words = (c->n_vocab + 31) / 32;
    tokens = upg_arena_alloc(&s->engine->arena, s->draw.n_words, sizeof *tokens);
    s->draw.allowed = upg_arena_alloc(&s->engine->arena, s->draw.n_words, sizeof *tokens);
    s->embedding = upg_arena_alloc(&s->engine->arena, c->d_model, sizeof *s->embedding);
    if (size_mul(s->max_wanted, c->n_vocab, &n_logits))
        s->logits = upg_arena_alloc(&s->engine->arena, n_logits, sizeof *s->logits);
    if (!tokens || !s->draw.allowed || !s->embedding || !s->logits ||
        !reserve(&s->inbox, max_waiting) || !reserve(&s->waiting, max_waiting + max_running) ||
        !reserve(&s->running, max_running))
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a scheduler of %zu requests",
                        max_running + max_waiting);
    upg_answer_allow_tokens(s->engine->model, tokens);
    s->draw.tokens = tokens;
    return upg_draw_space_reserve(&s->draw.space, c->n_vocab, err);
}

static upg_status make_engine(struct upg_scheduler *s, const upg_model *model, upg_error *err)
{
    upg_engine_options *o = &s->options.engine;
    upg_status status;

    if (o->cache_tokens == 0 &&
        !size_mul(DEFAULT_CONTEXTS, o->context > 0 ? o->context : upg_default_context(model),
                  &o->cache_tokens))
        return upg_fail(err, UPG_ERR_ARGUMENT, "context: %zu tokens are too many", o->context);
    status = upg_engine_new(&s->engine, model, o, err);
    if (status == UPG_OK)
        status =
            upg_prefix_cache_init(&s->prefix, &s->engine->cache.blocks, &s->engine->arena, err);
    if (status == UPG_OK)
        s->engine->forward.observer =
            (struct upg_observer){.context = s, .hidden = upg_scheduler_see_hidden};
    return status;
}

static void init_locks(struct upg_scheduler *s)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &attributes);
    pthread_cond_init(&s->done, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_scheduler(struct upg_scheduler *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    upg_draw_space_clear(&s->draw.space);
    upg_engine_free(s->engine);
    free(s->inbox.tasks);
    free(s->waiting.tasks);
    free(s->running.tasks);
    free(s);
}

upg_status upg_scheduler_new(upg_scheduler **scheduler, const upg_model *model,
                             const upg_scheduler_options *options, upg_error *err)
{
    struct upg_scheduler *s = calloc(1, sizeof *s);
    upg_status status;
    int code;

    if (!s)
        return upg_fail_memory(err, "a scheduler", sizeof *s);
    init_locks(s);
    upg_scheduler_options_defaults(&s->options);
    status = upg_options_read(&s->options, sizeof s->options, options,
                              "upg_scheduler_options_defaults", err);
    if (status == UPG_OK)
        status = complete_options(&s->options, err);
    if (status == UPG_OK)
        status = make_engine(s, model, err);
    if (status == UPG_OK)
        status = make_buffers(s, err);
    if (status != UPG_OK) {
        free_scheduler(s);
        return status;
    }
    s->stats.n_blocks = s->engine->cache.blocks.n_blocks;
    s->stats.block_tokens = UPG_KV_BLOCK;
    s->stats.n_bytes = upg_engine_n_bytes(s->engine);
    upg_scheduler_publish(s);
    code = pthread_create(&s->thread, NULL, upg_scheduler_run, s);
    if (code != 0) {
        free_scheduler(s);
        return upg_fail(err, UPG_ERR_MEMORY, "the scheduler's thread: %s", strerror(code));
    }
    *scheduler = s;
    return UPG_OK;
}

static void cancel_all(struct upg_scheduler *s)
{
    for (struct upg_task *task = s->live; task; task = task->next)
        atomic_store(&task->is_cancelled, true);
}

void upg_scheduler_free(upg_scheduler *scheduler)
{
    struct upg_scheduler *s = scheduler;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_draining = s->is_stopping = true;
    cancel_all(s);
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    free_scheduler(s);
}

/* ---- From any thread ----------------------------------------------------------------------------- */

const char *upg_scheduler_tier(const upg_scheduler *scheduler)
{
    return upg_engine_tier(scheduler->engine);
}

size_t upg_scheduler_context(const upg_scheduler *scheduler)
{
    return scheduler->draw.context;
}

/* Put a task into the inbox, if there is room. */
static upg_status post(struct upg_scheduler *s, struct upg_task *task, upg_error *err)
{
    if (s->is_draining)
        return upg_fail(err, UPG_ERR_BUSY, "shutting down; no new requests are taken");
    if (s->n_waiting == s->options.max_waiting)
        return upg_fail(err, UPG_ERR_BUSY, "%zu requests are waiting already; try again later",
                        s->n_waiting);
    task->number = ++s->last_number;
    task->submitted = upg_now_seconds();
    if (s->n_unfinished == 0) /* nothing was to be done until now */
        s->last_step_end = task->submitted;
    task->next = s->live;
    if (s->live)
        s->live->previous = task;
    s->live = task;
    s->inbox.tasks[s->inbox.n++] = task;
    s->n_waiting++;
    s->n_unfinished++;
    s->n_submitted++;
    pthread_cond_signal(&s->work);
    return UPG_OK;
}

upg_status upg_scheduler_submit(upg_scheduler *scheduler, const upg_request *request,
                                uint64_t *number, upg_error *err)
{
    struct upg_scheduler *s = scheduler;
    struct upg_task *task;
    uint64_t its_number = 0;
    upg_status status = upg_task_new(&task, s->engine, request, s->draw.context, err);

    if (status != UPG_OK)
        return status;
    pthread_mutex_lock(&s->lock);
    status = post(s, task, err);
    if (status == UPG_OK)
        its_number = s->last_number;
    s->n_refused += status != UPG_OK;
    pthread_mutex_unlock(&s->lock);
    if (status != UPG_OK) {
        task->request.filter = (upg_token_filter){0}; /* stays the caller's */
        upg_task_free(task);
    } else if (number) {
        *number = its_number;
    }
    return status;
}

void upg_scheduler_cancel(upg_scheduler *scheduler, uint64_t number)
{
    pthread_mutex_lock(&scheduler->lock);
    for (struct upg_task *task = scheduler->live; task; task = task->next)
        if (task->number == number)
            atomic_store(&task->is_cancelled, true);
    pthread_mutex_unlock(&scheduler->lock);
}

void upg_scheduler_drain(upg_scheduler *scheduler, double seconds)
{
    struct upg_scheduler *s = scheduler;
    const double deadline = upg_now_seconds() + (seconds > 0 ? seconds : 0);
    const struct timespec until = {.tv_sec = (time_t)deadline,
                                   .tv_nsec = (long)(1e9 * (deadline - floor(deadline)))};

    pthread_mutex_lock(&s->lock);
    s->is_draining = true;
    while (s->n_unfinished > 0)
        if (pthread_cond_timedwait(&s->done, &s->lock, &until) == ETIMEDOUT)
            break;
    cancel_all(s);
    while (s->n_unfinished > 0)
        pthread_cond_wait(&s->done, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* The thread waits for work, and takes none as long as the lock is held. */
static upg_status with_cache(struct upg_scheduler *s, const char *path, bool saves, upg_error *err)
{
    upg_status status;

    pthread_mutex_lock(&s->lock);
    if (s->n_unfinished > 0)
        status = upg_fail(err, UPG_ERR_BUSY, "%s: %zu requests are using the cache", path,
                          s->n_unfinished);
    else if (saves)
        status = upg_prefix_cache_save(&s->prefix, s->engine, path, err);
    else
        status = upg_prefix_cache_load(&s->prefix, s->engine, path, err);
    s->published.n_blocks_cached = s->engine->cache.blocks.n_idle;
    pthread_mutex_unlock(&s->lock);
    return status;
}

upg_status upg_scheduler_save_cache(upg_scheduler *scheduler, const char *path, upg_error *err)
{
    return with_cache(scheduler, path, true, err);
}

upg_status upg_scheduler_load_cache(upg_scheduler *scheduler, const char *path, upg_error *err)
{
    return with_cache(scheduler, path, false, err);
}

void upg_scheduler_get_stats(const upg_scheduler *scheduler, upg_scheduler_stats *stats)
{
    struct upg_scheduler *s = (struct upg_scheduler *)(uintptr_t)scheduler; /* for its lock */
    const size_t size = stats->size < sizeof *stats ? stats->size : sizeof *stats;
    upg_scheduler_stats now;

    pthread_mutex_lock(&s->lock);
    now = s->published;
    now.n_waiting = s->n_waiting;
    now.n_submitted = s->n_submitted;
    now.n_refused = s->n_refused;
    now.step_age_seconds = s->n_unfinished > 0 ? upg_now_seconds() - s->last_step_end : 0;
    pthread_mutex_unlock(&s->lock);
    now.size = size;
    memcpy(stats, &now, size);
}
