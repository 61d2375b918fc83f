/* tune.h -- a last tuning of what costs no bits: row scales, gains and norms.
 *
 * The compressed model is the student, the original the teacher; Adam lowers KL(teacher || student)
 * on calibration text by the gradients of all scales at once, codes stay as they are.  For models
 * whose codes and one layer in float32 fit into memory. */
#ifndef UPG_COMPRESS_TUNE_H
#define UPG_COMPRESS_TUNE_H

#include "compress/calibration.h"
#include "compress/encode_map.h"
#include "model/model.h"

/* The student: a coded map for each slot of the original, and norms of its own. */
struct upg_student {
    const struct upg_model *original;
    struct upg_coded_map *maps; /* [n_slots] */
    float **norms;              /* [n_norms] -> [d_model], slots.h order */
};

struct upg_tune_options {
    size_t n_steps, windows_per_step;
    double learning_rate;     /* relative change of a scale a step, at its peak */
    upg_progress_fn progress; /* stage "tune" */
    void *progress_context;
};

/* How far the student is from the original on held windows, nats a token. */
struct upg_distance {
    size_t n_tokens;
    double kld_mean, kld_median, kld_p99, top1_agreement, ref_nll, nll;
};

/* Tune the student's row scales, gains and norms in place.  Row scales stay binary16; norms become
 * bfloat16 values.  If the held windows are not nearer to the original afterwards, everything is as
 * before.  Deterministic for any number of threads. */
upg_status upg_tune(struct upg_pool *pool, struct upg_student *student,
                    const struct upg_calibration *calibration,
                    const struct upg_tune_options *options, upg_error *err);

/* Distance on the calibration's held windows, second half of each. */
upg_status upg_student_distance(struct upg_pool *pool, const struct upg_student *student,
                                const struct upg_calibration *calibration,
                                struct upg_distance *distance, upg_error *err);

#endif
