/* golden.h -- the golden files of tests/data/engine/logits, and the models that belong to them. */
#ifndef UPG_TESTS_GOLDEN_H
#define UPG_TESTS_GOLDEN_H

#include "engine/formula_model.h"

#include "engine/engine.h"

struct golden {
    json_t *json;
    float *values; /* the .bin file */
    struct upg_model model;
};

struct golden_prompt {
    int32_t *ids; /* [n_ids], owned by the caller */
    size_t n_ids;
    const float *logits; /* [n_logits, n_vocab] of the last n_logits positions */
    size_t n_logits;
    const json_t *json;
};

/* Open tests/data/engine/logits/NAME.json; fails the test that called it when that is not
 * possible. */
void golden_open(struct golden *golden, const char *name);
void golden_close(struct golden *golden);

/* Options for tests: two threads, float32 cache, the tier that UPG_CPU allows. */
upg_engine_options golden_options(void);

/* An engine on the golden's model; NULL: golden_options().  Fails the test when it cannot be. */
upg_engine *golden_engine(const struct golden *golden, const upg_engine_options *options);

size_t golden_n_prompts(const struct golden *golden);
struct golden_prompt golden_prompt(const struct golden *golden, size_t i);

/* Ids of a JSON array; the caller frees them. */
int32_t *golden_ids(const json_t *array, size_t *n);

/* The floats that an object with "offset" describes. */
const float *golden_values(const struct golden *golden, const json_t *object);

#endif
