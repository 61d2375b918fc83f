/* Models from GGUF files: what phi3 and llama become, and which files are refused. */
#include "unit.h"

#include "base/half.h"
#include "model/gguf_builder.h"
#include "text/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Small models ---- */

enum { WIDTH = 32, FEED = 64, HEAD = 16, VOCAB = 16, CONTEXT = 128 };

enum kind { PHI3, PHI3_LONG, LLAMA };

/* One thing that a file has otherwise: a key of another value or type, a tensor of another type or
 * shape.  What a good file lacks is added. */
enum action { NONE, DROP, NUMBER, TEXT, ARRAY, TENSOR, FIRST_VALUE };

struct change {
    const char *name;
    enum action action;
    uint32_t type; /* of a number, of an array's elements; number of a tensor's type in GGUF */
    double value;  /* a number, an array's length, a tensor's columns, what its bytes begin with */
    const char *text;
    size_t n_rows; /* of a tensor */
};

static const struct change no_change;

struct maker {
    struct gguf_builder builder;
    const char *architecture;
    const struct change *change;
    bool changed;
};

/* Whether the change is about this name, which then counts as changed. */
static bool is_changed(struct maker *m, const char *name)
{
    const bool is = m->change->action != NONE && strcmp(m->change->name, name) == 0;

    m->changed |= is;
    return is;
}

static uint64_t bits_of(uint32_t type, double value)
{
    uint64_t bits;

    if (type == UPG_GGUF_F32)
        return upg_f32_to_bits((float)value);
    if (type != UPG_GGUF_F64)
        return (uint64_t)(int64_t)value;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The entry that the change makes of a key. */
static void add_changed(struct maker *m)
{
    static const uint8_t n_bytes[UPG_GGUF_N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
    const struct change *c = m->change;
    struct gguf_builder *b = &m->builder;

    if (c->action == NUMBER)
        gguf_add_number(b, c->name, (enum upg_gguf_type)c->type, bits_of(c->type, c->value));
    if (c->action == TEXT)
        gguf_add_text(b, c->name, c->text);
    if (c->action == ARRAY) { /* of zeros, empty texts, empty arrays */
        gguf_add_key(b, c->name, UPG_GGUF_ARRAY);
        gguf_put(&b->entries, c->type, 4);
        gguf_put(&b->entries, (uint64_t)c->value, 8);
        for (size_t i = 0; i < (size_t)c->value * n_bytes[c->type]; i++)
            gguf_put(&b->entries, 0, 1);
    }
}

static void add_number(struct maker *m, const char *key, enum upg_gguf_type type, double value)
{
    if (is_changed(m, key))
        add_changed(m);
    else
        gguf_add_number(&m->builder, key, type, bits_of(type, value));
}

/* A key of the architecture. */
static void add_setting(struct maker *m, const char *name, enum upg_gguf_type type, double value)
{
    char key[96];

    snprintf(key, sizeof key, "%s.%s", m->architecture, name);
    add_number(m, key, type, value);
}

static void add_text(struct maker *m, const char *key, const char *text)
{
    if (is_changed(m, key))
        add_changed(m);
    else
        gguf_add_text(&m->builder, key, text);
}

static void add_texts(struct maker *m, const char *key, const char *const *texts, size_t n)
{
    struct gguf_builder *b = &m->builder;

    if (is_changed(m, key)) {
        add_changed(m);
        return;
    }
    gguf_add_key(b, key, UPG_GGUF_ARRAY);
    gguf_put(&b->entries, UPG_GGUF_TEXT, 4);
    gguf_put(&b->entries, n, 8);
    for (size_t i = 0; i < n; i++)
        gguf_put_text(&b->entries, texts[i], strlen(texts[i]));
}

enum { F32 = 0, F16 = 1, Q8_0 = 8, Q4_1 = 3, BF16 = 30 }; /* types of tensors in GGUF */

/* Bytes of a tensor of one of these; others need none, they are refused before. */
static size_t tensor_bytes(uint32_t type, size_t n)
{
    switch (type) {
    case F32: return n * 4;
    case F16:
    case BF16: return n * 2;
    case Q8_0: return n / 32 * 34;
    case Q4_1: return n / 32 * 20;
    default: return 0;
    }
}

/* Values different in every place, all finite. */
static void fill(uint8_t *bytes, uint32_t type, size_t n)
{
    static const uint16_t block_scale[] = {0x2C00, 0x9400}; /* 1/16 and -1/1024 in binary16 */

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 29 + n);
    if (type == F32)
        for (size_t i = 0; i < n / 4; i++) {
            const float value = 1 + (float)(i % 7) / 8;
            memcpy(bytes + 4 * i, &value, 4);
        }
    if (type == F16 || type == BF16)
        for (size_t i = 0; i < n / 2; i++)
            bytes[2 * i + 1] = 0x3C;
    if (type == Q8_0)
        for (size_t i = 0; i < n; i += 34)
            memcpy(bytes + i, block_scale, 2);
    if (type == Q4_1)
        for (size_t i = 0; i < n; i += 20)
            memcpy(bytes + i, block_scale, 4);
}

static void add_tensor(struct maker *m, const char *name, uint32_t type, size_t n_cols,
                       size_t n_rows)
{
    const struct change *c = is_changed(m, name) ? m->change : &no_change;
    uint8_t *bytes;
    size_t n_bytes;

    if (c->action == DROP)
        return;
    if (c->action == TENSOR) {
        type = c->type;
        n_cols = (size_t)c->value;
        n_rows = c->n_rows;
    }
    n_bytes = tensor_bytes(type, n_cols * (n_rows ? n_rows : 1));
    bytes = gguf_add_tensor(&m->builder, name, type, n_cols, n_rows, n_bytes);
    fill(bytes, type, n_bytes);
    if (c->action == FIRST_VALUE) {
        const uint64_t bits = bits_of(c->type, c->value);
        memcpy(bytes, &bits, 4);
    }
}

static void add_layer(struct maker *m, size_t number, bool fused)
{
    const struct {
        const char *name;
        uint32_t type;
        size_t n_cols, n_rows;
    } phi3[] = {{"attn_norm", F32, WIDTH, 0},        {"attn_qkv", Q8_0, WIDTH, 4 * HEAD},
                {"attn_output", Q4_1, WIDTH, WIDTH}, {"ffn_norm", F32, WIDTH, 0},
                {"ffn_up", Q4_1, WIDTH, 2 * FEED},   {"ffn_down", BF16, FEED, WIDTH}},
      llama[] = {{"attn_norm", F32, WIDTH, 0},        {"attn_q", Q8_0, WIDTH, WIDTH},
                 {"attn_k", Q4_1, WIDTH, HEAD},       {"attn_v", F16, WIDTH, HEAD},
                 {"attn_output", Q4_1, WIDTH, WIDTH}, {"ffn_norm", F32, WIDTH, 0},
                 {"ffn_gate", Q8_0, WIDTH, FEED},     {"ffn_up", Q4_1, WIDTH, FEED},
                 {"ffn_down", F32, FEED, WIDTH}},
      *tensors = fused ? phi3 : llama;
    const size_t n = fused ? sizeof phi3 / sizeof *phi3 : sizeof llama / sizeof *llama;
    char name[64];

    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", number, tensors[i].name);
        add_tensor(m, name, tensors[i].type, tensors[i].n_cols, tensors[i].n_rows);
    }
}

