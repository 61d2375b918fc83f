/* inspect.c -- upg inspect: what is in a model file. */
#include "cli/commands.h"

#include "cli/json_output.h"
#include "cli/message.h"
#include "cli/open.h"

#include <string.h>

static double bits_per_weight(const upg_model_info *info)
{
    return info->n_parameters ? 8.0 * (double)info->n_file_bytes / (double)info->n_parameters : 0;
}

static double ratio_to_float32(const upg_model_info *info)
{
    return info->n_file_bytes ? 4.0 * (double)info->n_parameters / (double)info->n_file_bytes : 0;
}

static void token_text(const upg_model *model, int32_t id, const char **bytes, size_t *n)
{
    const upg_tokenizer *tokenizer = upg_model_tokenizer(model);

    *bytes = NULL;
    *n = 0;
    if (tokenizer)
        upg_token_bytes(tokenizer, id, 0, bytes, n);
    if (!*bytes)
        *bytes = "";
}

/* 0 without a tokenizer. */
static size_t n_token_ids(const upg_model *model)
{
    const upg_tokenizer *tokenizer = upg_model_tokenizer(model);

    return tokenizer ? upg_tokenizer_n_ids(tokenizer) : 0;
}

/* ---- JSON ---- */

static json_t *json_config(const upg_model_info *info)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:b}", "n_layers",
                     (json_int_t)info->n_layers, "d_model", (json_int_t)info->d_model, "d_ff",
                     (json_int_t)info->d_ff, "n_heads", (json_int_t)info->n_heads, "n_kv_heads",
                     (json_int_t)info->n_kv_heads, "head_dim", (json_int_t)info->head_dim,
                     "rotary_dim", (json_int_t)info->rotary_dim, "n_vocab",
                     (json_int_t)info->n_vocab, "context", (json_int_t)info->context, "rope_theta",
                     json_number(info->rope_theta), "norm_eps", json_number(info->norm_eps),
                     "tied_embeddings", info->tied_embeddings);
}

static json_t *json_tokenizer(const upg_model *model, const upg_model_info *info)
{
    json_t *stop = json_array();

    for (size_t i = 0; stop && i < info->n_stop_ids; i++) {
        const char *bytes;
        size_t n;

        token_text(model, info->stop_ids[i], &bytes, &n);
        if (json_array_append_new(stop, json_pack("{s:I, s:o}", "id", (json_int_t)info->stop_ids[i],
                                                  "text", json_text(bytes, n))) != 0) {
            json_decref(stop);
            stop = NULL;
        }
    }
    return json_pack("{s:I, s:o, s:o}", "n_ids", (json_int_t)n_token_ids(model), "chat_template",
                     json_c_text(info->chat_template), "stop_tokens", stop);
}

static json_t *json_tensor(const upg_tensor_info *tensor)
{
    json_t *shape = json_array();

    for (size_t d = 0; shape && d < tensor->n_dims; d++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d])) != 0) {
            json_decref(shape);
            shape = NULL;
        }
    return json_pack("{s:o, s:o, s:s, s:o, s:I}", "name", json_c_text(tensor->name), "shape", shape,
                     "type", tensor->type, "bits", json_number(tensor->bits), "bytes",
                     (json_int_t)tensor->n_bytes);
}

