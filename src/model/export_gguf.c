/* export_gguf.c -- a model as a GGUF file, version 3 (specification: docs/gguf.md of the ggml
 * project).
 *
 * Metadata and the tensors' directory are put together in memory, then the tensors follow, each at
 * a multiple of the alignment. */
#include "model/export.h"

#include "base/atomic_file.h"
#include "base/buffer.h"
#include "model/gguf.h"

#include <string.h>

enum {
    VERSION = 3,
    ALIGNMENT = 32,
    TYPE_F32 = 0, /* of tensors */
    TYPE_BF16 = 30,
    FILE_TYPE_BF16 = 32 /* "mostly BF16" */
};

/* Head of the file; errors are kept until the end, so that lines of it read like a list. */
struct head {
    struct upg_buffer entries;
    uint64_t n_entries;
    const char *architecture; /* the prefix of its keys */
    upg_status status;
    upg_error *err;
};

static void put(struct head *head, const void *bytes, size_t n)
{
    if (head->status == UPG_OK)
        head->status = upg_buffer_append(&head->entries, bytes, n, head->err);
}

/* The low n bytes, little-endian. */
static void put_number(struct head *head, uint64_t value, size_t n)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(head, bytes, n);
}

static void put_text(struct head *head, const char *text, size_t n)
{
    put_number(head, n, 8);
    put(head, text, n);
}

/* A key; one that begins with a dot belongs to the architecture. */
static void put_key(struct head *head, const char *key, enum upg_gguf_type type)
{
    const size_t n_prefix = *key == '.' ? strlen(head->architecture) : 0, n = strlen(key);

    put_number(head, n_prefix + n, 8);
    put(head, head->architecture, n_prefix);
    put(head, key, n);
    put_number(head, type, 4);
    head->n_entries++;
}

static void entry_size(struct head *head, const char *key, size_t value)
{
    put_key(head, key, UPG_GGUF_U32);
    put_number(head, value, 4);
}

static void entry_float(struct head *head, const char *key, double value)
{
    const float single = (float)value;
    uint32_t bits;

    memcpy(&bits, &single, sizeof bits);
    put_key(head, key, UPG_GGUF_F32);
    put_number(head, bits, 4);
}

static void entry_text(struct head *head, const char *key, const char *text, size_t n)
{
    put_key(head, key, UPG_GGUF_TEXT);
    put_text(head, text, n);
}

static void entry_texts(struct head *head, const char *key, const struct upg_text_span *texts,
                        size_t n)
{
    put_key(head, key, UPG_GGUF_ARRAY);
    put_number(head, UPG_GGUF_TEXT, 4);
    put_number(head, n, 8);
    for (size_t i = 0; i < n; i++)
        put_text(head, texts[i].text, texts[i].n);
}

static void entry_ints(struct head *head, const char *key, const int32_t *values, size_t n)
{
    put_key(head, key, UPG_GGUF_ARRAY);
    put_number(head, UPG_GGUF_I32, 4);
    put_number(head, n, 8);
    for (size_t i = 0; i < n; i++)
        put_number(head, (uint32_t)values[i], 4);
}

static void put_config(struct head *head, const struct upg_config *c)
{
    entry_text(head, "general.architecture", head->architecture, strlen(head->architecture));
    entry_size(head, "general.alignment", ALIGNMENT);
    entry_size(head, "general.file_type", FILE_TYPE_BF16);
    entry_size(head, "general.quantization_version", 2);
    entry_size(head, ".context_length", c->context);
    entry_size(head, ".embedding_length", c->d_model);
    entry_size(head, ".feed_forward_length", c->d_ff);
    entry_size(head, ".block_count", c->n_layers);
    entry_size(head, ".vocab_size", c->n_vocab);
    entry_size(head, ".attention.head_count", c->n_heads);
    entry_size(head, ".attention.head_count_kv", c->n_kv_heads);
    entry_size(head, ".attention.key_length", c->head_dim);
    entry_size(head, ".attention.value_length", c->head_dim);
    entry_float(head, ".attention.layer_norm_rms_epsilon", c->norm_eps);
    entry_size(head, ".rope.dimension_count", c->rotary_dim);
    entry_float(head, ".rope.freq_base", c->rope_theta);
    if (strcmp(head->architecture, "phi3") == 0)
        entry_size(head, ".attention.sliding_window", 0); /* none; some readers ask for it */
    if (c->long_rope.present) {
        entry_size(head, ".rope.scaling.original_context_length", c->long_rope.original_context);
        entry_float(head, ".rope.scaling.attn_factor", c->long_rope.magnitude);
    }
}

static void put_tokenizer(struct head *head, const struct upg_model *model, struct upg_arena *arena)
{
    static const char *const stop_keys[] = {"tokenizer.ggml.eos_token_id",
                                            "tokenizer.ggml.eot_token_id",
                                            "tokenizer.ggml.eom_token_id"};
    struct upg_tokenizer_arrays arrays = {0};
    int32_t end_of_text;

    head->status =
        upg_tokenizer_to_arrays(model->tokenizer, model->config.n_vocab, arena, &arrays, head->err);
    if (head->status != UPG_OK)
        return;
    entry_text(head, "tokenizer.ggml.model", arrays.model, strlen(arrays.model));
    entry_text(head, "tokenizer.ggml.pre", arrays.pre, strlen(arrays.pre));
    entry_texts(head, "tokenizer.ggml.tokens", arrays.tokens, arrays.n_tokens);
    entry_ints(head, "tokenizer.ggml.token_type", arrays.types, arrays.n_tokens);
    entry_texts(head, "tokenizer.ggml.merges", arrays.merges, arrays.n_merges);
    for (size_t i = 0; i < model->stop_ids.n && i < sizeof stop_keys / sizeof *stop_keys; i++)
        entry_size(head, stop_keys[i], (size_t)model->stop_ids.ids[i]);
    end_of_text = upg_tokenizer_find_special(model->tokenizer, "<|endoftext|>");
    if (end_of_text >= 0) {
        entry_size(head, "tokenizer.ggml.bos_token_id", (size_t)end_of_text);
        entry_size(head, "tokenizer.ggml.padding_token_id", (size_t)end_of_text);
    }
    put_key(head, "tokenizer.ggml.add_bos_token", UPG_GGUF_BOOL);
    put_number(head, 0, 1);
    if (arrays.chat_template.text)
        entry_text(head, "tokenizer.chat_template", arrays.chat_template.text,
                   arrays.chat_template.n);
}

