/* formula_model.h -- small models of the Phi-3 architecture whose weights come from a formula.
 *
 * Element i of the tensor NAME in a model of seed S is
 *     v = (upg_splitmix64(h + i * 0x9E3779B97F4A7C15) >> 40) * 2^-24 - 0.5,  h = fnv1a64(NAME) ^ S
 *     w = v * 2 * amp, or 1 + v / 2 for norms, rounded to bf16
 * with NAME as in a Hugging Face checkpoint and amp by the kind of tensor. */
#ifndef UPG_TESTS_FORMULA_MODEL_H
#define UPG_TESTS_FORMULA_MODEL_H

#include "model/model.h"

#include <jansson.h>

/* Build the model that the "config" and "variant" of a golden file describe.  The tokenizer stays
 * NULL.  Free with formula_model_clear(). */
void formula_model(struct upg_model *model, const json_t *golden);
void formula_model_clear(struct upg_model *model);

/* Prompt of n ids < n_vocab. */
void formula_prompt(int32_t *ids, size_t n, uint64_t seed, size_t n_vocab);

#endif
