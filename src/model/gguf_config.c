/* gguf_config.c -- a model's shape and constants from the metadata of a GGUF file.
 *
 * Architectures phi3 and llama.  What a file says about its architecture and upg does not know is
 * refused by name: ignoring it gives text that still looks right.  Defaults for absent keys are
 * those of the programs that write these files. */
#include "model/gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bounds on counts, so that products of three of them fit in 64 bits.  Far beyond any model of
 * these architectures. */
enum {
    MAX_LAYERS = 1024,
    MAX_WIDTH = 1 << 20,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 4096,
    MAX_VOCABULARY = 1 << 24,
    MAX_CONTEXT = 1 << 30
};

enum { QUANTIZATION_VERSION = 2 }; /* of ggml's block layouts; since before GGUF */

/* What the functions below share. */
struct reader {
    struct upg_gguf *file;
    struct upg_config *config;
    struct upg_arena *arena;
    const char *architecture; /* "phi3" or "llama", the prefix of its keys */
    char key[128];            /* of the last arch_key() */
    upg_error *err;
};

/* "phi3.block_count" for "block_count"; valid until the next call. */
static const char *arch_key(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->architecture, name);
    return r->key;
}

/* What the file as a whole is, whatever its architecture. */
static upg_status check_general(struct reader *r)
{
    size_t n_parts, version;
    const char *kind;
    upg_status status =
        upg_gguf_get_size_or(r->file, "split.count", 0, SIZE_MAX, 0, &n_parts, r->err);

    if (status == UPG_OK && n_parts > 1)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: split.count: is one of %zu parts of a model; join them first "
                        "(llama-gguf-split --merge)",
                        r->file->path, n_parts);
    if (status == UPG_OK)
        status = upg_gguf_get_name(r->file, "general.type", r->arena, &kind, r->err);
    if (status == UPG_OK && kind && strcmp(kind, "model") != 0)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED, "%s: general.type: is %.60s, not a model",
                        r->file->path, kind);
    if (status == UPG_OK)
        status = upg_gguf_get_size_or(r->file, "general.quantization_version", 0, SIZE_MAX,
                                      QUANTIZATION_VERSION, &version, r->err);
    if (status == UPG_OK && version != QUANTIZATION_VERSION)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: general.quantization_version: is %zu; upg knows the blocks of "
                        "version %d",
                        r->file->path, version, QUANTIZATION_VERSION);
    return status;
}

static upg_status read_architecture(struct reader *r)
{
    struct upg_config *config = r->config;
    const upg_status status =
        upg_gguf_get_name(r->file, "general.architecture", r->arena, &r->architecture, r->err);

    if (status != UPG_OK)
        return status;
    if (!r->architecture)
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: general.architecture: is missing",
                        r->file->path);
    config->interleaved_pairs = strcmp(r->architecture, "llama") == 0;
    if (!config->interleaved_pairs && strcmp(r->architecture, "phi3") != 0)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: general.architecture: %.60s is not supported; upg runs phi3 "
                        "(phi-4, phi-4-reasoning, phi-4-mini) and llama",
                        r->file->path, r->architecture);
    config->architecture = config->interleaved_pairs ? "LlamaForCausalLM" : "Phi3ForCausalLM";
    return UPG_OK;
}

