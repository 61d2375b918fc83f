/* admission.c -- who goes next, and who must give way.
 *
 * Order: greater priority; preempted before new ones; the client with the fewest running requests;
 * the client whose last turn is longest ago; the older request.  Whoever is first and does not fit
 * into the free blocks is waited for: smaller requests behind do not overtake, so nobody starves. */
#include "engine/scheduler.h"

#include <stdlib.h>
#include <string.h>

struct upg_client *upg_scheduler_client(struct upg_scheduler *s, uint64_t number)
{
    struct upg_client *client = s->clients;

    while (client && client->number != number)
        client = client->next;
    if (!client) {
        client = calloc(1, sizeof *client);
        if (!client)
            return NULL;
        client->number = number;
        client->next = s->clients;
        s->clients = client;
    }
    client->n_tasks++;
    return client;
}

void upg_scheduler_leave(struct upg_scheduler *s, struct upg_client *client)
{
    struct upg_client **at = &s->clients;

    if (--client->n_tasks > 0)
        return;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    free(client);
}

static bool uses_prefixes(const struct upg_scheduler *s, const struct upg_task *task)
{
    return !s->options.no_prefix_cache && !task->request.no_prefix_cache;
}

static uint32_t root_of(const struct upg_task *task)
{
    return upg_prefix_root(task->sequence->rope == &task->sequence->engine->rope[1]);
}

void upg_scheduler_release(struct upg_task *task)
{
    upg_sequence_drop(task->sequence);
    task->n_kept = 0;
}

void upg_scheduler_keep_blocks(struct upg_scheduler *s, struct upg_task *task)
{
    struct upg_kv_list *list = &task->sequence->list;

    if (!uses_prefixes(s, task))
        return;
    for (; (task->n_kept + 1) * UPG_KV_BLOCK <= list->n_tokens; task->n_kept++)
        upg_prefix_cache_add(&s->prefix, root_of(task), list, task->n_kept, task->sequence->ids);
}

/* Whether a running task is about to compute the block that this one, which has n_found blocks
 * waiting for it, would compute next: then that is waited for instead. */
static bool has_twin(const struct upg_scheduler *s, const struct upg_task *task, size_t n_found)
{
    const size_t n_tokens = (n_found + 1) * UPG_KV_BLOCK;

    if (n_tokens >= task->sequence->n_tokens)
        return false;
    for (size_t i = 0; i < s->running.n; i++) {
        const struct upg_task *other = s->running.tasks[i];

        if (uses_prefixes(s, other) && root_of(other) == root_of(task) &&
            other->sequence->list.n_tokens < n_tokens && other->sequence->n_tokens >= n_tokens &&
            memcmp(other->sequence->ids, task->sequence->ids,
                   n_tokens * sizeof *task->sequence->ids) == 0)
            return true;
    }
    return false;
}

/* Blocks that the running tasks need for what they have not computed yet, and one more for each. */
static size_t blocks_spoken_for(const struct upg_scheduler *s)
{
    size_t n = s->running.n;

    for (size_t i = 0; i < s->running.n; i++)
        n += upg_kv_blocks_needed(&s->engine->cache.blocks, &s->running.tasks[i]->sequence->list,
                                  s->running.tasks[i]->sequence->n_tokens);
    return n;
}

enum verdict { ADMITTED, NO_ROOM, HELD_BACK };

/* Give the task the blocks of its prefix that are there, if the rest finds room as well. */
static enum verdict find_room(struct upg_scheduler *s, struct upg_task *task)
{
    struct upg_kv_blocks *blocks = &s->engine->cache.blocks;
    upg_sequence *sequence = task->sequence;
    const bool computes_all = task->request.kind == UPG_REQUEST_EMBED_MEAN;
    size_t n_found = 0;