static json_t *json_tensors(const upg_model *model)
{
    json_t *array = json_array();
    upg_tensor_info tensor;

    for (size_t i = 0; array && i < upg_model_n_tensors(model); i++)
        if (upg_model_get_tensor(model, i, &tensor, NULL) != UPG_OK ||
            json_array_append_new(array, json_tensor(&tensor)) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

/* What the file says about itself under a name: "provenance" or "quality"; null if it does not. */
static json_t *json_metadata(const json_t *metadata, const char *name)
{
    json_t *value = json_object_get(metadata, name);

    return value ? json_incref(value) : json_null();
}

static upg_status write_document(const upg_model *model, const upg_model_info *info,
                                 const json_t *metadata, upg_error *err)
{
    json_t *document = json_pack(
        "{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "architecture",
        json_c_text(info->architecture), "format", json_c_text(info->format), "path",
        json_c_text(info->path), "parameters", (json_int_t)info->n_parameters, "file_bytes",
        (json_int_t)info->n_file_bytes, "bits_per_weight", json_number(bits_per_weight(info)),
        "ratio_to_float32", json_number(ratio_to_float32(info)), "config", json_config(info),
        "tokenizer", json_tokenizer(model, info), "tensors", json_tensors(model), "provenance",
        json_metadata(metadata, "provenance"), "quality", json_metadata(metadata, "quality"));

    return json_write(document, JSON_INDENT(2), err);
}

/* ---- A table to read ---- */

/* Names come from files: control bytes, which could command the terminal, become '?'. */
static int print_name(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        putchar((unsigned char)name[i] < 0x20 || name[i] == 0x7F ? '?' : name[i]);
    return (int)n;
}

static void print_stop_tokens(const upg_model *model, const upg_model_info *info)
{
    printf("%-16s", "stop tokens");
    for (size_t i = 0; i < info->n_stop_ids; i++) {
        const char *bytes;
        size_t n;

        token_text(model, info->stop_ids[i], &bytes, &n);
        printf("%s%d ", i > 0 ? ", " : "", (int)info->stop_ids[i]);
        print_name(bytes, n);
    }
    puts(info->n_stop_ids == 0 ? "none" : "");
}

static void print_config(const upg_model *model, const upg_model_info *info)
{
    printf("%-16s%s, %s, format %s\n", "model", info->path, info->architecture, info->format);
    printf("%-16s%llu\n", "weights", (unsigned long long)info->n_parameters);
    printf("%-16s%llu bytes, %.3f bits a weight, 1/%.2f of float32\n", "file",
           (unsigned long long)info->n_file_bytes, bits_per_weight(info), ratio_to_float32(info));
    printf("%-16s%zu of width %zu, feed-forward %zu\n", "layers", info->n_layers, info->d_model,
           info->d_ff);
    printf("%-16s%zu, %zu for keys and values, of width %zu, %zu of it rotary\n", "heads",
           info->n_heads, info->n_kv_heads, info->head_dim, info->rotary_dim);
    printf("%-16s%g\n", "rope theta", info->rope_theta);
    printf("%-16s%g\n", "norm epsilon", info->norm_eps);
    printf("%-16s%zu tokens\n", "context", info->context);
    printf("%-16s%zu rows, tokenizer %zu ids, %s\n", "vocabulary", info->n_vocab,
           n_token_ids(model),
           info->tied_embeddings ? "the head is the embedding" : "head and embedding apart");
    printf("%-16s%s\n", "chat template", info->chat_template ? info->chat_template : "none");
    print_stop_tokens(model, info);
}

static void print_shape(const upg_tensor_info *tensor)
{
    char shape[48];

    if (tensor->n_dims == 1)
        snprintf(shape, sizeof shape, "%llu", (unsigned long long)tensor->shape[0]);
    else
        snprintf(shape, sizeof shape, "%llu x %llu", (unsigned long long)tensor->shape[0],
                 (unsigned long long)tensor->shape[1]);
    printf(" %16s", shape);
}

static upg_status print_tensors(const upg_model *model, upg_error *err)
{
    const size_t n = upg_model_n_tensors(model);
    upg_tensor_info tensor;
    uint64_t n_bytes = 0;
    int width = 0;
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        status = upg_model_get_tensor(model, i, &tensor, err);
        if (status == UPG_OK && (int)strlen(tensor.name) > width)
            width = (int)strlen(tensor.name);
    }
    printf("\n%-*s %-8s %16s %7s %14s\n", width, "tensor", "type", "shape", "bits", "bytes");
    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        status = upg_model_get_tensor(model, i, &tensor, err);
        if (status != UPG_OK)
            break;
        printf("%*s", width - print_name(tensor.name, strlen(tensor.name)), "");
        printf(" %-8s", tensor.type);
        print_shape(&tensor);
        printf(" %7.3f %14llu\n", tensor.bits, (unsigned long long)tensor.n_bytes);
        n_bytes += tensor.n_bytes;
    }
    printf("%-*s %-8s %16s %7s %14llu\n", width, "total", "", "", "", (unsigned long long)n_bytes);
    return status;
}

static int print_piece(const char *bytes, size_t n, void *unused)
{
    (void)unused;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

static void print_metadata(const json_t *metadata, const char *name)
{
    const json_t *value = json_object_get(metadata, name);

    if (!value)
        return;
    printf("\n%s\n", name);
    json_dump_callback(value, print_piece, NULL, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

static upg_status print_table(const upg_model *model, const upg_model_info *info,
                              const json_t *metadata, upg_error *err)
{
    upg_status status;

    print_config(model, info);
    status = print_tensors(model, err);
    print_metadata(metadata, "provenance");
    print_metadata(metadata, "quality");
    return status;
}

upg_status inspect_command(const struct settings *settings, upg_error *err)
{
    struct opened opened = {0};
    json_t *metadata = NULL;
    upg_status status = open_model(&opened, settings->model, settings, err);

    if (status == UPG_OK && opened.info.metadata_json) {
        metadata = json_of_library(opened.info.metadata_json);
        if (!metadata)
            status = fail_memory(err, "the metadata");
    }
    if (status == UPG_OK && settings->json)
        status = write_document(opened.model, &opened.info, metadata, err);
    else if (status == UPG_OK)
        status = print_table(opened.model, &opened.info, metadata, err);
    json_decref(metadata);
    opened_close(&opened);
    return status;
}
