/* tokenize_jsonl.h -- a line of JSON in, a line of JSON out. */
#ifndef UPG_CLI_TOKENIZE_JSONL_H
#define UPG_CLI_TOKENIZE_JSONL_H

#include "upg/upg.h"

/* Answer each line of the file ("-": standard input) at once; empty lines are passed over.
 *
 *   {"text": ..., "parse_special": false}                      -> {"ids": [...]}
 *   {"messages": [{"role": ..., "content": ..., "tools": ...}],
 *    "add_generation_prompt": true}                            -> {"ids": [...], "prompt": ...}
 *
 * Both flags may be absent: false and true.  Other fields are passed over.  UPG_ERR_FORMAT names
 * the line. */
upg_status tokenize_jsonl(const upg_tokenizer *tokenizer, const char *path, upg_error *err);

#endif
