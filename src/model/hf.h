/* hf.h -- files of a Hugging Face directory that other readers of this room use too. */
#ifndef UPG_MODEL_HF_H
#define UPG_MODEL_HF_H

#include "model/model.h"

/* The tokenizer of a directory: tokenizer.json, and the chat template from chat_template.jinja or
 * tokenizer_config.json.  *tokenizer is NULL with UPG_OK if there is no tokenizer.json.  The sizes
 * of the files read are added to *n_file_bytes. */
upg_status upg_read_hf_tokenizer(upg_tokenizer **tokenizer, const char *directory,
                                 uint64_t *n_file_bytes, upg_error *err);

#endif
