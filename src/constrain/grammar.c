/* grammar.c -- making and sharing compiled grammars. */
#include "base/utf8.h"
#include "constrain/automaton.h"
#include "constrain/grow.h"

#include <string.h>

void upg_grammar_options_defaults(upg_grammar_options *options)
{
    *options = (upg_grammar_options){.size = sizeof *options};
}

static uint32_t fail_number(struct upg_grammar *g, upg_status why)
{
    if (g->units.failed == UPG_OK)
        g->units.failed = why;
    return UPG_NO_ID;
}

uint32_t upg_grammar_add_rule(struct upg_grammar *g)
{
    upg_unit *rules;

    if (g->n_rules == UPG_GRAMMAR_MAX_RULES)
        return fail_number(g, UPG_ERR_UNSUPPORTED);
    rules = upg_grow(g->rules, &g->rule_capacity, g->n_rules + 1, sizeof *rules);
    if (!rules)
        return fail_number(g, UPG_ERR_MEMORY);
    g->rules = rules;
    rules[g->n_rules] = UPG_UNIT_NOTHING;
    return (uint32_t)g->n_rules++;
}

uint32_t upg_grammar_add_object(struct upg_grammar *g, size_t n_members, size_t n_classes)
{
    struct upg_object *objects =
        upg_grow(g->objects, &g->object_capacity, g->n_objects + 1, sizeof *objects);
    struct upg_object object = {.max = UPG_EXPR_UNBOUNDED};

    if (!objects)
        return fail_number(g, UPG_ERR_MEMORY);
    g->objects = objects;
    object.members = calloc(n_members + 1, sizeof *object.members);
    object.classes = calloc(n_classes + 1, sizeof *object.classes);
    if (!object.members || !object.classes) {
        free(object.members);
        free(object.classes);
        return fail_number(g, UPG_ERR_MEMORY);
    }
    object.n_members = (uint32_t)n_members;
    object.n_classes = (uint32_t)n_classes;
    objects[g->n_objects] = object;
    return (uint32_t)g->n_objects++;
}

uint32_t upg_grammar_add_array(struct upg_grammar *g, size_t n_prefix)
{
    struct upg_array *arrays =
        upg_grow(g->arrays, &g->array_capacity, g->n_arrays + 1, sizeof *arrays);
    struct upg_array array = {.n_prefix = (uint32_t)n_prefix,
                              .item = UPG_UNIT_NOTHING,
                              .found = UPG_UNIT_NOTHING,
                              .max = UPG_EXPR_UNBOUNDED,
                              .max_found = UPG_EXPR_UNBOUNDED};

    if (!arrays)
        return fail_number(g, UPG_ERR_MEMORY);
    g->arrays = arrays;
    array.prefix = calloc(n_prefix + 1, sizeof *array.prefix);
    if (!array.prefix)
        return fail_number(g, UPG_ERR_MEMORY);
    arrays[g->n_arrays] = array;
    return (uint32_t)g->n_arrays++;
}

void upg_grammar_free(upg_grammar *g)
{
    if (!g || atomic_fetch_sub(&g->n_users, 1) > 1)
        return;
    upg_automaton_free(g->current); /* constraints have gone: they were users */
    for (size_t i = 0; i < g->n_objects; i++) {
        free(g->objects[i].members);
        free(g->objects[i].classes);
    }
    for (size_t i = 0; i < g->n_arrays; i++)
        free(g->arrays[i].prefix);
    free(g->objects);
    free(g->arrays);
    free(g->rules);
    free(g->productive);
    free(g->distances);
    free(g->nearest);
    free(g->lengths);
    upg_exprs_clear(&g->exprs);
    upg_units_clear(&g->units);
    upg_vocabulary_free(g->vocabulary);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static upg_status read_options(upg_grammar_options *options, const upg_grammar_options *given,
                               upg_error *err)
{
    upg_grammar_options_defaults(options);
    if (given) {
        if (given->size < sizeof given->size || given->size > 65536)
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "options: size is %zu; fill them with upg_grammar_options_defaults()",
                            given->size);
        memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    }
    if (options->whitespace != UPG_WHITESPACE_FLEXIBLE &&
        options->whitespace != UPG_WHITESPACE_COMPACT)
        return upg_fail(err, UPG_ERR_ARGUMENT, "whitespace: there is no %d",
                        (int)options->whitespace);
    if (options->max_bytes == 0)
        options->max_bytes = (size_t)256 << 20;
    return UPG_OK;
}

static upg_status compile(struct upg_grammar *g, upg_grammar_kind kind, const char *text, size_t n,
                          const upg_grammar_options *options, upg_error *err)
{
    if (n > UPG_GRAMMAR_MAX_TEXT)
        return upg_fail(err, UPG_ERR_UNSUPPORTED, "the grammar has %zu bytes, at most %d are read",
                        n, UPG_GRAMMAR_MAX_TEXT);
    for (size_t i = 0, length; i < n; i += length) {
        length = upg_utf8_next(text + i, n - i, NULL);
        if (length == 0)
            return upg_fail(err, UPG_ERR_FORMAT, "the grammar is not UTF-8 at byte %zu", i);
    }
    switch (kind) {
    case UPG_GRAMMAR_JSON_SCHEMA: return upg_compile_schema(g, text, n, options->whitespace, err);
    case UPG_GRAMMAR_REGEX: return upg_compile_regex(g, text, n, err);
    case UPG_GRAMMAR_GBNF: return upg_compile_gbnf(g, text, n, err);
    }
    return upg_fail(err, UPG_ERR_ARGUMENT, "kind: there is no %d", (int)kind);
}

upg_status upg_grammar_new(upg_grammar **grammar, upg_vocabulary *vocabulary, upg_grammar_kind kind,
                           const char *text, size_t n_bytes, const upg_grammar_options *options,
                           upg_error *err)
{
    struct upg_grammar *g;
    upg_grammar_options read;
    upg_status status = read_options(&read, options, err);

    if (status != UPG_OK)
        return status;
    g = calloc(1, sizeof *g);
    if (!g)
        return upg_fail_memory(err, "a grammar", sizeof *g);
    if (pthread_mutex_init(&g->lock, NULL) != 0) {
        free(g);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a lock");
    }
    atomic_init(&g->n_users, 1);
    upg_vocabulary_keep(vocabulary);
    g->vocabulary = vocabulary;
    g->max_bytes = read.max_bytes;
    status = upg_exprs_init(&g->exprs, UPG_GRAMMAR_MAX_NODES, err);
    if (status == UPG_OK)
        status = upg_units_init(&g->units, UPG_GRAMMAR_MAX_UNITS, err);
    if (status == UPG_OK)
        status = compile(g, kind, text, n_bytes, &read, err);
    if (status == UPG_OK)
        status = upg_grammar_measure(g, err);
    if (status == UPG_OK) /* finds out whether the grammar can be followed at all */
        status = upg_automaton_new(&g->current, g, err);
    if (status == UPG_OK)
        *grammar = g;
    else
        upg_grammar_free(g);
    return status;
}
