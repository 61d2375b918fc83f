/* synth.c -- upg_synth(): models of a real shape with random weights.
 *
 * Every row (or run of codes) has a stream of random numbers of its own, so threads do not change
 * what comes out. */
#include "base/arena.h"
#include "base/half.h"
#include "base/random.h"
#include "compress/plan.h"
#include "model/config.h"
#include "model/export.h"
#include "model/slots.h"
#include "model/upg_writer.h"
#include "text/byte_alphabet.h"
#include "text/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_QUANTILES = 1 << 16, /* of the Gaussian; one for each 16 random bits */
    OUTLIER_COLUMN = 512,  /* one column of so many is eight times as large, */
    OUTLIER_ROW = 1024,    /* one row of so many four times */
    METADATA_RESERVE = 512,
    CODE_RUN = 1 << 16 /* bytes of codes from one stream */
};

static const double default_bits_per_weight = 3.2;

struct synth {
    const upg_synth_options *options;
    const char *destination, *shape;
    struct upg_model model; /* config, norms, tokenizer; matrices have shapes only */
    struct upg_pool *pool;
    struct upg_plan plan;
    struct upg_arena arena;
    float *quantiles; /* [N_QUANTILES] of the unit Gaussian */
};

void upg_synth_options_defaults(upg_synth_options *options)
{
    *options = (upg_synth_options){.size = sizeof *options, .seed = 1};
}

/* ---- What every model has ---- */

static upg_status choose_config(struct synth *s, upg_error *err)
{
    static const struct {
        const char *name;
        size_t n_layers, d_model, d_ff, n_heads, n_kv_heads;
        bool tied;
    } small[] = {{"tiny", 6, 512, 1792, 8, 2, true}, {"small", 10, 768, 2688, 12, 3, false}};
    struct upg_config *config = &s->model.config;

    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        if (strcmp(s->shape, small[i].name) == 0)
            *config = (struct upg_config){.architecture = "Phi3ForCausalLM",
                                          .n_layers = small[i].n_layers,
                                          .d_model = small[i].d_model,
                                          .d_ff = small[i].d_ff,
                                          .n_heads = small[i].n_heads,
                                          .n_kv_heads = small[i].n_kv_heads,
                                          .head_dim = 64,
                                          .rotary_dim = 64,
                                          .n_vocab = 8192,
                                          .context = 2048,
                                          .rope_theta = 250000,
                                          .norm_eps = 1e-5,
                                          .tied_embeddings = small[i].tied};
    if (config->n_layers == 0 && !upg_config_of_member(config, s->shape))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "shape: '%s' is not one of phi-4, phi-4-reasoning, phi-4-mini, small, tiny",
                        s->shape);
    if (s->options->n_layers > 1024)
        return upg_fail(err, UPG_ERR_ARGUMENT, "layers: %zu are too many; at most 1024",
                        s->options->n_layers);
    if (s->options->n_layers > 0)
        config->n_layers = s->options->n_layers;
    return UPG_OK;
}

static upg_status make_norms(struct synth *s, upg_error *err)
{
    const struct upg_config *config = &s->model.config;
    float *ones = upg_arena_alloc(&s->arena, config->d_model, sizeof *ones);

    s->model.layers = upg_arena_alloc(&s->arena, config->n_layers, sizeof *s->model.layers);
    if (!ones || !s->model.layers)
        return upg_fail_memory(err, "layers", config->n_layers * sizeof *s->model.layers);
    for (size_t i = 0; i < config->d_model; i++)
        ones[i] = 1.0F;
    for (size_t i = 0; i < upg_n_norms(config); i++)
        *upg_norm_of(&s->model, i).values = ones;
    return UPG_OK;
}

/* The 256 bytes, syllables of three letters that no merge makes, so that what the model says can be
 * read, and at the end the control tokens of a chat. */
