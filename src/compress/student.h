/* student.h -- forward and backward passes of a whole model over windows of text, in float32.
 *
 * The same code runs the original (its own weights) and a student (coded maps expanded with scales
 * that are being tuned). */
#ifndef UPG_COMPRESS_STUDENT_H
#define UPG_COMPRESS_STUDENT_H

#include "compress/dense_model.h"
#include "compress/tune.h"

/* Scales in float32 that replace a map's own, and their gradients with respect to a relative
 * change. */
struct upg_map_scales {
    float *row, *d_row;   /* [sum of padded_rows] */
    float *gain, *d_gain; /* [n_blocks] */
    size_t n_rows, n_blocks;
};

struct upg_trainer {
    struct upg_pool *pool;
    const struct upg_student *student;
    struct upg_map_scales *scales; /* [n_slots] */
    float **d_norms;               /* [n_norms] -> [d_model] gradients, relative */
    size_t n_slots, n_norms;
    size_t n_windows, window;
    struct upg_dense_pass pass;
    struct upg_dense_buffers buffers;
    float *inputs;                  /* [n_layers + 1, T, d_model] of the student */
    float *teacher;                 /* [T, d_model] the original's last hidden rows, normed */
    float *hidden, *d_hidden;       /* [T, d_model] */
    float *head;                    /* [n_vocab, d_model] */
    float *teacher_head;            /* [n_vocab, d_model] */
    float *logits, *teacher_logits; /* [UPG_HEAD_ROWS, n_vocab] */
    float *expand_scratch;          /* largest upg_coded_map_scratch() */
    float *rotated[2];              /* [T, widest padded map side] */
    struct upg_arena arena;
};

enum { UPG_HEAD_ROWS = 256 };

upg_status upg_trainer_init(struct upg_trainer *trainer, struct upg_pool *pool,
                            const struct upg_student *student, size_t n_windows, size_t window,
                            enum upg_dense_gradients gradients, upg_error *err);
void upg_trainer_clear(struct upg_trainer *trainer);

/* Called with chunks of n rows of logits [n, n_vocab] of teacher and student; row number of the
 * first in the batch.  May overwrite the student's logits with the loss's gradient. */
typedef void (*upg_logits_fn)(void *context, const float *teacher, float *student, size_t begin,
                              size_t n, size_t n_vocab);

/* Run teacher and student over ids [n_windows, window] and show the logits.  With gradients (the
 * trainer was made with them) the callback's gradients are carried back into d_row, d_gain and
 * d_norms. */
upg_status upg_trainer_run(struct upg_trainer *trainer, const int32_t *ids, upg_logits_fn on_logits,
                           void *context, enum upg_dense_gradients gradients, upg_error *err);

#endif
