/* grammars.h -- compiled schemas, kept because clients send the same ones again and again. */
#ifndef UPG_SERVER_GRAMMARS_H
#define UPG_SERVER_GRAMMARS_H

#include "upg/upg.h"

#include <pthread.h>

enum { MAX_KEPT_GRAMMARS = 16, GRAMMAR_BYTES = 64 << 20 };

/* Safe from any thread. */
struct grammars {
    upg_vocabulary *vocabulary; /* owned */
    pthread_mutex_t lock;       /* guards the rest */
    struct kept_grammar {
        char *schema; /* owned; NULL: nothing is kept here */
        upg_whitespace whitespace;
        upg_constraint *beginning; /* owned; answers are copies of it */
        uint64_t last_use;
    } kept[MAX_KEPT_GRAMMARS];
    uint64_t n_uses;
};

upg_status grammars_init(struct grammars *grammars, const upg_tokenizer *tokenizer,
                         const upg_model_info *info, upg_error *err);
void grammars_clear(struct grammars *grammars);

/* A constraint to a JSON Schema, for the caller to own.  Statuses as of upg_grammar_new(). */
upg_status grammars_constraint(struct grammars *grammars, const char *schema,
                               upg_whitespace whitespace, upg_constraint **constraint,
                               upg_error *err);

#endif
