/* tune.c -- Adam on the logarithms of scales (Kingma & Ba 2015), cosine schedule, held-out check. */
#include "compress/tune.h"

#include "base/half.h"
#include "compress/held_distance.h"
#include "compress/student.h"
#include "model/slots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 20, HELD_BATCH = 4 };

static const double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-12;

/* ---- Loss ---- */

struct kl_rows {
    struct upg_pool *pool;
    const float *teacher;
    float *student;
    size_t n, n_vocab;
    float scale; /* 1 / tokens of the batch */
};

/* student := (softmax(student) - softmax(teacher)) * scale, the gradient of the mean KL. */
static void gradient_rows(void *context, size_t thread, size_t n_threads)
{
    const struct kl_rows *k = context;

    for (size_t row = thread; row < k->n; row += n_threads) {
        const float *p = k->teacher + row * k->n_vocab;
        float *q = k->student + row * k->n_vocab;
        const float lp = (float)upg_log_sum_exp(p, k->n_vocab),
                    lq = (float)upg_log_sum_exp(q, k->n_vocab);
        for (size_t i = 0; i < k->n_vocab; i++)
            q[i] = (expf(q[i] - lq) - expf(p[i] - lp)) * k->scale;
    }
}

static void kl_gradient(void *context, const float *teacher, float *student, size_t begin, size_t n,
                        size_t n_vocab)
{
    struct kl_rows *k = context;
    (void)begin;

    k->teacher = teacher;
    k->student = student;
    k->n = n;
    k->n_vocab = n_vocab;
    upg_pool_run(k->pool, gradient_rows, k);
}

/* ---- Distance on held windows ---- */

static upg_status held_distance(struct upg_trainer *trainer,
                                const struct upg_calibration *calibration,
                                struct upg_distance *distance, upg_error *err)
{
    const size_t n_held = calibration->n_held, window = calibration->window;
    struct upg_held_rows rows;
    upg_status status = upg_held_rows_init(&rows, n_held, window, err);

    for (size_t i = 0; i + trainer->n_windows <= n_held && status == UPG_OK;
         i += trainer->n_windows) {
        rows.ids = calibration->ids + i * window;
        status = upg_trainer_run(trainer, rows.ids, upg_held_rows_add, &rows,
                                 UPG_DENSE_FORWARD_ONLY, err);
    }
    if (status == UPG_OK)
        *distance = upg_held_rows_distance(&rows);
    upg_held_rows_clear(&rows);
    return status;
}

static size_t held_batch(const struct upg_calibration *calibration)
{
    return calibration->n_held % HELD_BATCH == 0 ? HELD_BATCH : 1;
}

upg_status upg_student_distance(struct upg_pool *pool, const struct upg_student *student,
                                const struct upg_calibration *calibration,
                                struct upg_distance *distance, upg_error *err)
{
    struct upg_trainer trainer;
    upg_status status = upg_trainer_init(&trainer, pool, student, held_batch(calibration),
                                         calibration->window, UPG_DENSE_FORWARD_ONLY, err);

    if (status == UPG_OK)
        status = held_distance(&trainer, calibration, distance, err);
    upg_trainer_clear(&trainer);
    return status;
}

/* ---- Adam ---- */

/* One group of values with their gradients; moments in one allocation. */
struct parameters {
    float *values;
    const float *gradient;
    size_t n;
    double *first, *second; /* [n] */
};

static void adam_step(struct parameters *p, size_t step, double rate)
{
    const double correct1 = 1.0 - pow(beta1, (double)step);
    const double correct2 = 1.0 - pow(beta2, (double)step);

    for (size_t i = 0; i < p->n; i++) {
        const double g = (double)p->gradient[i];
        p->first[i] = beta1 * p->first[i] + (1.0 - beta1) * g;
        p->second[i] = beta2 * p->second[i] + (1.0 - beta2) * g * g;
        p->values[i] *= (float)(1.0 - rate * p->first[i] / correct1 /
                                          (sqrt(p->second[i] / correct2) + epsilon));
    }
}

static size_t list_parameters(struct upg_trainer *trainer, struct parameters *list)
{
    const size_t d = trainer->student->original->config.d_model;
    size_t n = 0;

    for (size_t i = 0; i < trainer->n_slots; i++) {
        struct upg_map_scales *s = &trainer->scales[i];
        list[n++] = (struct parameters){.values = s->row, .gradient = s->d_row, .n = s->n_rows};
        list[n++] = (struct parameters){.values = s->gain, .gradient = s->d_gain, .n = s->n_blocks};
    }
    for (size_t i = 0; i < trainer->n_norms; i++)
        list[n++] = (struct parameters){
            .values = trainer->student->norms[i], .gradient = trainer->d_norms[i], .n = d};
    return n;
}

static upg_status allocate_moments(struct parameters *list, size_t n, struct upg_arena *arena,
                                   upg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        list[i].first = upg_arena_alloc(arena, list[i].n, sizeof(double));
        list[i].second = upg_arena_alloc(arena, list[i].n, sizeof(double));
        if (!list[i].first || !list[i].second)
            return upg_fail_memory(err, "moments", list[i].n * sizeof(double));
    }
    return UPG_OK;
}