static upg_status make_tokenizer(struct synth *s, upg_error *err)
{
    static const char *const control[] = {"<|endoftext|>", "<|im_start|>", "<|im_sep|>",
                                          "<|im_end|>"};
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    enum { NORMAL = 1, CONTROL = 3, N_CONTROL = 4, TEXT_BYTES = 3 };
    const size_t n = s->model.config.n_vocab;
    struct upg_text_span *tokens = upg_arena_alloc(&s->arena, n, sizeof *tokens);
    int32_t *types = upg_arena_alloc(&s->arena, n, sizeof *types);
    char *text = upg_arena_alloc(&s->arena, n, TEXT_BYTES);
    upg_status status;

    if (!tokens || !types || !text)
        return upg_fail_memory(err, "the vocabulary", n * sizeof *tokens);
    for (size_t id = 0; id < n; id++, text += TEXT_BYTES) {
        const char byte = (char)id;
        if (id >= 256)
            for (size_t i = 0; i < TEXT_BYTES; i++)
                text[i] = letters[id >> (6 * i) & 63];
        tokens[id].text = text;
        tokens[id].n = id < 256 ? upg_bytes_to_spelling(&byte, 1, text) : TEXT_BYTES;
        types[id] = NORMAL;
    }
    for (size_t i = 0; i < N_CONTROL; i++) {
        tokens[n - N_CONTROL + i] = (struct upg_text_span){control[i], strlen(control[i])};
        types[n - N_CONTROL + i] = CONTROL;
    }
    status = upg_tokenizer_from_arrays(
        &s->model.tokenizer, s->destination,
        &(struct upg_tokenizer_arrays){
            .model = "gpt2", .pre = "dbrx", .tokens = tokens, .types = types, .n_tokens = n},
        err);
    return status == UPG_OK ? upg_tokenizer_stop_ids(s->model.tokenizer, &s->model.stop_ids, err)
                            : status;
}

/* ---- Weights in bfloat16 ---- */

/* Quantile i is where the distribution function is (i + 1/2) / N; by Newton's method from the one
 * before. */
static upg_status make_quantiles(struct synth *s, upg_error *err)
{
    static const double density_at_0 = 0.3989422804014327; /* 1 / sqrt(2 pi) */
    double x = 0.0;

    s->quantiles = upg_arena_alloc(&s->arena, N_QUANTILES, sizeof *s->quantiles);
    if (!s->quantiles)
        return upg_fail_memory(err, "quantiles", N_QUANTILES * sizeof *s->quantiles);
    for (size_t i = N_QUANTILES / 2; i < N_QUANTILES; i++) {
        const double beyond = 1.0 - ((double)i + 0.5) / N_QUANTILES;
        for (int step = 0; step < 6; step++)
            x += (0.5 * erfc(x * 0.7071067811865476) - beyond) / (density_at_0 * exp(-0.5 * x * x));
        s->quantiles[i] = (float)x;
        s->quantiles[N_QUANTILES - 1 - i] = (float)-x;
    }
    return UPG_OK;
}

static uint64_t hash_name(const char *name, uint64_t seed)
{
    for (; *name; name++)
        seed = upg_splitmix64(seed ^ (uint8_t)*name);
    return seed;
}

/* Multiplying by a power of two adds to the exponent: no quantile is zero or large. */
static uint16_t times_power(uint16_t bits, unsigned power)
{
    return (uint16_t)(bits + (power << 7));
}

static void fill_rows(void *context, const struct upg_export_tensor *tensor, size_t begin, size_t n,
                      uint16_t *bits)
{
    const struct synth *s = context;
    const size_t n_cols = tensor->n_cols;
    const float scale = 1.0F / sqrtf((float)n_cols);
    const uint64_t seed = hash_name(tensor->name, s->options->seed);
    const size_t first_column = (size_t)(seed % OUTLIER_COLUMN);

    for (size_t row = begin; row < begin + n; row++, bits += n_cols) {
        struct upg_random random = {upg_splitmix64(seed + row)};
        const bool is_outlier = (upg_random_u64(&random) & (OUTLIER_ROW - 1)) == 0;
        for (size_t col = 0; col < n_cols; col += 4) {
            const uint64_t drawn = upg_random_u64(&random);
            for (size_t i = 0; i < 4 && col + i < n_cols; i++)
                bits[col + i] =
                    upg_f32_to_bf16(scale * s->quantiles[drawn >> (16 * i) & (N_QUANTILES - 1)]);
        }
        for (size_t col = first_column; col < n_cols; col += OUTLIER_COLUMN)
            bits[col] = times_power(bits[col], 3);
        for (size_t col = 0; is_outlier && col < n_cols; col++)
            bits[col] = times_power(bits[col], 2);
    }
}