static void add_tokenizer(struct maker *m)
{
    static const char *const tokens[] = {"a",
                                         "b",
                                         "c",
                                         "ab",
                                         "abc",
                                         "\xC4\xA0" /* space */,
                                         "1",
                                         "<|endoftext|>",
                                         "<|im_start|>",
                                         "<|im_end|>",
                                         "[PAD]"};
    static const char *const merges[] = {"a b", "ab c"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 5};
    const size_t n = sizeof tokens / sizeof *tokens;

    add_text(m, "tokenizer.ggml.model", "gpt2");
    add_text(m, "tokenizer.ggml.pre", "smollm");
    add_texts(m, "tokenizer.ggml.tokens", tokens, n);
    if (is_changed(m, "tokenizer.ggml.token_type")) {
        add_changed(m);
    } else {
        gguf_add_key(&m->builder, "tokenizer.ggml.token_type", UPG_GGUF_ARRAY);
        gguf_put(&m->builder.entries, UPG_GGUF_I32, 4);
        gguf_put(&m->builder.entries, n, 8);
        for (size_t i = 0; i < n; i++)
            gguf_put(&m->builder.entries, (uint32_t)types[i], 4);
    }
    add_texts(m, "tokenizer.ggml.merges", merges, 2);
    add_number(m, "tokenizer.ggml.eos_token_id", UPG_GGUF_U32, 9);
    add_number(m, "tokenizer.ggml.add_bos_token", UPG_GGUF_BOOL, 0);
}

static void make(struct upg_buffer *file, enum kind kind, const struct change *change)
{
    struct maker m = {.builder.alignment = 32,
                      .architecture = kind == LLAMA ? "llama" : "phi3",
                      .change = change};

    add_text(&m, "general.architecture", m.architecture);
    add_text(&m, "general.type", "model");
    add_number(&m, "general.quantization_version", UPG_GGUF_U32, 2);
    add_setting(&m, "block_count", UPG_GGUF_U32, 2);
    add_setting(&m, "context_length", UPG_GGUF_U32, CONTEXT);
    add_setting(&m, "embedding_length", UPG_GGUF_U32, WIDTH);
    add_setting(&m, "feed_forward_length", UPG_GGUF_U32, FEED);
    add_setting(&m, "attention.head_count", UPG_GGUF_U32, 2);
    add_setting(&m, "attention.head_count_kv", UPG_GGUF_U32, 1);
    add_setting(&m, "attention.layer_norm_rms_epsilon", UPG_GGUF_F32, 1e-5);
    add_setting(&m, "rope.freq_base", UPG_GGUF_F32, 250000);
    if (kind != LLAMA) {
        add_setting(&m, "attention.sliding_window", UPG_GGUF_U32, 0);
        add_setting(&m, "rope.dimension_count", UPG_GGUF_U32, 12);
        add_setting(&m, "rope.scaling.original_context_length", UPG_GGUF_U32,
                    kind == PHI3_LONG ? 32 : CONTEXT);
    }
    if (kind == PHI3_LONG)
        add_setting(&m, "rope.scaling.attn_factor", UPG_GGUF_F32, 1.25);
    add_tokenizer(&m);
    add_tensor(&m, "token_embd.weight", Q8_0, WIDTH, VOCAB);
    if (kind == PHI3_LONG) {
        add_tensor(&m, "rope_factors_long.weight", F32, 6, 0);
        add_tensor(&m, "rope_factors_short.weight", F32, 6, 0);
    }
    for (size_t i = 0; i < 2; i++)
        add_layer(&m, i, kind != LLAMA);
    add_tensor(&m, "output_norm.weight", F32, WIDTH, 0);
    if (kind == PHI3)
        add_tensor(&m, "output.weight", F16, WIDTH, VOCAB);
    if (!m.changed && change->action == TENSOR)
        add_tensor(&m, change->name, 0, 0, 0);
    else if (!m.changed)
        add_changed(&m);
    gguf_finish(&m.builder, file);
}

