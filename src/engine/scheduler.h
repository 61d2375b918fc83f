/* scheduler.h -- what the files of the scheduler share.
 *
 *     scheduler.c         the public functions
 *     scheduler_thread.c  the thread, and how a task ends
 *     admission.c         who of the waiting goes next; whose blocks are taken when they run out
 *     batch.c             a step: which rows of whom, and what becomes of the logits
 *     task.c              one request
 *
 * Invariants:
 *   (1) what is under `lock` is touched only while holding it; everything else belongs to the
 *       scheduler's thread after upg_scheduler_new().
 *   (2) a task is in the list `live`, and in one of inbox, waiting and running, until it is finished;
 *       only running tasks hold cache blocks.
 *   (3) callbacks are called without the lock.
 *   (4) any single task fits into the cache: upg_task_new() sees to that through `context`.  So the
 *       oldest running task can always go on, and preemption ends. */
#ifndef UPG_ENGINE_SCHEDULER_H
#define UPG_ENGINE_SCHEDULER_H

#include "engine/clock.h"
#include "engine/histogram.h"
#include "engine/prefix_cache.h"
#include "engine/task.h"

#include <pthread.h>

enum { UPG_MAX_RUNNING = 128 }; /* half of UPG_MAX_ROWS, so that prompts always have rows */

/* A growable row of tasks. */
struct upg_task_list {
    struct upg_task **tasks; /* [n], owned; [capacity] is reserved by upg_scheduler_new() */
    size_t n;
};

struct upg_scheduler {
    upg_scheduler_options options; /* complete; strings not kept */
    upg_engine *engine;
    struct upg_prefix_cache prefix;
    struct upg_draw draw;
    float *logits;    /* [max_wanted, n_vocab]; both lie in the engine's arena */
    float *embedding; /* [d_model] */
    size_t max_wanted;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;           /* something was submitted or cancelled, or it is time to stop */
    pthread_cond_t done;           /* n_unfinished became 0 */
    struct upg_task *live;         /* lock */
    struct upg_task_list inbox;    /* lock: submitted, not taken yet; [max_waiting] */
    size_t n_waiting;              /* lock: submitted and never admitted */
    size_t n_unfinished;           /* lock: of which FINISH has not been told */
    uint64_t last_number;          /* lock */
    bool is_draining, is_stopping; /* lock */
    uint64_t n_submitted, n_refused; /* lock */
    upg_scheduler_stats published;   /* lock */
    double last_step_end;            /* lock */

    struct upg_task_list waiting; /* [max_waiting + max_running] */
    struct upg_task_list running; /* [max_running], the oldest first */
    struct upg_client *clients;
    uint64_t n_turns;
    struct upg_step_costs costs;
    upg_scheduler_stats stats;

    /* The step that is being made. */
    struct upg_share shares[UPG_MAX_RUNNING];
    struct upg_task *sharers[UPG_MAX_RUNNING];
    size_t n_shares;
};

/* admission.c */

/* Move waiting tasks to running as long as there is room. */
void upg_scheduler_admit(struct upg_scheduler *s);

/* Take all blocks from the youngest running task of the lowest priority, which waits again. */
void upg_scheduler_preempt(struct upg_scheduler *s);

/* Take the task's blocks away; its tokens stay. */
void upg_scheduler_release(struct upg_task *task);

/* Let the prefix cache know the task's full blocks. */
void upg_scheduler_keep_blocks(struct upg_scheduler *s, struct upg_task *task);

/* The client of a number, for one more task; NULL when out of memory. */
struct upg_client *upg_scheduler_client(struct upg_scheduler *s, uint64_t number);

/* One task of a client less. */
void upg_scheduler_leave(struct upg_scheduler *s, struct upg_client *client);

/* batch.c */

/* Make one step for the running tasks, of which there is at least one, and finish those that have
 * come to their end. */
void upg_scheduler_step(struct upg_scheduler *s);

/* Add up hidden states for embeddings: the engine's observer. */
void upg_scheduler_see_hidden(void *context, size_t n_layers, const float *rows, size_t n_rows,
                              size_t n_cols, size_t stride);

/* scheduler_thread.c */

/* What the thread does until is_stopping; context is the scheduler. */
void *upg_scheduler_run(void *context);

/* The gauges become true, and the statistics can be seen. */
void upg_scheduler_publish(struct upg_scheduler *s);

/* Remove a task from this list, tell its end and free it; err NULL: by `finish`. */
void upg_scheduler_finish(struct upg_scheduler *s, struct upg_task_list *list,
                          struct upg_task *task, upg_finish finish, const upg_error *err);

/* Remove tasks[i], keeping the order. */
static inline struct upg_task *upg_task_list_remove(struct upg_task_list *list, size_t i)
{
    struct upg_task *task = list->tasks[i];

    list->n--;
    for (; i < list->n; i++)
        list->tasks[i] = list->tasks[i + 1];
    return task;
}

#endif