static upg_status write_hf(struct synth *s, upg_error *err)
{
    const upg_export_options options = {.size = sizeof options,
                                        .format = UPG_EXPORT_HF,
                                        .n_threads = s->options->n_threads,
                                        .progress = s->options->progress,
                                        .progress_context = s->options->progress_context};
    struct upg_export e = {.model = &s->model,
                           .options = &options,
                           .destination = s->destination,
                           .fill = fill_rows,
                           .fill_context = s};
    const upg_status status = make_quantiles(s, err);

    return status == UPG_OK ? upg_export_model(&e, err) : status;
}

/* ---- Random codes ---- */

/* Shapes and bits of all matrices as the plan has them. */
static void outline_plan(struct synth *s)
{
    for (size_t i = 0; i < s->plan.n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(&s->model, i);
        const struct upg_plan_slot *planned = &s->plan.slots[i];
        for (size_t p = 0; p < planned->n_parts; p++) {
            const uint64_t seed = s->options->seed * 1000003 + 8 * i;
            slot.parts[p] = (struct upg_matrix){.type = UPG_TYPE_PACKED,
                                                .n_rows = planned->part[p].n_rows,
                                                .n_cols = planned->n_cols,
                                                .packed = {.k = planned->part[p].k,
                                                           .n_rows = planned->part[p].n_rows,
                                                           .n_cols = planned->n_cols,
                                                           .seed_in = seed,
                                                           .seed_out = seed + 1 + p,
                                                           .has_output_transform = i > 0}};
        }
        if (slot.linear) {
            slot.linear->n_parts = planned->n_parts;
            slot.linear->n_rows = slot.n_rows;
            slot.linear->n_cols = slot.n_cols;
        }
    }
}

static uint64_t max_bytes(const struct synth *s)
{
    const double bits = s->options->bits_per_weight;
    upg_model_info info;

    upg_model_get_info(&s->model, &info);
    return (uint64_t)((double)info.n_parameters * (bits > 0 ? bits : default_bits_per_weight) / 8);
}

/* Slots of the more sensitive kinds get their next bit first, as long as there is room. */
static void raise_bits(struct synth *s, uint64_t room)
{
    static const enum upg_slot_kind order[] = {UPG_SLOT_HEAD, UPG_SLOT_QKV,     UPG_SLOT_O,
                                               UPG_SLOT_DOWN, UPG_SLOT_GATE_UP, UPG_SLOT_EMBEDDING};

    for (int k = 2; k < 4; k++)
        for (size_t kind = 0; kind < sizeof order / sizeof *order; kind++)
            for (size_t i = 0; i < s->plan.n_slots; i++) {
                const uint64_t before = upg_plan_code_bytes(&s->plan);
                struct upg_plan_slot *slot = &s->plan.slots[i];
                if (upg_slot_of(&s->model, i).kind != order[kind] || slot->part[0].k != k)
                    continue;
                for (size_t p = 0; p < slot->n_parts; p++)
                    slot->part[p].k++;
                if (upg_plan_code_bytes(&s->plan) - before <= room) {
                    room -= upg_plan_code_bytes(&s->plan) - before;
                    continue;
                }
                for (size_t p = 0; p < slot->n_parts; p++)
                    slot->part[p].k--;
            }
}