/* Read a made file; the caller frees the model and the file's bytes. */
static upg_status read(struct upg_model **model, struct upg_buffer *file, enum kind kind,
                       const struct change *change, upg_error *err)
{
    *model = calloc(1, sizeof **model);
    assert_non_null(*model);
    make(file, kind, change);
    return upg_read_gguf_bytes(*model, "m.gguf", (uint8_t *)file->bytes, file->n, err);
}

static void clear(struct upg_model *model, struct upg_buffer *file)
{
    upg_model_free(model);
    upg_buffer_clear(file);
}

/* ---- What they become ---- */

static void phi3_becomes_a_model_of_fused_parts(void **state)
{
    struct upg_buffer file = {0};
    struct upg_model *model;
    const struct upg_config *c;
    const struct upg_layer *layer;
    upg_error err;

    (void)state;
    assert_ok(read(&model, &file, PHI3, &no_change, &err), err);
    c = &model->config;
    assert_string_equal(c->architecture, "Phi3ForCausalLM");
    assert_string_equal(model->format, "gguf");
    assert_int_equal(model->n_file_bytes, file.n);
    assert_int_equal(c->n_layers, 2);
    assert_int_equal(c->d_model, WIDTH);
    assert_int_equal(c->d_ff, FEED);
    assert_int_equal(c->n_heads, 2);
    assert_int_equal(c->n_kv_heads, 1);
    assert_int_equal(c->head_dim, HEAD);
    assert_int_equal(c->rotary_dim, 12);
    assert_int_equal(c->n_vocab, VOCAB);
    assert_int_equal(c->context, CONTEXT);
    assert_int_equal(c->sliding_window, 0);
    assert_true(c->rope_theta == 250000);
    assert_true(fabs(c->norm_eps - 1e-5) < 1e-12);
    assert_false(c->tied_embeddings || c->interleaved_pairs || c->long_rope.present);
    layer = &model->layers[1];
    assert_int_equal(layer->qkv.n_parts, 1);
    assert_int_equal(layer->qkv.n_rows, 4 * HEAD);
    assert_string_equal(layer->qkv.part[0].name, "blk.1.attn_qkv.weight");
    assert_int_equal(layer->gate_up.n_parts, 1);
    assert_int_equal(layer->gate_up.n_rows, 2 * FEED);
    assert_int_equal(layer->gate_up.part[0].type, UPG_TYPE_Q4_1);
    assert_int_equal(layer->down.n_cols, FEED);
    assert_true(layer->mlp_norm[3] == 1.375f);
    assert_int_equal(model->head.part[0].type, UPG_TYPE_F16);
    assert_int_equal(model->head.n_rows, VOCAB);
    assert_int_equal(model->n_tensors, 3 + 2 * 6);
    assert_string_equal(model->tensors[0].name, "token_embd.weight");
    assert_int_equal(model->tensors[0].shape[0], VOCAB);
    assert_int_equal(model->tensors[0].shape[1], WIDTH);
    assert_true(model->tensors[0].bits == 8.5);
    assert_int_equal(model->tensors[1].n_dims, 1);
    assert_int_equal(model->tensors[1].shape[1], 1);
    clear(model, &file);
}

static void llama_becomes_a_model_of_parts_with_interleaved_pairs(void **state)
{
    const struct change defaults = {"llama.rope.freq_base", DROP, 0, 0, NULL, 0};
    struct upg_buffer file = {0};
    struct upg_model *model;
    const struct upg_linear *qkv, *gate_up;
    upg_error err;

    (void)state;
    assert_ok(read(&model, &file, LLAMA, &defaults, &err), err);
    assert_string_equal(model->config.architecture, "LlamaForCausalLM");
    assert_true(model->config.interleaved_pairs && model->config.tied_embeddings);
    assert_true(model->config.rope_theta == 10000);
    assert_int_equal(model->config.rotary_dim, HEAD);
    qkv = &model->layers[0].qkv;
    assert_int_equal(qkv->n_parts, 3);
    assert_int_equal(qkv->n_rows, WIDTH + 2 * HEAD);
    assert_string_equal(qkv->part[0].name, "blk.0.attn_q.weight");
    assert_string_equal(qkv->part[1].name, "blk.0.attn_k.weight");
    assert_string_equal(qkv->part[2].name, "blk.0.attn_v.weight");
    assert_int_equal(qkv->part[2].type, UPG_TYPE_F16);
    gate_up = &model->layers[0].gate_up;
    assert_int_equal(gate_up->n_parts, 2);
    assert_string_equal(gate_up->part[0].name, "blk.0.ffn_gate.weight");
    assert_string_equal(gate_up->part[1].name, "blk.0.ffn_up.weight");
    assert_true(model->head.part[0].data == model->embedding.data);
    clear(model, &file);
}

