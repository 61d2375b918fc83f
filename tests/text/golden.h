/* golden.h -- reading the recorded rows and the tokenizers that they are for. */
#ifndef TESTS_TEXT_GOLDEN_H
#define TESTS_TEXT_GOLDEN_H

#include "text/text.h"

#include <jansson.h>

/* The folder that make_tokenizers.py filled; set by main(). */
extern const char *golden_folder;

/* FOLDER/NAME/tokenizer.json with a chat template (NULL: none is given); fails the test if it
 * cannot be read. */
upg_tokenizer *golden_tokenizer(const char *name, const char *jinja);

/* Calls row(object, context) for every line of tests/data/text/NAME; returns their number. */
size_t golden_rows(const char *name, void (*row)(const json_t *object, void *context),
                   void *context);

/* Fails the test, naming `what`, unless the ids are those of the array. */
void golden_compare(const char *what, const upg_tokens *tokens, const json_t *ids);

#endif