static upg_status make_plan(struct synth *s, upg_error *err)
{
    struct upg_writer *writer;
    uint64_t least;
    upg_status status = upg_plan_start(&s->plan, &s->model, 2, err);

    if (status != UPG_OK)
        return status;
    outline_plan(s);
    status = upg_writer_open(&writer, NULL, &s->model, METADATA_RESERVE, err);
    if (status != UPG_OK)
        return status;
    least = upg_writer_n_bytes(writer);
    upg_writer_discard(writer);
    if (least > max_bytes(s))
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "size: %llu bytes are asked for, 2 bits everywhere take %llu; ask for more",
                        (unsigned long long)max_bytes(s), (unsigned long long)least);
    raise_bits(s, max_bytes(s) - least);
    outline_plan(s);
    return UPG_OK;
}

struct codes {
    uint64_t *words; /* [n_words] */
    size_t n_words;
    uint64_t seed;
};

static void fill_codes(void *context, size_t thread, size_t n_threads)
{
    const struct codes *codes = context;
    const size_t run = CODE_RUN / sizeof *codes->words;
    size_t first, end;

    upg_split((codes->n_words + run - 1) / run, thread, n_threads, &first, &end);
    for (size_t r = first; r < end; r++) {
        struct upg_random random = {upg_splitmix64(codes->seed + r)};
        for (size_t i = r * run; i < codes->n_words && i < (r + 1) * run; i++)
            codes->words[i] = upg_random_u64(&random);
    }
}

/* A packed matrix whose weights have the deviation 1 / sqrt(n_cols). */
static upg_status write_matrix(struct synth *s, struct upg_writer *writer,
                               const struct upg_matrix *outline, uint64_t seed, upg_error *err)
{
    struct upg_matrix matrix = *outline;
    struct upg_packed *p = &matrix.packed;
    const size_t n_blocks = (p->padded_cols + UPG_SCALE_BLOCK - 1) / UPG_SCALE_BLOCK;
    const float sigma = upg_code_of(p->k)->sigma;
    uint8_t *codes = upg_aligned_alloc(matrix.n_bytes, 1);
    uint16_t *row_scale = upg_aligned_alloc(p->padded_rows, sizeof *row_scale);
    float *gain = upg_aligned_alloc(n_blocks, sizeof *gain);
    struct codes fill = {(uint64_t *)(void *)codes, matrix.n_bytes / sizeof(uint64_t), seed};
    upg_status status;

    if (codes && row_scale && gain) {
        upg_pool_run(s->pool, fill_codes, &fill);
        for (size_t row = 0; row < p->n_rows; row++)
            row_scale[row] = upg_f32_to_f16(1.0F);
        for (size_t i = 0; i < n_blocks; i++)
            gain[i] = 1.0F / (sigma * sqrtf((float)p->n_cols));
        matrix.data = p->codes = codes;
        p->row_scale = row_scale;
        p->gain = gain;
        status = upg_writer_matrix(writer, &matrix, err);
    } else {
        status = upg_fail_memory(err, "a matrix", matrix.n_bytes);
    }
    free(codes);
    free(row_scale);
    free(gain);
    return status;
}

static upg_status write_matrices(struct synth *s, struct upg_writer *writer, upg_error *err)
{
    const size_t n = upg_writer_n_matrices(writer);
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        const uint64_t seed = upg_splitmix64(s->options->seed ^ upg_splitmix64(i));
        status = write_matrix(s, writer, upg_writer_outline(writer, i), seed, err);
        if (status == UPG_OK && s->options->progress &&
            s->options->progress(s->options->progress_context, "write codes", i + 1, n) != 0)
            status = upg_fail(err, UPG_ERR_CANCELLED, "%s: cancelled", s->destination);
    }
    return status;
}

static upg_status write_upg(struct synth *s, upg_error *err)
{
    json_t *provenance = json_pack("{s:s, s:s, s:I}", "made_by", "upg synth", "shape", s->shape,
                                   "seed", (json_int_t)s->options->seed);
    struct upg_writer *writer = NULL;
    upg_status status = provenance ? upg_pool_new(&s->pool, s->options->n_threads, err)
                                   : upg_fail_memory(err, "provenance", METADATA_RESERVE);

    if (status == UPG_OK)
        status = make_plan(s, err);
    if (status == UPG_OK)
        status = upg_writer_open(&writer, s->destination, &s->model, METADATA_RESERVE, err);
    if (status == UPG_OK) {
        status = write_matrices(s, writer, err);
        if (status == UPG_OK)
            status = upg_writer_commit(writer, provenance, NULL, err);
        else
            upg_writer_discard(writer);
    }
    json_decref(provenance);
    return status;
}