static void long_rope_has_factors_and_a_magnitude(void **state)
{
    const struct change computed = {"phi3.rope.scaling.attn_factor", DROP, 0, 0, NULL, 0};
    struct upg_buffer file = {0};
    struct upg_model *model;
    const struct upg_long_rope *rope;
    upg_error err;

    (void)state;
    assert_ok(read(&model, &file, PHI3_LONG, &no_change, &err), err);
    rope = &model->config.long_rope;
    assert_true(rope->present && model->config.tied_embeddings);
    assert_int_equal(rope->original_context, 32);
    assert_true(rope->magnitude == 1.25);
    assert_true(rope->long_factor[5] == 1.625f && rope->short_factor[1] == 1.125f);
    clear(model, &file);
    assert_ok(read(&model, &file, PHI3_LONG, &computed, &err), err);
    /* sqrt(1 + ln(128 / 32) / ln(32)) */
    assert_true(fabs(model->config.long_rope.magnitude - 1.18321595661992) < 1e-12);
    clear(model, &file);
}

static void stop_ids_are_those_of_the_keys_and_of_the_vocabulary(void **state)
{
    const struct change more = {"tokenizer.ggml.eot_token_id", NUMBER, UPG_GGUF_U32, 3, NULL, 0};
    const struct change same = {"tokenizer.ggml.eot_token_id", NUMBER, UPG_GGUF_U64, 9, NULL, 0};
    struct upg_buffer file = {0};
    struct upg_model *model;
    upg_error err;

    (void)state;
    assert_ok(read(&model, &file, PHI3, &more, &err), err);
    assert_int_equal(model->stop_ids.ids[0], 9);
    assert_int_equal(model->stop_ids.ids[1], 3);
    assert_int_equal(model->stop_ids.ids[2], 7); /* <|endoftext|> */
    assert_int_equal(model->stop_ids.n, 3);
    clear(model, &file);
    assert_ok(read(&model, &file, PHI3, &same, &err), err);
    assert_int_equal(model->stop_ids.n, 2);
    clear(model, &file);
}

/* Those of tests/data/fuzz/gguf that make_gguf_corpus.py took from the Python package `gguf`. */
static void files_written_by_another_program_are_opened(void **state)
{
    static const char *const names[] = {"phi3_long", "llama_k", "values", "version_2"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        upg_model *model;
        upg_error err;
        float row[256];

        snprintf(path, sizeof path, "tests/data/fuzz/gguf/%s.gguf", names[i]);
        assert_ok(upg_model_open(&model, path, NULL, &err), err);
        assert_string_equal(model->path, path);
        assert_int_equal(model->n_maps, 1);
        upg_matrix_rows(&model->embedding, 11, 1, row, NULL);
        for (size_t c = 0; c < model->config.d_model; c++)
            assert_true(isfinite(row[c]));
        upg_model_free(model);
    }
}

static void missing_file_is_named(void **state)
{
    upg_model *model = calloc(1, sizeof *model);
    upg_error err;

    (void)state;
    assert_non_null(model);
    assert_fails(upg_read_gguf(model, "tests/data/none.gguf", NULL, &err), UPG_ERR_IO, err,
                 "tests/data/none.gguf: cannot open");
    upg_model_free(model);
}

