/* open.c -- the public functions on models: which reader a path needs, and what a model tells. */
#include "model/open.h"

#include "model/hf.h"
#include "model/model.h"
#include "text/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void upg_model_options_defaults(upg_model_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

upg_status upg_file_kind_of(const char *path, enum upg_file_kind *kind, upg_error *err)
{
    char magic[4] = {0};
    struct stat info;
    ssize_t n;
    int fd;

    if (stat(path, &info) != 0)
        return upg_fail_errno(err, path, "open");
    if (S_ISDIR(info.st_mode)) {
        *kind = UPG_FILE_DIRECTORY;
        return UPG_OK;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return upg_fail_errno(err, path, "open");
    n = read(fd, magic, sizeof magic);
    close(fd);
    if (n < 0)
        return upg_fail_errno(err, path, "read");
    *kind = memcmp(magic, "GGUF", 4) == 0 ? UPG_FILE_GGUF : UPG_FILE_UPG;
    return UPG_OK;
}

static upg_status read_file(struct upg_model *model, const char *path,
                            const upg_model_options *options, upg_error *err)
{
    enum upg_file_kind kind = UPG_FILE_UPG;
    const upg_status status = upg_file_kind_of(path, &kind, err);

    if (status != UPG_OK)
        return status;
    switch (kind) {
    case UPG_FILE_DIRECTORY: return upg_read_hf(model, path, options, err);
    case UPG_FILE_GGUF: return upg_read_gguf(model, path, options, err);
    default: return upg_read_upg(model, path, options, err);
    }
}

static upg_status read_embedded(struct upg_model *model, upg_error *err)
{
    size_t n_bytes;
    const uint8_t *bytes = upg_embedded_model(&n_bytes);

    if (n_bytes == 0)
        return upg_fail(err, UPG_ERR_ARGUMENT,
                        "this libupg was built without an embedded model; name a model");
    return upg_read_upg_bytes(model, "(embedded)", bytes, n_bytes, err);
}

upg_status upg_model_open(upg_model **model, const char *path, const upg_model_options *options,
                          upg_error *err)
{
    struct upg_model *opened = calloc(1, sizeof *opened);
    upg_status status;

    if (!opened) {
        upg_fail_memory(err, "a model", sizeof *opened);
        return UPG_ERR_MEMORY;
    }
    status = path ? read_file(opened, path, options, err) : read_embedded(opened, err);
    if (status == UPG_OK)
        *model = opened;
    else
        upg_model_free(opened);
    return status;
}

void upg_model_free(upg_model *model)
{
    if (!model)
        return;
    if (model->tokenizer)
        upg_tokenizer_free(model->tokenizer);
    upg_tokens_clear(&model->stop_ids);
    for (size_t i = 0; i < model->n_maps; i++)
        upg_file_map_close(&model->maps[i]);
    upg_arena_clear(&model->arena); /* the list of maps too */
    free(model);
}

/* Logical weights: what config.json's shape says, whatever the file pads or shares. */
static uint64_t n_parameters(const struct upg_config *c)
{
    const uint64_t d = c->d_model, q = (uint64_t)c->n_heads * c->head_dim,
                   kv = (uint64_t)c->n_kv_heads * c->head_dim;
    const uint64_t layer = d * (q + 2 * kv) + q * d + 3 * d * c->d_ff + 2 * d;

    return c->n_layers * layer + d + (c->tied_embeddings ? 1 : 2) * c->n_vocab * d;
}

void upg_model_get_info(const upg_model *model, upg_model_info *info)
{
    const struct upg_config *c = &model->config;

    *info = (upg_model_info){
        .architecture = c->architecture,
        .format = model->format,
        .path = model->path,
        .n_parameters = n_parameters(c),
        .n_file_bytes = model->n_file_bytes,
        .n_layers = c->n_layers,
        .d_model = c->d_model,
        .d_ff = c->d_ff,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .rotary_dim = c->rotary_dim,
        .n_vocab = c->n_vocab,
        .context = c->context,
        .rope_theta = c->rope_theta,
        .norm_eps = c->norm_eps,
        .tied_embeddings = c->tied_embeddings,
        .stop_ids = model->stop_ids.ids,
        .n_stop_ids = model->stop_ids.n,
        .chat_template = model->tokenizer ? upg_tokenizer_template_name(model->tokenizer) : NULL,
        .metadata_json = model->metadata_json,
    };
}

size_t upg_model_n_tensors(const upg_model *model)
{
    return model->n_tensors;
}

upg_status upg_model_get_tensor(const upg_model *model, size_t i, upg_tensor_info *info,
                                upg_error *err)
{
    if (i >= model->n_tensors)
        return upg_fail(err, UPG_ERR_ARGUMENT, "%s: tensor number %zu: there are %zu", model->path,
                        i, model->n_tensors);
    *info = model->tensors[i];
    return UPG_OK;
}

const upg_tokenizer *upg_model_tokenizer(const upg_model *model)
{
    return model->tokenizer;
}

upg_status upg_read_tokenizer(upg_tokenizer **tokenizer, const char *path, upg_error *err)
{
    enum upg_file_kind kind = UPG_FILE_UPG;
    struct upg_model *model = NULL;
    uint64_t n_bytes = 0;
    upg_tokenizer *found = NULL;
    upg_status status = path ? upg_file_kind_of(path, &kind, err) : UPG_OK;

    if (status == UPG_OK && kind == UPG_FILE_DIRECTORY) {
        status = upg_read_hf_tokenizer(&found, path, &n_bytes, err);
    } else if (status == UPG_OK) {
        status = upg_model_open(&model, path, NULL, err);
        if (status == UPG_OK) {
            found = model->tokenizer;
            model->tokenizer = NULL;
            upg_model_free(model);
        }
    }
    if (status == UPG_OK && !found)
        status = upg_fail(err, UPG_ERR_FORMAT, "%s: has no tokenizer (tokenizer.json)",
                          path ? path : "(embedded)");
    if (status == UPG_OK)
        *tokenizer = found;
    return status;
}

upg_status upg_tokenizer_open(upg_tokenizer **tokenizer, const char *path, upg_error *err)
{
    return upg_read_tokenizer(tokenizer, path, err);
}