/* Linear warm-up, then half a cosine down to 0. */
static double rate_at(const struct upg_tune_options *options, size_t step)
{
    const double warm = fmin(1.0, (double)(step + 1) / WARM_UP);
    const double pi = 3.14159265358979323846;

    return options->learning_rate * warm *
           (0.5 + 0.5 * cos(pi * (double)step / (double)options->n_steps));
}

static upg_status run_steps(struct upg_trainer *trainer, const struct upg_calibration *calibration,
                            const struct upg_tune_options *options, struct parameters *list,
                            size_t n_lists, upg_error *err)
{
    const size_t window = calibration->window, per_step = trainer->n_windows;
    const size_t n_batches = (calibration->n_windows - calibration->n_held) / per_step;
    struct kl_rows loss = {.pool = trainer->pool, .scale = 1.0f / (float)(per_step * window)};

    for (size_t step = 0; step < options->n_steps; step++) {
        const size_t first = calibration->n_held + step % n_batches * per_step;
        const upg_status status = upg_trainer_run(trainer, calibration->ids + first * window,
                                                  kl_gradient, &loss, UPG_DENSE_GRADIENTS, err);
        if (status != UPG_OK)
            return status;
        for (size_t i = 0; i < n_lists; i++)
            adam_step(&list[i], step + 1, rate_at(options, step));
        if (options->progress &&
            options->progress(options->progress_context, "tune", step + 1, options->n_steps))
            return upg_fail(err, UPG_ERR_CANCELLED, "stopped while scales were tuned");
    }
    return UPG_OK;
}

/* Round norms to what most files store them in. */
static void round_norms(const struct upg_trainer *trainer)
{
    const size_t d = trainer->student->original->config.d_model;

    for (size_t i = 0; i < trainer->n_norms; i++)
        for (size_t j = 0; j < d; j++) {
            float *value = &trainer->student->norms[i][j];
            *value = upg_bf16_to_f32(upg_f32_to_bf16(*value));
        }
}

/* Round the trainer's scales to what the file stores, and hand them to the student. */
static void take_scales(const struct upg_trainer *trainer, const struct upg_student *student)
{
    for (size_t i = 0; i < trainer->n_slots; i++) {
        struct upg_coded_map *map = &student->maps[i];
        const float *row = trainer->scales[i].row;
        for (size_t i_part = 0; i_part < map->n_parts; i_part++) {
            struct upg_coded_part *part = &map->part[i_part];
            for (size_t r = 0; r < part->padded_rows; r++, row++)
                if (part->k == UPG_PLAIN_BITS)
                    part->row_step[r] = *row;
                else
                    part->row_scale[r] = upg_f32_to_f16(*row);
        }
        memcpy(map->gain, trainer->scales[i].gain, map->n_blocks * sizeof *map->gain);
    }
}

static void copy_parameters(const struct parameters *list, size_t n_lists, float *copy, int back)
{
    for (size_t i = 0; i < n_lists; copy += list[i].n, i++)
        memcpy(back ? list[i].values : copy, back ? copy : list[i].values,
               list[i].n * sizeof *copy);
}

upg_status upg_tune(struct upg_pool *pool, struct upg_student *student,
                    const struct upg_calibration *calibration,
                    const struct upg_tune_options *options, struct upg_distance *distance,
                    upg_error *err)
{
    const size_t n_max =
        2 * upg_n_slots(&student->original->config) + upg_n_norms(&student->original->config);
    const size_t n_available = calibration->n_windows - calibration->n_held;
    const size_t per_step =
        options->windows_per_step < n_available ? options->windows_per_step : n_available;
    struct parameters *list = calloc(n_max, sizeof *list);
    struct upg_distance after;
    struct upg_trainer trainer = {0};
    struct upg_arena arena = {0};
    float *backup = NULL;
    size_t n_lists = 0, n_values = 0;
    upg_status status = list ? UPG_OK : upg_fail_memory(err, "tuning", n_max * sizeof *list);

    if (status == UPG_OK)
        status = upg_trainer_init(&trainer, pool, student, per_step, calibration->window,
                                  UPG_DENSE_GRADIENTS, err);
    if (status != UPG_OK)
        goto done;
    n_lists = list_parameters(&trainer, list);
    for (size_t i = 0; i < n_lists; i++)
        n_values += list[i].n;
    backup = upg_arena_alloc(&arena, n_values, sizeof *backup);
    status = backup ? allocate_moments(list, n_lists, &arena, err)
                    : upg_fail_memory(err, "tuning", n_values * sizeof *backup);
    if (status != UPG_OK)
        goto done;
    copy_parameters(list, n_lists, backup, 0);
    status = run_steps(&trainer, calibration, options, list, n_lists, err);
    if (status == UPG_OK) {
        take_scales(&trainer, student);
        round_norms(&trainer);
        status = upg_student_distance(pool, student, calibration, &after, err);
    }
    if (status != UPG_OK || after.kld_mean >= distance->kld_mean) {
        copy_parameters(list, n_lists, backup, 1);
        take_scales(&trainer, student);
    } else {
        *distance = after;
    }
done:
    upg_trainer_clear(&trainer);
    upg_arena_clear(&arena);
    free(list);
    return status;
}
