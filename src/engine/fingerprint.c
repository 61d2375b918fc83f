/* fingerprint.c -- see fingerprint.h. */
#include "engine/fingerprint.h"

#include <string.h>
#include <xxhash.h>

enum { SAMPLE_BYTES = 4096 };

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    return XXH3_64bits_withSeed(bytes, n, hash);
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof number);
}

static uint64_t mix_double(uint64_t hash, double number)
{
    return mix(hash, &number, sizeof number);
}

/* Beginning, middle and end of a matrix: models that were trained or compressed apart differ there.
 * To read all of it would take as long as to read the whole file. */
static uint64_t mix_matrix(uint64_t hash, const struct upg_matrix *m)
{
    const char *bytes = m->data;
    const size_t n = m->n_bytes < SAMPLE_BYTES ? m->n_bytes : SAMPLE_BYTES;

    hash = mix_number(hash, (uint64_t)m->type);
    hash = mix_number(hash, m->n_rows);
    hash = mix_number(hash, m->n_cols);
    hash = mix(hash, bytes, n);
    hash = mix(hash, bytes + (m->n_bytes - n) / 2, n);
    hash = mix(hash, bytes + m->n_bytes - n, n);
    if (m->row_scale)
        hash = mix(hash, m->row_scale, m->n_rows * sizeof *m->row_scale);
    return hash;
}

static uint64_t mix_linear(uint64_t hash, const struct upg_linear *linear)
{
    for (size_t i = 0; i < linear->n_parts; i++)
        hash = mix_matrix(hash, &linear->part[i]);
    return hash;
}

static uint64_t mix_config(uint64_t hash, const struct upg_config *c)
{
    const uint64_t numbers[] = {c->n_layers,   c->d_model,    c->d_ff,
                                c->n_heads,    c->n_kv_heads, c->head_dim,
                                c->rotary_dim, c->n_vocab,    c->interleaved_pairs};
    const struct upg_long_rope *lr = &c->long_rope;

    hash = mix(hash, numbers, sizeof numbers);
    hash = mix_double(hash, c->rope_theta);
    hash = mix_double(hash, c->norm_eps);
    if (lr->present) {
        hash = mix_number(hash, lr->original_context);
        hash = mix_double(hash, lr->magnitude);
        hash = mix(hash, lr->short_factor, c->rotary_dim / 2 * sizeof *lr->short_factor);
        hash = mix(hash, lr->long_factor, c->rotary_dim / 2 * sizeof *lr->long_factor);
    }
    return hash;
}

uint64_t upg_engine_fingerprint(const upg_engine *engine)
{
    const struct upg_model *model = engine->model;
    const size_t norm_bytes = model->config.d_model * sizeof(float);
    uint64_t hash = mix(0, engine->tier, strlen(engine->tier));

    hash = mix_number(hash, (uint64_t)engine->cache.type);
    hash = mix_config(hash, &model->config);
    hash = mix_matrix(hash, &model->embedding);
    for (size_t i = 0; i < model->config.n_layers; i++) {
        const struct upg_layer *layer = &model->layers[i];

        hash = mix(hash, layer->attention_norm, norm_bytes);
        hash = mix(hash, layer->mlp_norm, norm_bytes);
        hash = mix_linear(hash, &layer->qkv);
        hash = mix_linear(hash, &layer->o);
        hash = mix_linear(hash, &layer->gate_up);
        hash = mix_linear(hash, &layer->down);
    }
    return hash;
}
