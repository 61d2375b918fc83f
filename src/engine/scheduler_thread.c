/* scheduler_thread.c -- the scheduler's thread: take what was submitted, drop what was cancelled, admit,
 * make a step, again. */
#include "engine/scheduler.h"

#include <string.h>

void upg_scheduler_publish(struct upg_scheduler *s)
{
    const struct upg_kv_blocks *blocks = &s->engine->cache.blocks;

    pthread_mutex_lock(&s->lock);
    s->stats.n_running = s->running.n;
    s->stats.n_blocks_cached = blocks->n_idle;
    s->stats.n_blocks_used = blocks->n_blocks - blocks->n_free;
    s->stats.n_blocks_evicted = blocks->n_forgotten;
    s->published = s->stats;
    s->last_step_end = upg_now_seconds();
    pthread_mutex_unlock(&s->lock);
}

/* The last event of a task that is in no list any more but `live`. */
static void end_task(struct upg_scheduler *s, struct upg_task *task, upg_finish finish,
                     const upg_error *err)
{
    const double now = upg_now_seconds();
    const bool has_embedding = task->pooled && !err && finish == UPG_FINISH_STOP;

    if (task->first_token > 0)
        task->usage.generation_seconds = now - task->first_token;
    upg_histogram_add(&s->stats.request, now - task->submitted);
    s->stats.n_finished[err ? UPG_FINISH_FAILED : finish]++;
    upg_scheduler_release(task);
    pthread_mutex_lock(&s->lock);
    s->n_waiting -= !task->was_admitted;
    if (task->previous)
        task->previous->next = task->next;
    else
        s->live = task->next;
    if (task->next)
        task->next->previous = task->previous;
    pthread_mutex_unlock(&s->lock);
    upg_scheduler_publish(s);
    upg_task_tell_finish(task, finish, err, has_embedding ? s->embedding : NULL,
                         has_embedding ? s->engine->model->config.d_model : 0);
    if (task->client)
        upg_scheduler_leave(s, task->client);
    upg_task_free(task);
    pthread_mutex_lock(&s->lock);
    if (--s->n_unfinished == 0)
        pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}

void upg_scheduler_finish(struct upg_scheduler *s, struct upg_task_list *list,
                          struct upg_task *task, upg_finish finish, const upg_error *err)
{
    size_t i = 0;

    while (list->tasks[i] != task)
        i++;
    upg_task_list_remove(list, i);
    if (list == &s->running)
        task->client->n_running--;
    end_task(s, task, finish, err);
}

/* Wait for work and take what was submitted; false when it is time to stop. */
static bool take_submitted(struct upg_scheduler *s)
{
    const size_t n_before = s->waiting.n;
    bool goes_on;

    pthread_mutex_lock(&s->lock);
    while (s->inbox.n == 0 && s->waiting.n + s->running.n == 0 && !s->is_stopping)
        pthread_cond_wait(&s->work, &s->lock);
    memcpy(s->waiting.tasks + s->waiting.n, s->inbox.tasks, s->inbox.n * sizeof *s->inbox.tasks);
    s->waiting.n += s->inbox.n;
    s->inbox.n = 0;
    goes_on = !s->is_stopping || s->waiting.n + s->running.n > 0;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = n_before; i < s->waiting.n; i++)
        s->waiting.tasks[i]->client = upg_scheduler_client(s, s->waiting.tasks[i]->request.client);
    return goes_on;
}

static void drop_cancelled(struct upg_scheduler *s, struct upg_task_list *list)
{
    for (size_t i = list->n; i-- > 0;)
        if (atomic_load(&list->tasks[i]->is_cancelled))
            upg_scheduler_finish(s, list, list->tasks[i], UPG_FINISH_CANCELLED, NULL);
}

/* Tasks whose client could not be written down. */
static void drop_without_client(struct upg_scheduler *s)
{
    upg_error err;

    for (size_t i = s->waiting.n; i-- > 0;)
        if (!s->waiting.tasks[i]->client) {
            upg_fail_memory(&err, "a request's client", sizeof(struct upg_client));
            upg_scheduler_finish(s, &s->waiting, s->waiting.tasks[i], UPG_FINISH_FAILED, &err);
        }
}

void *upg_scheduler_run(void *context)
{
    struct upg_scheduler *s = context;

    while (take_submitted(s)) {
        drop_without_client(s);
        drop_cancelled(s, &s->waiting);
        drop_cancelled(s, &s->running);
        upg_scheduler_admit(s);
        if (s->running.n > 0)
            upg_scheduler_step(s);
        upg_scheduler_publish(s);
    }
    return NULL;
}