static upg_status read_shape(struct reader *r)
{
    struct upg_config *config = r->config;
    const struct {
        const char *name;
        size_t max, *value;
    } fields[] = {
        {"block_count", MAX_LAYERS, &config->n_layers},
        {"context_length", MAX_CONTEXT, &config->context},
        {"embedding_length", MAX_WIDTH, &config->d_model},
        {"feed_forward_length", MAX_WIDTH, &config->d_ff},
        {"attention.head_count", MAX_HEADS, &config->n_heads},
    };
    upg_status status = UPG_OK;

    for (size_t i = 0; i < sizeof fields / sizeof *fields && status == UPG_OK; i++)
        status = upg_gguf_get_size(r->file, arch_key(r, fields[i].name), 1, fields[i].max,
                                   fields[i].value, r->err);
    if (status == UPG_OK)
        status = upg_gguf_get_size_or(r->file, arch_key(r, "attention.head_count_kv"), 1, MAX_HEADS,
                                      config->n_heads, &config->n_kv_heads, r->err);
    if (status != UPG_OK)
        return status;
    if (config->n_heads % config->n_kv_heads != 0)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: %s: %zu does not divide attention.head_count %zu", r->file->path,
                        r->key, config->n_kv_heads, config->n_heads);
    return UPG_OK;
}

static upg_status read_head_dim(struct reader *r)
{
    struct upg_config *config = r->config;
    size_t value_length;
    upg_status status =
        upg_gguf_get_size_or(r->file, arch_key(r, "attention.key_length"), 1, MAX_HEAD_DIM,
                             config->d_model / config->n_heads, &config->head_dim, r->err);

    if (status == UPG_OK)
        status = upg_gguf_get_size_or(r->file, arch_key(r, "attention.value_length"), 1,
                                      MAX_HEAD_DIM, config->head_dim, &value_length, r->err);
    if (status != UPG_OK)
        return status;
    if (value_length != config->head_dim)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: %s: is %zu, but keys have %zu values; upg computes heads of one width",
                        r->file->path, r->key, value_length, config->head_dim);
    if (config->head_dim == 0 || config->head_dim > MAX_HEAD_DIM)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: %s: %zu heads in an embedding of %zu gives a width of %zu",
                        r->file->path, arch_key(r, "attention.head_count"), config->n_heads,
                        config->d_model, config->head_dim);
    if (!upg_gguf_find_entry(r->file, arch_key(r, "attention.key_length")) &&
        config->d_model % config->n_heads != 0)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: %s: %zu does not divide embedding_length %zu, and there is no "
                        "attention.key_length",
                        r->file->path, arch_key(r, "attention.head_count"), config->n_heads,
                        config->d_model);
    return UPG_OK;
}

/* A window that is absent, 0 or not smaller than the context masks nothing; the files of this
 * family have all three.  A real one is refused. */
static upg_status read_window(struct reader *r)
{
    size_t window;
    const upg_status status = upg_gguf_get_size_or(r->file, arch_key(r, "attention.sliding_window"),
                                                   0, SIZE_MAX, 0, &window, r->err);

    if (status == UPG_OK && window != 0 && window < r->config->context)
        return upg_fail(
            r->err, UPG_ERR_UNSUPPORTED,
            "%s: %s: is %zu, below context_length %zu; upg computes full attention only",
            r->file->path, r->key, window, r->config->context);
    return status;
}

static upg_status read_norm_eps(struct reader *r)
{
    const char *key = arch_key(r, "attention.layer_norm_rms_epsilon");

    if (!upg_gguf_find_entry(r->file, key))
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: %s: is missing in the metadata", r->file->path,
                        key);
    return upg_gguf_get_double_or(r->file, key, 1e-12, 1, 0, &r->config->norm_eps, r->err);
}

static upg_status read_rope(struct reader *r)
{
    struct upg_config *config = r->config;
    upg_status status = upg_gguf_get_double_or(r->file, arch_key(r, "rope.freq_base"), 1, 1e12,
                                               10000, &config->rope_theta, r->err);

    if (status == UPG_OK)
        status =
            upg_gguf_get_size_or(r->file, arch_key(r, "rope.dimension_count"), 2, config->head_dim,
                                 config->head_dim, &config->rotary_dim, r->err);
    if (status == UPG_OK && config->rotary_dim % 2 != 0)
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: %s: %zu values are not pairs", r->file->path,
                        r->key, config->rotary_dim);
    return status;
}

