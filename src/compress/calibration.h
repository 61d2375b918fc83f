/* calibration.h -- text for calibration, cut into windows of tokens. */
#ifndef UPG_COMPRESS_CALIBRATION_H
#define UPG_COMPRESS_CALIBRATION_H

#include "base/error.h"
#include "model/model.h"

/* Windows in an order that depends on the seed only.  The first n_held are kept for measuring, the
 * rest serve Hessians and tuning. */
struct upg_calibration {
    int32_t *ids; /* [n_windows, window], owned */
    size_t n_windows, window, n_held;
    uint64_t hash; /* xxh3 of the texts */
    char *source;  /* names of the texts, owned */
};

/* Tokenize the texts (n_paths 0: the one that comes with upg), special tokens parsed, and cut them
 * into windows; a rest shorter than a window is left out.
 * UPG_ERR_ARGUMENT if there are fewer than n_held + 1 windows. */
upg_status upg_calibration_open(struct upg_calibration *calibration, const upg_tokenizer *tokenizer,
                                const char *const *paths, size_t n_paths, size_t window,
                                size_t n_held, uint64_t seed, upg_error *err);

void upg_calibration_clear(struct upg_calibration *calibration);

/* The text that comes with upg: a mixture of encyclopaedia, stories, dialogues and source text. */
const char *upg_calibration_text(size_t *n_bytes);

#endif
