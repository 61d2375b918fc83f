/* slots.c -- walking a model. */
#include "model/slots.h"

#include <stdio.h>

enum { SLOTS_OF_LAYER = 4, NORMS_OF_LAYER = 2 };

size_t upg_n_slots(const struct upg_config *config)
{
    return 1 + SLOTS_OF_LAYER * config->n_layers + (config->tied_embeddings ? 0 : 1);
}

static void set_linear(struct upg_slot *slot, struct upg_linear *linear, size_t n_rows,
                       size_t n_cols)
{
    slot->linear = linear;
    slot->parts = linear->part;
    slot->max_parts = UPG_MAX_PARTS;
    slot->n_rows = n_rows;
    slot->n_cols = n_cols;
}

static void set_layer_slot(struct upg_slot *slot, const struct upg_config *c,
                           struct upg_layer *layer, size_t number)
{
    static const char *const names[] = {
        [UPG_SLOT_QKV] = "self_attn.qkv_proj",
        [UPG_SLOT_O] = "self_attn.o_proj",
        [UPG_SLOT_GATE_UP] = "mlp.gate_up_proj",
        [UPG_SLOT_DOWN] = "mlp.down_proj",
    };
    const size_t q_rows = c->n_heads * c->head_dim, kv_rows = c->n_kv_heads * c->head_dim;

    snprintf(slot->name, sizeof slot->name, "model.layers.%zu.%s", number, names[slot->kind]);
    if (slot->kind == UPG_SLOT_QKV)
        set_linear(slot, &layer->qkv, q_rows + 2 * kv_rows, c->d_model);
    else if (slot->kind == UPG_SLOT_O)
        set_linear(slot, &layer->o, c->d_model, q_rows);
    else if (slot->kind == UPG_SLOT_GATE_UP)
        set_linear(slot, &layer->gate_up, 2 * c->d_ff, c->d_model);
    else
        set_linear(slot, &layer->down, c->d_model, c->d_ff);
}

struct upg_slot upg_slot_of(const struct upg_model *model, size_t i)
{
    const struct upg_config *c = &model->config;
    struct upg_model *writable = (struct upg_model *)model; /* readers fill what they walk */
    struct upg_slot slot = {0};

    if (i == 0) {
        slot.kind = UPG_SLOT_EMBEDDING;
        snprintf(slot.name, sizeof slot.name, "model.embed_tokens");
        slot.parts = &writable->embedding;
        slot.max_parts = 1;
        slot.n_rows = c->n_vocab;
        slot.n_cols = c->d_model;
    } else if (i <= SLOTS_OF_LAYER * c->n_layers) {
        const size_t number = (i - 1) / SLOTS_OF_LAYER;
        slot.kind = (enum upg_slot_kind)(UPG_SLOT_QKV + (i - 1) % SLOTS_OF_LAYER);
        set_layer_slot(&slot, c, &model->layers[number], number);
    } else {
        slot.kind = UPG_SLOT_HEAD;
        snprintf(slot.name, sizeof slot.name, "lm_head");
        set_linear(&slot, &writable->head, c->n_vocab, c->d_model);
    }
    return slot;
}

size_t upg_slot_n_parts(const struct upg_slot *slot)
{
    return slot->linear ? slot->linear->n_parts : 1;
}

size_t upg_n_norms(const struct upg_config *config)
{
    return NORMS_OF_LAYER * config->n_layers + 1;
}

struct upg_norm upg_norm_of(const struct upg_model *model, size_t i)
{
    const size_t number = i / NORMS_OF_LAYER;
    struct upg_norm norm = {0};

    if (number == model->config.n_layers) {
        snprintf(norm.name, sizeof norm.name, "model.norm.weight");
        norm.values = &((struct upg_model *)model)->norm;
    } else {
        const bool is_first = i % NORMS_OF_LAYER == 0;
        struct upg_layer *layer = &model->layers[number];
        snprintf(norm.name, sizeof norm.name, "model.layers.%zu.%s.weight", number,
                 is_first ? "input_layernorm" : "post_attention_layernorm");
        norm.values = is_first ? &layer->attention_norm : &layer->mlp_norm;
    }
    return norm;
}