static void settings_without_effect_are_allowed(void **state)
{
    static const struct {
        enum kind kind;
        struct change change;
    } cases[] = {
        {PHI3, {"phi3.attention.sliding_window", NUMBER, UPG_GGUF_U32, CONTEXT, NULL, 0}},
        {PHI3, {"phi3.attention.sliding_window", NUMBER, UPG_GGUF_U32, 262144, NULL, 0}},
        {PHI3, {"phi3.attention.sliding_window", DROP, 0, 0, NULL, 0}},
        {PHI3, {"phi3.attention.head_count", NUMBER, UPG_GGUF_U16, 2, NULL, 0}},
        {PHI3, {"phi3.attention.head_count", NUMBER, UPG_GGUF_I64, 2, NULL, 0}},
        {PHI3, {"phi3.rope.scaling.original_context_length", DROP, 0, 0, NULL, 0}},
        {PHI3, {"phi3.rope.scaling.type", TEXT, 0, 0, "none", 0}},
        {PHI3_LONG, {"phi3.rope.scaling.type", TEXT, 0, 0, "longrope", 0}},
        {PHI3, {"phi3.final_logit_softcapping", NUMBER, UPG_GGUF_F32, 0, NULL, 0}},
        {LLAMA, {"llama.expert_count", NUMBER, UPG_GGUF_U32, 0, NULL, 0}},
        {LLAMA, {"llama.rope.scaling.factor", NUMBER, UPG_GGUF_F32, 1, NULL, 0}},
        {LLAMA, {"llama.attention.key_length", NUMBER, UPG_GGUF_U32, HEAD, NULL, 0}},
        {LLAMA, {"llama.tensor_data_layout", TEXT, 0, 0, "Meta AI original pth", 0}},
        {LLAMA, {"llama.vocab_size", NUMBER, UPG_GGUF_U32, VOCAB, NULL, 0}},
        {LLAMA, {"general.name", TEXT, 0, 0, "caf\xC3\xA9\n", 0}},
        {LLAMA, {"general.type", DROP, 0, 0, NULL, 0}},
        {LLAMA, {"split.count", NUMBER, UPG_GGUF_U16, 1, NULL, 0}},
        {LLAMA, {"tokenizer.ggml.scores", ARRAY, UPG_GGUF_F32, 11, NULL, 0}},
        {LLAMA, {"tokenizer.ggml.bos_token_id", NUMBER, UPG_GGUF_U32, 4e9, NULL, 0}},
        {LLAMA, {"blk.1.attn_q.weight", TENSOR, BF16, WIDTH, NULL, WIDTH}},
        {LLAMA, {"output_norm.weight", TENSOR, F16, WIDTH, NULL, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upg_buffer file = {0};
        struct upg_model *model;
        upg_error err;

        if (read(&model, &file, cases[i].kind, &cases[i].change, &err) != UPG_OK)
            fail_msg("%s: %s", cases[i].change.name, err.message);
        clear(model, &file);
    }
}

/* ---- What is refused ---- */

struct refusal {
    struct change change;
    enum kind kind;
    upg_status status;
    const char *part; /* of the message */
};

#define BAD UPG_ERR_FORMAT
#define UNSUPPORTED UPG_ERR_UNSUPPORTED
#define DROPPED(name)                                                                              \
    {                                                                                              \
        name, DROP, 0, 0, NULL, 0                                                                  \
    }
#define U32_(name, value)                                                                          \
    {                                                                                              \
        name, NUMBER, UPG_GGUF_U32, value, NULL, 0                                                 \
    }
#define I32_(name, value)                                                                          \
    {                                                                                              \
        name, NUMBER, UPG_GGUF_I32, value, NULL, 0                                                 \
    }
#define F32_(name, value)                                                                          \
    {                                                                                              \
        name, NUMBER, UPG_GGUF_F32, value, NULL, 0                                                 \
    }
#define BOOL_(name, value)                                                                         \
    {                                                                                              \
        name, NUMBER, UPG_GGUF_BOOL, value, NULL, 0                                                \
    }
#define TEXT_(name, text)                                                                          \
    {                                                                                              \
        name, TEXT, 0, 0, text, 0                                                                  \
    }
#define ARRAY_(name, type, n)                                                                      \
    {                                                                                              \
        name, ARRAY, type, n, NULL, 0                                                              \
    }
#define TENSOR_(name, type, n_cols, n_rows)                                                        \
    {                                                                                              \
        name, TENSOR, type, n_cols, NULL, n_rows                                                   \
    }
#define BEGIN_(name, type, value)                                                                  \
    {                                                                                              \
        name, FIRST_VALUE, type, value, NULL, 0                                                    \
    }

static const struct refusal refusals[] = {
    {DROPPED("general.architecture"), PHI3, BAD, "general.architecture: is missing"},
    {TEXT_("general.architecture", "qwen2"), PHI3, UNSUPPORTED, "qwen2 is not supported"},
    {TEXT_("general.architecture", ""), PHI3, UNSUPPORTED, "general.architecture"},
    {TEXT_("general.architecture", "phi3\n"), PHI3, BAD, "general.architecture: is not printable"},
    {TEXT_("general.architecture", "llama"), PHI3, BAD, "llama.block_count: is missing"},
    {U32_("general.architecture", 3), PHI3, BAD, "is a uint32, it should be a text"},
    {TEXT_("general.type", "adapter"), PHI3, UNSUPPORTED, "general.type: is adapter"},
    {U32_("general.quantization_version", 1), PHI3, UNSUPPORTED, "quantization_version: is 1"},
    {U32_("split.count", 2), PHI3, UNSUPPORTED, "split.count: is one of 2 parts"},

    {DROPPED("phi3.block_count"), PHI3, BAD, "phi3.block_count: is missing"},
    {U32_("phi3.block_count", 0), PHI3, BAD, "phi3.block_count: is 0"},
    {U32_("phi3.block_count", 1), PHI3, UNSUPPORTED, "tensor blk.1.attn_norm.weight: upg does not"},
    {U32_("phi3.block_count", 3), PHI3, BAD, "tensor blk.2.attn_norm.weight: is missing"},
    {U32_("phi3.block_count", 1000), PHI3, BAD, "block_count: 1000 layers cannot be"},
    {U32_("phi3.block_count", 4294967295.0), PHI3, BAD, "phi3.block_count: is 4294967295"},
    {I32_("phi3.block_count", -2), PHI3, BAD, "phi3.block_count: is -2"},
    {F32_("phi3.block_count", 2), PHI3, BAD, "it should be an integer"},
    {DROPPED("phi3.context_length"), PHI3, BAD, "phi3.context_length: is missing"},
    {U32_("phi3.context_length", 0), PHI3, BAD, "phi3.context_length: is 0"},
    {U32_("phi3.context_length", 2147483648.0), PHI3, BAD, "phi3.context_length"},
    {DROPPED("phi3.embedding_length"), PHI3, BAD, "phi3.embedding_length: is missing"},
    {U32_("phi3.embedding_length", 0), PHI3, BAD, "phi3.embedding_length: is 0"},
    {U32_("phi3.embedding_length", 33), PHI3, BAD, "does not divide embedding_length 33"},
    {U32_("phi3.embedding_length", 64), PHI3, BAD, "tensor token_embd.weight: has shape"},
    {U32_("phi3.embedding_length", 1), PHI3, BAD, "phi3.attention.head_count"},
    {U32_("phi3.embedding_length", 1 << 21), PHI3, BAD, "phi3.embedding_length"},
    {DROPPED("phi3.feed_forward_length"), PHI3, BAD, "feed_forward_length: is missing"},
    {U32_("phi3.feed_forward_length", 32), PHI3, BAD, "tensor blk.0.ffn_up.weight: has shape"},
    {ARRAY_("phi3.feed_forward_length", UPG_GGUF_I32, 2), PHI3, BAD, "is an array"},
    {DROPPED("phi3.attention.head_count"), PHI3, BAD, "head_count: is missing"},
    {U32_("phi3.attention.head_count", 0), PHI3, BAD, "head_count: is 0"},
    {U32_("phi3.attention.head_count", 3), PHI3, BAD, "head_count: 3 does not divide"},
    {U32_("phi3.attention.head_count", 4), PHI3, BAD, "phi3.rope.dimension_count"},
    {U32_("llama.attention.head_count", 4), LLAMA, BAD, "tensor blk.0.attn_k.weight"},
    {U32_("phi3.attention.head_count_kv", 0), PHI3, BAD, "head_count_kv: is 0"},
    {U32_("phi3.attention.head_count_kv", 2), PHI3, BAD, "tensor blk.0.attn_qkv.weight: has shape"},
    {U32_("phi3.attention.head_count_kv", 3), PHI3, BAD, "head_count_kv: 3 does not divide"},
    {DROPPED("phi3.attention.head_count_kv"), PHI3, BAD, "tensor blk.0.attn_qkv.weight"},
    {ARRAY_("phi3.attention.head_count_kv", UPG_GGUF_U32, 2), PHI3, BAD, "is an array"},
    {U32_("phi3.attention.key_length", 8), PHI3, BAD, "phi3.rope.dimension_count"},
    {U32_("llama.attention.key_length", 8), LLAMA, BAD, "tensor blk.0.attn_q.weight"},
    {U32_("llama.attention.key_length", 5000), LLAMA, BAD, "llama.attention.key_length"},
    {U32_("llama.attention.value_length", 8), LLAMA, UNSUPPORTED, "value_length: is 8"},
    {DROPPED("phi3.attention.layer_norm_rms_epsilon"), PHI3, BAD, "epsilon: is missing"},
    {F32_("phi3.attention.layer_norm_rms_epsilon", 0), PHI3, BAD, "epsilon: is 0"},
    {F32_("phi3.attention.layer_norm_rms_epsilon", -1), PHI3, BAD, "epsilon: is -1"},
    {F32_("phi3.attention.layer_norm_rms_epsilon", (double)NAN), PHI3, BAD, "epsilon: is nan"},
    {TEXT_("phi3.attention.layer_norm_rms_epsilon", "x"), PHI3, BAD, "it should be a number"},
    {F32_("phi3.rope.freq_base", 0), PHI3, BAD, "freq_base: is 0"},
    {F32_("phi3.rope.freq_base", (double)INFINITY), PHI3, BAD, "freq_base: is inf"},
    {U32_("phi3.rope.dimension_count", 0), PHI3, BAD, "dimension_count: is 0"},
    {U32_("phi3.rope.dimension_count", 11), PHI3, BAD, "11 values are not pairs"},
    {U32_("phi3.rope.dimension_count", 18), PHI3, BAD, "dimension_count: is 18"},
    {U32_("phi3.attention.sliding_window", CONTEXT - 1), PHI3, UNSUPPORTED, "window: is 127"},
    {U32_("phi3.attention.sliding_window", 1), PHI3, UNSUPPORTED, "sliding_window: is 1"},
    {I32_("phi3.attention.sliding_window", -1), PHI3, BAD, "sliding_window: is -1"},

    {TEXT_("phi3.rope.scaling.type", "yarn"), PHI3, UNSUPPORTED, "type: yarn is not supported"},
    {TEXT_("llama.rope.scaling.type", "linear"), LLAMA, UNSUPPORTED, "linear is not supported"},
    {TEXT_("phi3.rope.scaling.type", "longrope"), PHI3, BAD,
     "rope_factors_short.weight is missing"},
    {F32_("llama.rope.scaling.factor", 8), LLAMA, UNSUPPORTED, "rope.scaling.factor: is 8"},
    {F32_("phi3.rope.scaling.attn_factor", 1.5), PHI3, UNSUPPORTED, "attn_factor: is 1.5"},
    {F32_("phi3.rope.scaling.attn_factor", 0), PHI3_LONG, BAD, "attn_factor: is 0"},
    {DROPPED("phi3.rope.scaling.original_context_length"), PHI3_LONG, BAD, "LongRoPE needs it"},
    {U32_("phi3.rope.scaling.original_context_length", 1), PHI3_LONG, BAD, "length: is 1"},
    {DROPPED("rope_factors_long.weight"), PHI3_LONG, BAD, "tensor rope_factors_long.weight"},
    {DROPPED("rope_factors_short.weight"), PHI3_LONG, BAD, "tensor rope_factors_short.weight"},
    {TENSOR_("rope_factors_long.weight", F32, 8, 0), PHI3_LONG, BAD, "must be 6 values of F32"},
    {TENSOR_("rope_factors_long.weight", F32, 3, 2), PHI3_LONG, BAD, "must be 6 values of F32"},
    {TENSOR_("rope_factors_short.weight", F16, 6, 0), PHI3_LONG, BAD, "must be 6 values of F32"},
    {BEGIN_("rope_factors_short.weight", UPG_GGUF_F32, 0), PHI3_LONG, BAD, "factor 0 is 0"},
    {BEGIN_("rope_factors_long.weight", UPG_GGUF_F32, (double)NAN), PHI3_LONG, BAD, "is nan"},
    {BEGIN_("rope_factors_long.weight", UPG_GGUF_F32, -2), PHI3_LONG, BAD, "factor 0 is -2"},

    {F32_("phi3.attn_logit_softcapping", 50), PHI3, UNSUPPORTED, "softcapping: is 50"},
    {F32_("phi3.final_logit_softcapping", 30), PHI3, UNSUPPORTED, "softcapping: is 30"},
    {F32_("llama.logit_scale", 0.5), LLAMA, UNSUPPORTED, "llama.logit_scale: is 0.5"},
    {F32_("llama.attention.clamp_kqv", 8), LLAMA, UNSUPPORTED, "clamp_kqv: is 8"},
    {U32_("llama.expert_count", 8), LLAMA, UNSUPPORTED, "llama.expert_count: is 8"},
    {TEXT_("llama.expert_count", "8"), LLAMA, BAD, "it should be a number"},
    {BOOL_("phi3.attention.causal", 0), PHI3, UNSUPPORTED, "causal: upg does not know"},
    {U32_("phi3.attention.something_new", 1), PHI3, UNSUPPORTED,
     "something_new: upg does not know"},
    {U32_("llama.vocab_size", 15), LLAMA, BAD, "vocab_size: is 15, the embedding has 16"},

    {DROPPED("token_embd.weight"), PHI3, BAD, "tensor token_embd.weight: is missing"},
    {DROPPED("output_norm.weight"), PHI3, BAD, "tensor output_norm.weight: is missing"},
    {DROPPED("blk.0.attn_norm.weight"), PHI3, BAD, "tensor blk.0.attn_norm.weight: is missing"},
    {DROPPED("blk.1.ffn_down.weight"), PHI3, BAD, "tensor blk.1.ffn_down.weight: is missing"},
    {DROPPED("blk.1.ffn_gate.weight"), LLAMA, BAD, "tensor blk.1.ffn_gate.weight: is missing"},
    {DROPPED("blk.0.attn_v.weight"), LLAMA, BAD, "tensor blk.0.attn_v.weight: is missing"},
    {TENSOR_("token_embd.weight", F32, WIDTH, 0), PHI3, BAD, "tensor output.weight: has shape"},
    {TENSOR_("token_embd.weight", F32, WIDTH, 17), PHI3, BAD, "tensor output.weight: has shape"},
    {TENSOR_("output.weight", F32, VOCAB, WIDTH), PHI3, BAD, "tensor output.weight: has shape"},
    {TENSOR_("blk.0.attn_qkv.weight", F32, WIDTH, 63), PHI3, BAD, "[32, 63, 1, 1]"},
    {TENSOR_("blk.0.attn_qkv.weight", F32, 64, WIDTH), PHI3, BAD, "attn_qkv.weight: has shape"},
    {TENSOR_("blk.1.ffn_norm.weight", F32, 31, 0), PHI3, BAD, "blk.1.ffn_norm.weight: has shape"},
    {TENSOR_("blk.0.attn_q.bias", F32, WIDTH, 0), LLAMA, UNSUPPORTED, "tensor blk.0.attn_q.bias"},
    {TENSOR_("blk.2.attn_norm.weight", F32, WIDTH, 0), LLAMA, UNSUPPORTED, "blk.2.attn_norm"},
    {TENSOR_("rope_freqs.weight", F32, 8, 0), LLAMA, UNSUPPORTED, "as in Llama 3"},
    {TENSOR_("blk.0.attn_qkv.weight", F32, WIDTH, 64), LLAMA, UNSUPPORTED, "blk.0.attn_qkv.weight"},
    {BEGIN_("output_norm.weight", UPG_GGUF_F32, (double)NAN), PHI3, BAD, "norm"},
    {BEGIN_("blk.1.attn_norm.weight", UPG_GGUF_F32, (double)INFINITY), PHI3, BAD, "not finite"},
    {BEGIN_("output.weight", UPG_GGUF_U32, 0x7C00), PHI3, BAD, "tensor output.weight: has weights"},
    {BEGIN_("token_embd.weight", UPG_GGUF_U32, 0x7C00), PHI3, BAD, "tensor token_embd.weight: has"},
    {BEGIN_("blk.0.attn_qkv.weight", UPG_GGUF_U32, 0xFFFF), PHI3, BAD,
     "blk.0.attn_qkv.weight: has"},
    {BEGIN_("blk.0.ffn_up.weight", UPG_GGUF_U32, 0x7E000000), PHI3, BAD,
     "blk.0.ffn_up.weight: has"},
    {BEGIN_("blk.1.ffn_down.weight", UPG_GGUF_U32, 0xFF80), PHI3, BAD, "ffn_down.weight: has"},

    {DROPPED("tokenizer.ggml.model"), PHI3, UNSUPPORTED, "tokenizer.ggml.model"},
    {TEXT_("tokenizer.ggml.model", "llama"), PHI3, UNSUPPORTED, "tokenizer.ggml.model"},
    {DROPPED("tokenizer.ggml.pre"), PHI3, UNSUPPORTED, "tokenizer.ggml.pre"},
    {TEXT_("tokenizer.ggml.pre", "guess"), PHI3, UNSUPPORTED, "guess"},
    {DROPPED("tokenizer.ggml.tokens"), PHI3, BAD, "tokenizer.ggml.tokens: is missing"},
    {ARRAY_("tokenizer.ggml.tokens", UPG_GGUF_I32, 11), PHI3, BAD, "each element is an int32"},
    {ARRAY_("tokenizer.ggml.tokens", UPG_GGUF_TEXT, 0), PHI3, BAD, "token_type: has 11 elements"},
    {DROPPED("tokenizer.ggml.token_type"), PHI3, BAD, "token_type: is missing"},
    {ARRAY_("tokenizer.ggml.token_type", UPG_GGUF_I32, 12), PHI3, BAD, "12 elements for 11 tokens"},
    {ARRAY_("tokenizer.ggml.token_type", UPG_GGUF_U8, 11), PHI3, BAD, "each element is a uint8"},
    {ARRAY_("tokenizer.ggml.token_type", UPG_GGUF_I32, 11), PHI3, UNSUPPORTED, "token_type[0]"},
    {DROPPED("tokenizer.ggml.merges"), PHI3, BAD, "tokenizer.ggml.merges: is missing"},
    {ARRAY_("tokenizer.ggml.merges", UPG_GGUF_TEXT, 3), PHI3, BAD, "tokenizer.ggml.merges[0]"},
    {BOOL_("tokenizer.ggml.add_bos_token", 1), PHI3, UNSUPPORTED, "add_bos_token: is true"},
    {BOOL_("tokenizer.ggml.add_eos_token", 1), PHI3, UNSUPPORTED, "add_eos_token: is true"},
    {U32_("tokenizer.ggml.eos_token_id", VOCAB), PHI3, BAD, "eos_token_id: is 16"},
    {U32_("tokenizer.ggml.eos_token_id", 4294967295.0), PHI3, BAD, "eos_token_id: is 4294967295"},
    {I32_("tokenizer.ggml.eot_token_id", -1), PHI3, BAD, "eot_token_id: is -1"},
    {U32_("tokenizer.chat_template", 1), PHI3, BAD, "tokenizer.chat_template: is a uint32"},
};

static void files_that_would_give_wrong_text_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        struct upg_buffer file = {0};
        struct upg_model *model;
        upg_error err = {0};
        const upg_status status = read(&model, &file, r->kind, &r->change, &err);

        if (status != r->status || !strstr(err.message, r->part) ||
            strncmp(err.message, "m.gguf: ", 8) != 0)
            fail_msg("case %zu, %s: %s: %s (expected: %s)", i, r->change.name,
                     upg_status_name(status), err.message, r->part);
        clear(model, &file);
    }
}

