/* grammars.c -- compiled schemas, the least recently used one dropped when there is no place. */
#include "server/grammars.h"

#include <stdlib.h>
#include <string.h>

upg_status grammars_init(struct grammars *grammars, const upg_tokenizer *tokenizer,
                         const upg_model_info *info, upg_error *err)
{
    memset(grammars, 0, sizeof *grammars);
    pthread_mutex_init(&grammars->lock, NULL);
    return upg_vocabulary_new(&grammars->vocabulary, tokenizer, info->stop_ids, info->n_stop_ids,
                              err);
}

static void drop(struct kept_grammar *kept)
{
    free(kept->schema);
    upg_constraint_free(kept->beginning);
    memset(kept, 0, sizeof *kept);
}

void grammars_clear(struct grammars *grammars)
{
    for (size_t i = 0; i < MAX_KEPT_GRAMMARS; i++)
        drop(&grammars->kept[i]);
    upg_vocabulary_free(grammars->vocabulary);
    pthread_mutex_destroy(&grammars->lock);
}

/* With the lock held; NULL: not there. */
static struct kept_grammar *find(struct grammars *grammars, const char *schema,
                                 upg_whitespace whitespace)
{
    for (size_t i = 0; i < MAX_KEPT_GRAMMARS; i++) {
        struct kept_grammar *kept = &grammars->kept[i];
        if (kept->schema && kept->whitespace == whitespace && strcmp(kept->schema, schema) == 0)
            return kept;
    }
    return NULL;
}

/* With the lock held: keep a copy of a beginning in the place that was not used for longest.  If
 * memory is out nothing is kept, and nothing is lost. */
static void keep(struct grammars *grammars, const char *schema, upg_whitespace whitespace,
                 const upg_constraint *beginning)
{
    struct kept_grammar *place = &grammars->kept[0];

    for (size_t i = 1; i < MAX_KEPT_GRAMMARS; i++)
        if (grammars->kept[i].last_use < place->last_use)
            place = &grammars->kept[i];
    drop(place);
    place->schema = strdup(schema);
    place->whitespace = whitespace;
    place->last_use = ++grammars->n_uses;
    if (!place->schema || upg_constraint_fork(&place->beginning, beginning, NULL) != UPG_OK)
        drop(place);
}

/* Compiled without the lock: one client's large schema must not hold up the others. */
static upg_status compile(struct grammars *grammars, const char *schema, upg_whitespace whitespace,
                          upg_constraint **constraint, upg_error *err)
{
    upg_grammar_options options;
    upg_grammar *grammar;
    upg_status status;

    upg_grammar_options_defaults(&options);
    options.whitespace = whitespace;
    options.max_bytes = GRAMMAR_BYTES;
    status = upg_grammar_new(&grammar, grammars->vocabulary, UPG_GRAMMAR_JSON_SCHEMA, schema,
                             strlen(schema), &options, err);
    if (status != UPG_OK)
        return status;
    status = upg_constraint_new(constraint, grammar, err);
    upg_grammar_free(grammar); /* the constraint keeps it */
    return status;
}

upg_status grammars_constraint(struct grammars *grammars, const char *schema,
                               upg_whitespace whitespace, upg_constraint **constraint,
                               upg_error *err)
{
    struct kept_grammar *kept;
    upg_status status;

    pthread_mutex_lock(&grammars->lock);
    kept = find(grammars, schema, whitespace);
    if (kept) {
        kept->last_use = ++grammars->n_uses;
        status = upg_constraint_fork(constraint, kept->beginning, err);
        pthread_mutex_unlock(&grammars->lock);
        return status;
    }
    pthread_mutex_unlock(&grammars->lock);
    status = compile(grammars, schema, whitespace, constraint, err);
    if (status != UPG_OK)
        return status;
    pthread_mutex_lock(&grammars->lock);
    if (!find(grammars, schema, whitespace))
        keep(grammars, schema, whitespace, *constraint);
    pthread_mutex_unlock(&grammars->lock);
    return UPG_OK;
}
