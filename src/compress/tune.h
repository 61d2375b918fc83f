/* tune.h -- a last tuning of what costs no bits: row scales, gains and norms.
 *
 * The compressed model is the student, the original the teacher; Adam lowers KL(teacher || student)
 * on calibration text by the gradients of all scales at once, codes stay as they are.  For models
 * whose codes and one layer in float32 fit into memory. */
#ifndef UPG_COMPRESS_TUNE_H
#define UPG_COMPRESS_TUNE_H

#include "compress/calibration.h"
#include "compress/encode_map.h"
#include "compress/held_distance.h"
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

/* Tune the student's row scales, gains and norms in place.  Row scales stay binary16; norms become
 * bfloat16 values.  `distance` on the calibration's held windows is the student's before, and becomes
 * what it is afterwards; if that is not less, everything stays as it was.  Deterministic for any
 * number of threads. */
upg_status upg_tune(struct upg_pool *pool, struct upg_student *student,
                    const struct upg_calibration *calibration,
                    const struct upg_tune_options *options, struct upg_distance *distance,
                    upg_error *err);

/* The student's distance on the calibration's held windows. */
upg_status upg_student_distance(struct upg_pool *pool, const struct upg_student *student,
                                const struct upg_calibration *calibration,
                                struct upg_distance *distance, upg_error *err);

#endif