static void vocabulary_larger_than_the_embedding_is_refused(void **state)
{
    const struct change few = TENSOR_("token_embd.weight", F32, WIDTH, 10);
    struct upg_buffer file = {0};
    struct upg_model *model;
    upg_error err;

    (void)state;
    assert_fails(read(&model, &file, LLAMA, &few, &err), UPG_ERR_FORMAT, err, "tokenizer");
    clear(model, &file);
}

static void model_cut_anywhere_is_refused(void **state)
{
    struct upg_buffer file = {0};

    (void)state;
    make(&file, PHI3_LONG, &no_change);
    for (size_t n = 0; n < file.n; n += n < 4096 ? 1 : 17) {
        struct upg_model *model = calloc(1, sizeof *model);
        uint8_t *copy = malloc(n + 1);
        upg_error err;

        assert_true(model && copy);
        memcpy(copy, file.bytes, n);
        assert_fails(upg_read_gguf_bytes(model, "cut.gguf", copy, n, &err), UPG_ERR_FORMAT, err,
                     "cut.gguf: ");
        upg_model_free(model);
        free(copy);
    }
    upg_buffer_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phi3_becomes_a_model_of_fused_parts),
        cmocka_unit_test(llama_becomes_a_model_of_parts_with_interleaved_pairs),
        cmocka_unit_test(long_rope_has_factors_and_a_magnitude),
        cmocka_unit_test(stop_ids_are_those_of_the_keys_and_of_the_vocabulary),
        cmocka_unit_test(files_written_by_another_program_are_opened),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(settings_without_effect_are_allowed),
        cmocka_unit_test(files_that_would_give_wrong_text_are_refused_by_name),
        cmocka_unit_test(vocabulary_larger_than_the_embedding_is_refused),
        cmocka_unit_test(model_cut_anywhere_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
