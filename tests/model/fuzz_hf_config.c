/* Fuzz target: config.json.  What is accepted is written and read back to the same. */
#include "model/config.h"
#include "text/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_same(const struct upg_config *a, const struct upg_config *b)
{
    check(a->architecture == b->architecture && a->n_layers == b->n_layers &&
          a->d_model == b->d_model && a->d_ff == b->d_ff && a->n_heads == b->n_heads &&
          a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim &&
          a->rotary_dim == b->rotary_dim && a->n_vocab == b->n_vocab && a->context == b->context);
    check(a->rope_theta == b->rope_theta && a->norm_eps == b->norm_eps &&
          a->tied_embeddings == b->tied_embeddings &&
          a->interleaved_pairs == b->interleaved_pairs &&
          a->long_rope.present == b->long_rope.present);
    for (size_t i = 0; a->long_rope.present && i < a->rotary_dim / 2; i++)
        check(a->long_rope.short_factor[i] == b->long_rope.short_factor[i] &&
              a->long_rope.long_factor[i] == b->long_rope.long_factor[i]);
}

static void check_round_trip(const struct upg_config *config, const upg_tokens *ids,
                             struct upg_arena *arena)
{
    struct upg_config again = {0};
    upg_tokens ids_again = {0};
    upg_error err;
    json_t *json = upg_config_to_json(config, ids);

    check(json != NULL);
    check(upg_config_parse(&again, arena, json, "written", &err) == UPG_OK);
    check(upg_config_stop_ids(json, "written", &ids_again, &err) == UPG_OK);
    check(ids->n == ids_again.n);
    check_same(config, &again);
    upg_tokens_clear(&ids_again);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upg_config config = {0};
    struct upg_arena arena = {0};
    upg_tokens ids = {0};
    json_t *json = NULL;
    upg_error err;

    if (upg_json_parse(&json, "input", (const char *)data, size, &err) == UPG_OK &&
        upg_config_parse(&config, &arena, json, "input", &err) == UPG_OK &&
        upg_config_stop_ids(json, "input", &ids, &err) == UPG_OK) {
        check_round_trip(&config, &ids, &arena);
        (void)upg_config_check_family(&config, "input", &err);
    }
    json_decref(json);
    upg_tokens_clear(&ids);
    upg_arena_clear(&arena);
    return 0;
}
