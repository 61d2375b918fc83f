/* conversation.h -- the messages of a chat, and the sequence that holds their tokens.
 *
 * Before each answer all messages are rendered with the chat template.  What the sequence holds
 * already, from its beginning, stays; only the rest is appended.  So a turn costs its own tokens,
 * and a change anywhere (another system text, dropped turns, a loaded file) needs no special case.
 *
 * Invariants:
 *   (1) `held` are the ids in the sequence: held.n == upg_sequence_n_tokens(sequence).
 *   (2) only messages[0] may have the role "system". */
#ifndef UPG_CLI_CONVERSATION_H
#define UPG_CLI_CONVERSATION_H

#include "cli/open.h"

#include <stdbool.h>

struct conversation {
    const upg_tokenizer *tokenizer; /* borrowed */
    upg_engine *engine;             /* borrowed */
    upg_sequence *sequence;         /* owned */
    size_t context;                 /* tokens */
    upg_message *messages;          /* [n_messages], owned with their strings */
    size_t n_messages;
    upg_tokens held;
};

/* What an answer cost. */
struct answer {
    upg_generation generation; /* n_prompt_tokens: those that were not held already */
    size_t n_dropped;          /* oldest messages that were dropped to make room */
};

upg_status conversation_open(struct conversation *conversation, const struct opened *opened,
                             upg_error *err);
void conversation_close(struct conversation *conversation);

/* Add a message at the end. */
upg_status conversation_add(struct conversation *conversation, const char *role,
                            const char *content, upg_error *err);

/* Remove n messages from number `first` on. */
void conversation_remove(struct conversation *conversation, size_t first, size_t n);

bool conversation_has_system(const struct conversation *conversation);

/* Set the system text; "" removes it. */
upg_status conversation_set_system(struct conversation *conversation, const char *text,
                                   upg_error *err);

/* Put other messages in the place of all; they are copied.  Unchanged if the template refuses them.
 */
upg_status conversation_replace(struct conversation *conversation, const upg_message *messages,
                                size_t n, upg_error *err);

/* Write the sequence to a file, and take it back.  Messages are not touched: only the time of the
 * next answer depends on it.  After a failure to load the sequence is empty. */
upg_status conversation_save_cache(const struct conversation *conversation, const char *path,
                                   upg_error *err);
upg_status conversation_load_cache(struct conversation *conversation, const char *path,
                                   upg_error *err);

/* Say `question`, and get the answer; both become messages.  If the context has no room, the oldest
 * turns are dropped first; the system text stays.
 *   stream  write the answer to standard output as it comes
 * Ctrl-C ends the answer (finish CANCELLED); what there is of it is kept.  After a failure the
 * question is no message.  Free answer->generation in any case. */
upg_status conversation_ask(struct conversation *conversation, const char *question,
                            const struct settings *settings, uint64_t seed, bool stream,
                            struct answer *answer, upg_error *err);

#endif