/* One set of LongRoPE's factors, [rotary_dim / 2]; *factors is NULL if the file has none. */
static upg_status read_factors(struct reader *r, const char *name, const float **factors)
{
    const size_t n = r->config->rotary_dim / 2;
    const struct upg_gguf_tensor *tensor = upg_gguf_find_tensor(r->file, name);
    float *values;

    if (!tensor)
        return UPG_OK;
    if (tensor->type != UPG_TYPE_F32 || tensor->n_dims != 1 || tensor->shape[0] != n)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: tensor %s: must be %zu values of F32, half the rotated width",
                        r->file->path, name, n);
    values = upg_arena_alloc(r->arena, n, sizeof *values);
    if (!values)
        return upg_fail_memory(r->err, name, n * sizeof *values);
    memcpy(values, tensor->data, tensor->n_bytes);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]) || values[i] <= 0)
            return upg_fail(r->err, UPG_ERR_FORMAT, "%s: tensor %s: factor %zu is %g, not above 0",
                            r->file->path, name, i, (double)values[i]);
    *factors = values;
    return UPG_OK;
}

/* none, longrope or absent, which depends on whether the file has LongRoPE's factors. */
static upg_status check_rope_type(struct reader *r)
{
    const char *type;
    const upg_status status =
        upg_gguf_get_name(r->file, arch_key(r, "rope.scaling.type"), r->arena, &type, r->err);

    if (status != UPG_OK || !type || strcmp(type, "none") == 0)
        return status;
    if (strcmp(type, "longrope") != 0)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                        "%s: %s: %.60s is not supported; upg computes none and longrope",
                        r->file->path, r->key, type);
    if (!r->config->long_rope.short_factor)
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: %s: is longrope, but tensor rope_factors_short.weight is missing",
                        r->file->path, r->key);
    return UPG_OK;
}

/* Ding et al. 2024 (LongRoPE): what cos and sin are multiplied by when a context was stretched. */
static double long_rope_magnitude(size_t context, size_t original)
{
    return context <= original
               ? 1
               : sqrt(1 + log((double)context / (double)original) / log((double)original));
}

/* LongRoPE is two tensors of factors, the length up to which the short ones hold, and a magnitude,
 * which otherwise follows from the lengths.  Files without LongRoPE may have the last two, too. */
static upg_status read_long_rope(struct reader *r)
{
    struct upg_config *config = r->config;
    struct upg_long_rope *rope = &config->long_rope;
    double magnitude = 1;
    upg_status status = read_factors(r, "rope_factors_short.weight", &rope->short_factor);

    if (status == UPG_OK)
        status = read_factors(r, "rope_factors_long.weight", &rope->long_factor);
    if (status == UPG_OK && !rope->short_factor != !rope->long_factor)
        status = upg_fail(r->err, UPG_ERR_FORMAT,
                          "%s: tensor rope_factors_%s.weight: is missing, the other one is there",
                          r->file->path, rope->short_factor ? "long" : "short");
    if (status == UPG_OK)
        status = check_rope_type(r);
    rope->present = rope->short_factor != NULL;
    if (status == UPG_OK)
        status = upg_gguf_get_size_or(r->file, arch_key(r, "rope.scaling.original_context_length"),
                                      2, MAX_CONTEXT, 0, &rope->original_context, r->err);
    if (status != UPG_OK)
        return status;
    if (rope->present && rope->original_context == 0)
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: %s: is missing, LongRoPE needs it",
                        r->file->path, r->key);
    if (rope->present)
        magnitude = long_rope_magnitude(config->context, rope->original_context);
    status = upg_gguf_get_double_or(r->file, arch_key(r, "rope.scaling.attn_factor"), 1e-3, 1e3,
                                    magnitude, &rope->magnitude, r->err);
    if (status == UPG_OK && !rope->present && rope->magnitude != 1)
        return upg_fail(r->err, UPG_ERR_UNSUPPORTED, "%s: %s: is %g without LongRoPE's factors",
                        r->file->path, r->key, rope->magnitude);
    if (!rope->present)
        *rope = (struct upg_long_rope){0};
    return status;
}