/* Everything but the weights.  Whatever happens, end with finish(). */
static upg_status begin(struct synth *s, const char *destination, const upg_synth_options *options,
                        const upg_synth_options *defaults, upg_error *err)
{
    upg_status status;

    s->options = options ? options : defaults;
    s->shape = s->options->shape ? s->options->shape : "phi-4";
    s->destination = destination;
    s->model.format = "synthetic";
    s->model.path = destination;
    status = choose_config(s, err);
    if (status == UPG_OK)
        status = make_norms(s, err);
    if (status == UPG_OK)
        status = make_tokenizer(s, err);
    return status;
}

static void finish(struct synth *s)
{
    upg_plan_clear(&s->plan);
    upg_pool_free(s->pool);
    if (s->model.tokenizer)
        upg_tokenizer_free(s->model.tokenizer);
    upg_tokens_clear(&s->model.stop_ids);
    upg_arena_clear(&s->arena);
}

upg_status upg_synth(const char *destination, const upg_synth_options *options, upg_error *err)
{
    upg_synth_options defaults;
    struct synth s = {0};
    upg_status status;

    upg_synth_options_defaults(&defaults);
    status = begin(&s, destination, options, &defaults, err);
    if (status == UPG_OK)
        status = s.options->format == UPG_SYNTH_HF ? write_hf(&s, err) : write_upg(&s, err);
    finish(&s);
    return status;
}

/* ---- Outlines ---- */

/* Sizes of all matrices and of the file, from a writer without a file. */
static upg_status take_sizes(struct synth *s, const struct upg_writer *writer, upg_error *err)
{
    struct upg_model *model = &s->model;
    size_t n_taken = 0;

    model->n_file_bytes = upg_writer_n_bytes(writer);
    for (size_t i = 0; i < upg_n_slots(&model->config); i++) {
        const struct upg_slot slot = upg_slot_of(model, i);

        for (size_t p = 0; p < upg_slot_n_parts(&slot); p++) {
            slot.parts[p] = *upg_writer_outline(writer, n_taken++);
            slot.parts[p].name =
                upg_arena_text(&s->arena, slot.parts[p].name, strlen(slot.parts[p].name));
            if (!slot.parts[p].name)
                return upg_fail_memory(err, "a matrix's name", sizeof slot.name);
        }
    }
    if (model->config.tied_embeddings)
        model->head = (struct upg_linear){.n_parts = 1,
                                          .part = {model->embedding},
                                          .n_rows = model->config.n_vocab,
                                          .n_cols = model->config.d_model};
    return UPG_OK;
}

upg_status upg_model_outline(upg_model **model, const upg_synth_options *options, upg_error *err)
{
    upg_synth_options defaults;
    struct synth s = {0};
    struct upg_writer *writer = NULL;
    struct upg_model *outline = calloc(1, sizeof *outline);
    upg_status status;

    upg_synth_options_defaults(&defaults);
    status = outline ? begin(&s, "(outline)", options, &defaults, err)
                     : upg_fail_memory(err, "a model", sizeof *outline);
    if (status == UPG_OK)
        status = make_plan(&s, err);
    if (status == UPG_OK)
        status = upg_writer_open(&writer, NULL, &s.model, METADATA_RESERVE, err);
    if (status == UPG_OK)
        status = take_sizes(&s, writer, err);
    upg_writer_discard(writer);
    if (status == UPG_OK) {
        *outline = s.model;
        outline->arena = s.arena;
        s.model = (struct upg_model){0};
        s.arena = (struct upg_arena){0};
        *model = outline;
    } else {
        free(outline);
    }
    finish(&s);
    return status;
}
