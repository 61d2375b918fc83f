/* sensitivity.h -- how much an error in each row of each matrix moves the model's output.
 *
 * To second order KL(original || perturbed) = 1/2 delta^T F delta with F the Fisher matrix of the
 * next-token distribution.  With labels sampled from the model itself, gradients g of the summed
 * log-likelihood have E[g g^T] = F.  For independent errors of variance v in the weights of row r,
 *
 *     KL a token = v * s_r,   s_r = 1/2 mean over tokens of g[t, r]^2 |x_t|^2
 *
 * One forward and one backward pass give s for every row of the model.  (Used in this form by
 * Hassibi & Stork 1992 for weights; here for rows.) */
#ifndef UPG_COMPRESS_SENSITIVITY_H
#define UPG_COMPRESS_SENSITIVITY_H

#include "base/pool.h"
#include "model/model.h"

enum upg_map_kind { UPG_MAP_QKV, UPG_MAP_O, UPG_MAP_GATE_UP, UPG_MAP_DOWN, UPG_N_LAYER_MAPS };

/* loss[r] is s_r times the mean square of row r's weights: the KL a token for a relative squared
 * error (NMSE) of 1 in that row. */
struct upg_sensitivity {
    double *embedding;                  /* [n_vocab]; with a tied head, of both uses */
    double *head;                       /* [n_vocab]; NULL with a tied head */
    double *(*layer)[UPG_N_LAYER_MAPS]; /* [n_layers][4] -> [n_rows of the map] */
    float *head_hessian;                /* [d_model, d_model] mean of x x^T at the head */
    float *hidden;                      /* [n_windows, window, d_model] rows at the head, normed */
    double nll;                         /* nats a token of the first window */
    struct upg_arena arena;             /* owns all of it */
};

/* ids [n_windows, window] of the original model.  progress: stage "sensitivity", a unit a layer and
 * direction. */
upg_status upg_sensitivity_measure(struct upg_sensitivity *sensitivity, struct upg_pool *pool,
                                   const struct upg_model *model, const int32_t *ids,
                                   size_t n_windows, size_t window, uint64_t seed,
                                   upg_progress_fn progress, void *progress_context,
                                   upg_error *err);

void upg_sensitivity_clear(struct upg_sensitivity *sensitivity);

#endif
