/* chat.h -- the state of one `upg chat`. */
#ifndef UPG_CLI_CHAT_H
#define UPG_CLI_CHAT_H

#include "cli/conversation.h"

struct chat {
    const struct settings *settings;
    struct conversation conversation;
    bool leaving;                                  /* /quit was said */
    uint64_t n_asked;                              /* answers so far: each has a seed of its own */
    size_t n_prompt_tokens, n_answer_tokens;       /* of all answers */
    size_t last_prompt_tokens, last_answer_tokens; /* of the last one */
    double last_prompt_seconds, last_answer_seconds;
};

/* Do what a line that begins with a slash says.  UPG_ERR_ARGUMENT for a command that there is not.
 */
upg_status chat_do(struct chat *chat, const char *line, upg_error *err);

/* The sizes and speeds of /stats, on standard error. */
void chat_print_stats(const struct chat *chat);

#endif
