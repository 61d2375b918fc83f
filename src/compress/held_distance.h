/* held_distance.h -- how far a student's predictions are from the original's, on windows of text
 * that nothing was fitted to. */
#ifndef UPG_COMPRESS_HELD_DISTANCE_H
#define UPG_COMPRESS_HELD_DISTANCE_H

#include "upg/upg.h"

#include <stddef.h>
#include <stdint.h>

/* In nats a token, over the second half of each window. */
struct upg_distance {
    size_t n_tokens;
    double kld_mean, kld_median, kld_p99, top1_agreement, ref_nll, nll;
};

/* What has been seen so far. */
struct upg_held_rows {
    const int32_t *ids; /* [any, window] the windows that rows are numbered in; set by the caller */
    size_t window, n;
    double *kld; /* [n_windows * window / 2, rounded up], owned */
    double nll, ref_nll;
    size_t n_targets, n_same;
};

/* Room for n_windows windows. */
upg_status upg_held_rows_init(struct upg_held_rows *rows, size_t n_windows, size_t window,
                              upg_error *err);

/* Take in n rows of logits of both [n, n_vocab]; the first is row number `begin` of `ids`.  Rows of
 * the first half of a window are passed over.  (The form of upg_logits_fn; context: the rows.) */
void upg_held_rows_add(void *context, const float *teacher, float *student, size_t begin, size_t n,
                       size_t n_vocab);

/* The distance over all rows so far, at least one of them a window's last but one. */
struct upg_distance upg_held_rows_distance(struct upg_held_rows *rows);

void upg_held_rows_clear(struct upg_held_rows *rows);

/* log(sum of exp(x[0 .. n))), in double. */
double upg_log_sum_exp(const float *x, size_t n);

#endif
