/* plan.h -- how many bits each matrix gets.
 *
 * A slot (slots.h) is cut into parts that have one meaning and so one sensitivity: q, k and v, gate
 * and up, and the head's rows by how often their tokens occur (the ids of a BPE vocabulary are in
 * that order, roughly).  Starting from the fewest bits, the part whose next bit buys most for its
 * bytes gets it, until the size is reached. */
#ifndef UPG_COMPRESS_PLAN_H
#define UPG_COMPRESS_PLAN_H

#include "compress/encode_map.h"
#include "compress/sensitivity.h"
#include "model/model.h"

#include <stdbool.h>

struct upg_plan_part {
    size_t n_rows;
    int k;
    double loss; /* KL a token if the part's weights were lost (NMSE 1), to second order */
};

struct upg_plan_slot {
    size_t n_parts, n_cols;
    struct upg_plan_part part[UPG_MAX_PARTS];
};

struct upg_plan {
    struct upg_plan_slot *slots; /* [n_slots], owned */
    size_t n_slots;
    uint64_t n_file_bytes; /* of the file that this plan makes, at most */
    double predicted_kl;   /* nats a token */
};

/* Mean squared error of the code on a unit Gaussian; what the encoder reaches at normal effort. */
double upg_plan_nmse(int k);

/* The plan for a file of at most max_bytes.
 *
 *   fixed_bytes  of the file besides codes (header, scales, norms, tokenizer), for `slots_begin`
 * UPG_ERR_ARGUMENT if even 2 bits everywhere are too many, naming both sizes. */
upg_status upg_plan_make(struct upg_plan *plan, const struct upg_model *model,
                         const struct upg_sensitivity *sensitivity, uint64_t fixed_bytes,
                         uint64_t max_bytes, upg_error *err);

/* Cut the model's slots into parts, all with k bits: what upg_plan_make() starts from. */
upg_status upg_plan_start(struct upg_plan *plan, const struct upg_model *model, int k,
                          upg_error *err);

/* A slot's map with the layout that the plan has for it, all else zero.  Slots and seeds have signs
 * of their own. */
struct upg_coded_map upg_plan_map(const struct upg_plan *plan, size_t slot, uint64_t seed);

/* Bytes of all codes. */
uint64_t upg_plan_code_bytes(const struct upg_plan *plan);

void upg_plan_clear(struct upg_plan *plan);

#endif
