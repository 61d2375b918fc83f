/* config.h -- a model's shape and constants as Hugging Face writes them in config.json.
 *
 * Read tolerantly where a field has no effect, and strictly where it has one: what this engine does
 * not compute is refused by the name of the field, never guessed. */
#ifndef UPG_MODEL_CONFIG_H
#define UPG_MODEL_CONFIG_H

#include "base/buffer.h"
#include "base/json.h"
#include "model/model.h"

/* Fill `config` from the object `json`; texts and factors go into the arena.  `where` names the
 * file in messages.  UPG_ERR_FORMAT for a missing or impossible value, UPG_ERR_UNSUPPORTED for a
 * setting that would change the computation. */
upg_status upg_config_parse(struct upg_config *config, struct upg_arena *arena, const json_t *json,
                            const char *where, upg_error *err);

/* Append the ids of eos_token_id (an integer, a list of integers, null or absent) that are not in
 * `ids` yet. */
upg_status upg_config_stop_ids(const json_t *json, const char *where, upg_tokens *ids,
                               upg_error *err);

/* LongRoPE's factor of cos and sin, sqrt(1 + ln(S) / ln(O)), for a context that is S times the
 * original O; 1 if it is not longer (transformers, modeling_rope_utils). */
double upg_long_rope_magnitude(double stretch, double original_context);

/* The same as a JSON object that upg_config_parse() and transformers read back.  The caller owns
 * it; NULL when out of memory. */
json_t *upg_config_to_json(const struct upg_config *config, const upg_tokens *stop_ids);

/* The published values of a family member ("phi-4", "phi-4-reasoning", "phi-4-mini"); false if there
 * is none of this name.  Everything that the config points to lives forever. */
bool upg_config_of_member(struct upg_config *config, const char *name);

/* Compare a config that has the shape of a known family member with that member's published values.
 * Other shapes pass.  UPG_ERR_FORMAT names field, found and expected value. */
upg_status upg_config_check_family(const struct upg_config *config, const char *where,
                                   upg_error *err);

#endif
