/* hf_files.h -- the files of a Hugging Face directory, below what they mean. */
#ifndef UPG_MODEL_HF_FILES_H
#define UPG_MODEL_HF_FILES_H

#include "base/json.h"
#include "model/model.h"
#include "model/safetensors.h"

struct upg_hf_shard {
    struct upg_safetensors directory;
    bool *used; /* [directory.n_tensors] the model has it */
};

/* Owner of the JSON; maps and everything in the arena are the model's. */
struct upg_hf_files {
    struct upg_model *model;
    const char *path;            /* of the directory, borrowed */
    json_t *index;               /* model.safetensors.index.json; NULL: one file */
    const json_t *weight_map;    /* in index: tensor name -> shard file */
    json_t *shard_of;            /* shard file -> number */
    struct upg_hf_shard *shards; /* [n_shards] in the arena */
    size_t n_shards;
};

/* Read and parse the file `name` of the directory, at most max_bytes.  *json stays NULL if an
 * optional file is not there. */
upg_status upg_hf_read_json(struct upg_hf_files *files, const char *name, bool optional,
                            size_t max_bytes, json_t **json, upg_error *err);

/* Map model.safetensors, or the index and all shards that it names, which must be what it says. */
upg_status upg_hf_open_weights(struct upg_hf_files *files, upg_error *err);

/* The tensor of that name, which counts as used from now on; NULL with a message (UPG_ERR_FORMAT) if
 * there is none. */
const struct upg_safetensor *upg_hf_take(struct upg_hf_files *files, const char *name,
                                         upg_error *err);

/* List all tensors as the model's, and refuse those that the model would have to use and did not. */
upg_status upg_hf_list_tensors(struct upg_hf_files *files, upg_error *err);

void upg_hf_files_clear(struct upg_hf_files *files);

#endif