/* Settings that upg computes only when they are off, and such as do not matter.  Any other key of
 * the architecture that nobody asked for is refused. */
static upg_status check_settings(struct reader *r)
{
    static const struct {
        const char *name;
        double off, also_off;
    } must_be_off[] = {
        {"expert_count", 0, 0},
        {"expert_used_count", 0, 0},
        {"rope.scaling.factor", 0, 1},
        {"rope.scale_linear", 0, 1},
        {"attn_logit_softcapping", 0, 0},
        {"final_logit_softcapping", 0, 0},
        {"logit_scale", 0, 1},
        {"residual_scale", 0, 1},
        {"embedding_scale", 0, 1},
        {"attention.scale", 0, 0},
        {"attention.clamp_kqv", 0, 0},
        {"attention.max_alibi_bias", 0, 0},
    };
    static const char *const harmless[] = {"tensor_data_layout", "rope.scaling.finetuned"};
    const size_t n_prefix = strlen(r->architecture);

    for (size_t i = 0; i < sizeof must_be_off / sizeof *must_be_off; i++) {
        const double off = must_be_off[i].off;
        double value;
        const upg_status status = upg_gguf_get_double_or(r->file, arch_key(r, must_be_off[i].name),
                                                         -HUGE_VAL, HUGE_VAL, off, &value, r->err);
        if (status != UPG_OK)
            return status;
        if (value != off && value != must_be_off[i].also_off)
            return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                            "%s: %s: is %g, which upg does not compute", r->file->path, r->key,
                            value);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        upg_gguf_find_entry(r->file, arch_key(r, harmless[i]));
    for (size_t i = 0; i < r->file->n_entries; i++) {
        const struct upg_gguf_entry *entry = &r->file->entries[i];
        if (!entry->used && strncmp(entry->key, r->architecture, n_prefix) == 0 &&
            entry->key[n_prefix] == '.')
            return upg_fail(r->err, UPG_ERR_UNSUPPORTED,
                            "%s: %.200s: upg does not know this setting, and a model that needs it "
                            "would give wrong text",
                            r->file->path, entry->key);
    }
    return UPG_OK;
}

static upg_status read_vocabulary(struct reader *r)
{
    struct upg_config *config = r->config;
    const struct upg_gguf_tensor *tensor = upg_gguf_find_tensor(r->file, "token_embd.weight");
    size_t n;
    upg_status status;

    if (!tensor)
        return upg_fail(r->err, UPG_ERR_FORMAT, "%s: tensor token_embd.weight: is missing",
                        r->file->path);
    config->n_vocab = tensor->shape[1];
    config->tied_embeddings = !upg_gguf_find_tensor(r->file, "output.weight");
    status = upg_gguf_get_size_or(r->file, arch_key(r, "vocab_size"), 1, MAX_VOCABULARY,
                                  config->n_vocab, &n, r->err);
    if (status == UPG_OK && (n != config->n_vocab || n > MAX_VOCABULARY))
        return upg_fail(r->err, UPG_ERR_FORMAT,
                        "%s: %s: is %zu, the embedding has %zu rows (at most %d)", r->file->path,
                        r->key, n, config->n_vocab, MAX_VOCABULARY);
    return status;
}

upg_status upg_gguf_read_config(struct upg_gguf *file, struct upg_config *config,
                                struct upg_arena *arena, upg_error *err)
{
    struct reader r = {.file = file, .config = config, .arena = arena, .err = err};
    static upg_status (*const steps[])(struct reader *) = {
        check_general, read_architecture, read_shape,     read_head_dim,   read_window,
        read_norm_eps, read_rope,         read_long_rope, read_vocabulary, check_settings,
    };
    upg_status status = UPG_OK;

    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == UPG_OK; i++)
        status = steps[i](&r);
    return status;
}