    upg_sequence_choose_rope(sequence);
    if (uses_prefixes(s, task) && !computes_all) {
        n_found = upg_prefix_cache_find(&s->prefix, root_of(task), sequence->ids,
                                        sequence->n_tokens - 1, sequence->list.blocks);
        if (has_twin(s, task, n_found))
            return HELD_BACK;
    }
    if (n_found > 0 &&
        !upg_kv_blocks_adopt(blocks, &sequence->list, sequence->list.blocks, n_found))
        return NO_ROOM;
    task->n_kept = n_found;
    if (s->running.n > 0 && upg_kv_blocks_needed(blocks, &sequence->list, sequence->n_tokens) +
                                    blocks_spoken_for(s) + 1 >
                                blocks->n_free) {
        upg_scheduler_release(task);
        return NO_ROOM;
    }
    return ADMITTED;
}

static bool goes_before(const struct upg_task *a, const struct upg_task *b)
{
    if (a->request.priority != b->request.priority)
        return a->request.priority > b->request.priority;
    if (a->was_admitted != b->was_admitted)
        return a->was_admitted;
    if (!a->was_admitted && a->client->n_running != b->client->n_running)
        return a->client->n_running < b->client->n_running;
    if (!a->was_admitted && a->client->last_turn != b->client->last_turn)
        return a->client->last_turn < b->client->last_turn;
    return a->number < b->number;
}

/* The place of the next task in waiting; waiting.n if all are held back. */
static size_t next_waiting(const struct upg_scheduler *s)
{
    size_t best = s->waiting.n;

    for (size_t i = 0; i < s->waiting.n; i++)
        if (!s->waiting.tasks[i]->is_held_back &&
            (best == s->waiting.n || goes_before(s->waiting.tasks[i], s->waiting.tasks[best])))
            best = i;
    return best;
}

/* The task takes its turn; false if it failed. */
static bool start(struct upg_scheduler *s, struct upg_task *task, upg_error *err)
{
    task->client->n_running++;
    task->client->last_turn = ++s->n_turns;
    if (task->was_admitted)
        return true;
    task->was_admitted = true;
    task->admitted = upg_now_seconds();
    task->usage.wait_seconds = task->admitted - task->submitted;
    task->usage.n_cached_tokens = task->sequence->list.n_tokens;
    upg_histogram_add(&s->stats.wait, task->usage.wait_seconds);
    s->stats.n_prompt_tokens += task->usage.n_prompt_tokens;
    s->stats.n_cached_tokens += task->usage.n_cached_tokens;
    pthread_mutex_lock(&s->lock);
    s->n_waiting--;
    pthread_mutex_unlock(&s->lock);
    return upg_task_start(task, err) == UPG_OK;
}

/* Running tasks stand in the order of their numbers. */
static void insert_running(struct upg_scheduler *s, struct upg_task *task)
{
    size_t at = s->running.n++;

    for (; at > 0 && s->running.tasks[at - 1]->number > task->number; at--)
        s->running.tasks[at] = s->running.tasks[at - 1];
    s->running.tasks[at] = task;
}

void upg_scheduler_admit(struct upg_scheduler *s)
{
    upg_error err;

    for (size_t i = 0; i < s->waiting.n; i++)
        s->waiting.tasks[i]->is_held_back = false;
    while (s->running.n < s->options.max_running) {
        const size_t i = next_waiting(s);
        struct upg_task *task;
        enum verdict verdict;

        if (i == s->waiting.n)
            return;
        task = s->waiting.tasks[i];
        verdict = find_room(s, task);
        if (verdict == NO_ROOM)
            return;
        if (verdict == HELD_BACK) {
            task->is_held_back = true;
            continue;
        }
        upg_task_list_remove(&s->waiting, i);
        insert_running(s, task);
        if (!start(s, task, &err))
            upg_scheduler_finish(s, &s->running, task, UPG_FINISH_FAILED, &err);
    }
}

void upg_scheduler_preempt(struct upg_scheduler *s)
{
    size_t victim = s->running.n - 1;
    struct upg_task *task;

    for (size_t i = victim; i-- > 0;)
        if (s->running.tasks[i]->request.priority < s->running.tasks[victim]->request.priority)
            victim = i;
    task = upg_task_list_remove(&s->running, victim);
    upg_scheduler_release(task);
    if (task->pooled)
        memset(task->pooled, 0, s->engine->model->config.d_model * sizeof *task->pooled);
    task->client->n_running--;
    task->usage.n_preemptions++;
    s->stats.n_preemptions++;
    s->waiting.tasks[s->waiting.n++] = task;
}