/* ---- Tensors ---- */

static size_t tensor_bytes(const struct upg_export_tensor *tensor)
{
    return tensor->n_rows * tensor->n_cols * (tensor->vector ? sizeof(float) : sizeof(uint16_t));
}

static size_t padding(uint64_t n_bytes)
{
    return (size_t)(-n_bytes % ALIGNMENT);
}

static void put_directory(struct head *head, const struct upg_export *e)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < e->n_tensors; i++) {
        const struct upg_export_tensor *tensor = &e->tensors[i];
        put_text(head, tensor->name, strlen(tensor->name));
        put_number(head, tensor->vector ? 1 : 2, 4);
        put_number(head, tensor->n_cols, 8);
        if (!tensor->vector)
            put_number(head, tensor->n_rows, 8);
        put_number(head, tensor->vector ? TYPE_F32 : TYPE_BF16, 4);
        put_number(head, offset, 8);
        offset += tensor_bytes(tensor);
        offset += padding(offset);
    }
}

/* LongRoPE's factors are tensors in this format. */
static upg_status add_factors(struct upg_export *e, upg_error *err)
{
    const struct upg_long_rope *rope = &e->model->config.long_rope;
    const size_t n = e->model->config.rotary_dim / 2;
    struct upg_export_tensor *tensors;

    if (!rope->present)
        return UPG_OK;
    tensors = upg_arena_alloc(&e->arena, e->n_tensors + 2, sizeof *tensors);
    if (!tensors)
        return upg_fail_memory(err, "the list of tensors", e->n_tensors * sizeof *tensors);
    memcpy(tensors, e->tensors, e->n_tensors * sizeof *tensors);
    tensors[e->n_tensors++] = (struct upg_export_tensor){
        .name = "rope_factors_long.weight", .vector = rope->long_factor, .n_rows = 1, .n_cols = n};
    tensors[e->n_tensors++] = (struct upg_export_tensor){.name = "rope_factors_short.weight",
                                                         .vector = rope->short_factor,
                                                         .n_rows = 1,
                                                         .n_cols = n};
    e->tensors = tensors;
    return UPG_OK;
}

static upg_status make_head(struct head *head, struct upg_export *e)
{
    const uint64_t n_tensors = e->n_tensors;
    struct upg_buffer entries;

    put_config(head, &e->model->config);
    if (e->model->tokenizer && head->status == UPG_OK)
        put_tokenizer(head, e->model, &e->arena);
    put_directory(head, e);
    entries = head->entries;
    head->entries = (struct upg_buffer){0};
    put(head, "GGUF", 4);
    put_number(head, VERSION, 4);
    put_number(head, n_tensors, 8);
    put_number(head, head->n_entries, 8);
    if (entries.n > 0)
        put(head, entries.bytes, entries.n);
    upg_buffer_clear(&entries);
    return head->status;
}

static upg_status into_file(void *context, const void *bytes, size_t n, upg_error *err)
{
    return upg_atomic_file_write(context, bytes, n, err);
}

static upg_status pad_file(struct upg_atomic_file *file, upg_error *err)
{
    static const char zeros[ALIGNMENT];

    return upg_atomic_file_write(file, zeros, padding(file->n_bytes), err);
}

static upg_status write_tensors(struct upg_export *e, struct upg_atomic_file *file, upg_error *err)
{
    upg_status status = pad_file(file, err);

    for (size_t i = 0; i < e->n_tensors && status == UPG_OK; i++) {
        const struct upg_export_tensor *tensor = &e->tensors[i];
        status = tensor->vector
                     ? upg_atomic_file_write(file, tensor->vector, tensor_bytes(tensor), err)
                     : upg_export_matrix(e, tensor, into_file, file, err);
        if (status == UPG_OK)
            status = pad_file(file, err);
    }
    return status;
}

upg_status upg_export_gguf(struct upg_export *e, upg_error *err)
{
    const bool is_phi3 = strcmp(e->model->config.architecture, "Phi3ForCausalLM") == 0;
    struct head head = {.architecture = is_phi3 ? "phi3" : "llama", .err = err};
    struct upg_atomic_file file;
    upg_status status = add_factors(e, err);

    if (status == UPG_OK)
        status = make_head(&head, e);
    if (status == UPG_OK)
        status = upg_atomic_file_open(&file, e->destination, err);
    if (status == UPG_OK) {
        status = upg_atomic_file_write(&file, head.entries.bytes, head.entries.n, err);
        if (status == UPG_OK)
            status = write_tensors(e, &file, err);
        if (status == UPG_OK)
            status = upg_atomic_file_commit(&file, err);
        else
            upg_atomic_file_discard(&file);
    }
    upg_buffer_clear(&head.entries);
    return status;
}
