/* vocabulary.c -- the tree from the sorted tokens. */
#include "constrain/vocabulary.h"

#include "base/buffer.h"
#include "constrain/grow.h"
#include "text/text.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CONTROL_BYTES = 1024 }; /* tokenizers have no longer tokens */

struct token {
    const char *bytes;
    uint32_t n;
    int32_t id;
};

static int compare_tokens(const void *p, const void *q)
{
    const struct token *a = p, *b = q;
    const int order = memcmp(a->bytes, b->bytes, a->n < b->n ? a->n : b->n);

    if (order != 0)
        return order;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

void upg_vocabulary_keep(struct upg_vocabulary *vocabulary)
{
    atomic_fetch_add(&vocabulary->n_users, 1);
}

void upg_vocabulary_free(upg_vocabulary *vocabulary)
{
    if (!vocabulary || atomic_fetch_sub(&vocabulary->n_users, 1) > 1)
        return;
    for (size_t i = 0; i < vocabulary->n_control; i++)
        free(vocabulary->control[i].text);
    free(vocabulary->control);
    free(vocabulary->nodes);
    free(vocabulary->bytes);
    free(vocabulary->offsets);
    free(vocabulary->stop_ids);
    free(vocabulary);
}

int32_t upg_vocabulary_find_control(const struct upg_vocabulary *vocabulary, const char *text,
                                    size_t n)
{
    for (size_t i = 0; i < vocabulary->n_control; i++)
        if (strlen(vocabulary->control[i].text) == n &&
            memcmp(vocabulary->control[i].text, text, n) == 0)
            return vocabulary->control[i].id;
    return -1;
}

uint32_t upg_vocabulary_child(const struct upg_vocabulary *vocabulary, uint32_t node, uint8_t byte)
{
    const struct upg_trie_node *nodes = vocabulary->nodes;

    for (uint32_t child = node + 1; child < nodes[node].end; child = nodes[child].end)
        if (nodes[child].byte >= byte) /* they are sorted */
            return nodes[child].byte == byte ? child : 0;
    return 0;
}

bool upg_vocabulary_is_stop(const struct upg_vocabulary *vocabulary, int32_t id)
{
    for (size_t i = 0; i < vocabulary->n_stop_ids; i++)
        if (vocabulary->stop_ids[i] == id)
            return true;
    return false;
}

static upg_status add_control(struct upg_vocabulary *v, int32_t id, const char *text,
                              upg_error *err)
{
    void *control = realloc(v->control, (v->n_control + 1) * sizeof *v->control);
    char *copy = strdup(text);

    if (control)
        v->control = control;
    if (!control || !copy) {
        free(copy);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a vocabulary");
    }
    v->control[v->n_control].id = id;
    v->control[v->n_control++].text = copy;
    return UPG_OK;
}

/* Append the bytes under which token id stands in the tree: none if it is not to be generated. */
static upg_status add_bytes(struct upg_vocabulary *v, const upg_tokenizer *tokenizer, int32_t id,
                            struct upg_buffer *bytes, upg_error *err)
{
    char mark[16], string[MAX_CONTROL_BYTES + 1];
    const char *text;
    size_t n;
    upg_status status;

    upg_token_bytes(tokenizer, id, 0, &text, &n);
    if (n == 0)
        return UPG_OK;
    snprintf(string, sizeof string, "%.*s", (int)n, text);
    if (strlen(string) == n && upg_tokenizer_find_special(tokenizer, string) == id) {
        status = add_control(v, id, string, err);
        if (status != UPG_OK)
            return status;
        text = mark;
        n = (size_t)snprintf(mark, sizeof mark, "%c%d%c", UPG_TOKEN_MARK, (int)id,
                             UPG_TOKEN_MARK_END);
    } else if (memchr(text, UPG_TOKEN_MARK, n)) {
        return UPG_OK;
    }
    return upg_buffer_append(bytes, text, n, err);
}

static upg_status read_tokens(struct upg_vocabulary *v, const upg_tokenizer *tokenizer,
                              upg_error *err)
{
    struct upg_buffer bytes = {0};
    upg_status status = UPG_OK;

    v->n_ids = upg_tokenizer_n_ids(tokenizer);
    v->offsets = calloc(v->n_ids + 1, sizeof *v->offsets);
    if (!v->offsets)
        return upg_fail_memory(err, "a vocabulary", v->n_ids * sizeof *v->offsets);
    for (size_t id = 0; id < v->n_ids && status == UPG_OK; id++) {
        status = add_bytes(v, tokenizer, (int32_t)id, &bytes, err);
        v->offsets[id + 1] = (uint32_t)bytes.n; /* tokenizers have at most 32 MiB of bytes */
    }
    v->bytes = bytes.bytes;
    return status;
}

static size_t common_prefix(const struct token *a, const struct token *b)
{
    size_t n = 0;

    while (n < a->n && n < b->n && a->bytes[n] == b->bytes[n])
        n++;
    return n;
}

/* Nodes of the sorted tokens, behind those that there are.  A token with the bytes of the one before
 * it gets a last node of its own beside the other's, so that a node has one token. */
static void build_tree(struct upg_vocabulary *v, const struct token *tokens, size_t n,
                       uint32_t *open)
{
    const size_t root = v->n_nodes++;
    size_t depth = 0; /* open[1 .. depth] are the nodes of the last token */

    v->nodes[root] = (struct upg_trie_node){.token = -1};
    for (size_t t = 0; t < n; t++) {
        size_t common = t > 0 ? common_prefix(&tokens[t - 1], &tokens[t]) : 0;

        if (common == tokens[t].n)
            common--;
        for (; depth > common; depth--)
            v->nodes[open[depth]].end = (uint32_t)v->n_nodes;
        while (depth < tokens[t].n) {
            const uint8_t byte = (uint8_t)tokens[t].bytes[depth];

            open[++depth] = (uint32_t)v->n_nodes;
            v->nodes[v->n_nodes++] =
                (struct upg_trie_node){.token = -1, .depth = (uint16_t)depth, .byte = byte};
        }
        v->nodes[v->n_nodes - 1].token = tokens[t].id;
    }
    for (; depth > 0; depth--)
        v->nodes[open[depth]].end = (uint32_t)v->n_nodes;
    v->nodes[root].end = (uint32_t)v->n_nodes;
}

/* The tree of the tokens of min .. max bytes; list is scratch. */
static void make_tree(struct upg_vocabulary *v, const struct token *tokens, size_t n, size_t tree,
                      struct token *list, uint32_t *open)
{
    const uint32_t min = tree == 0 ? 0 : UPG_SHORT_TOKEN + 1;
    const uint32_t max = tree == 0 ? UPG_SHORT_TOKEN : UINT32_MAX;
    size_t n_listed = 0;

    for (size_t t = 0; t < n; t++)
        if (tokens[t].n >= min && tokens[t].n <= max) {
            list[n_listed++] = tokens[t];
            if (tokens[t].n > v->trees[tree].depth)
                v->trees[tree].depth = tokens[t].n;
        }
    v->trees[tree].root = (uint32_t)v->n_nodes;
    build_tree(v, list, n_listed, open);
}

static upg_status make_trees(struct upg_vocabulary *v, upg_error *err)
{
    struct token *tokens = calloc(v->n_ids + 1, sizeof *tokens);
    struct token *list = calloc(v->n_ids + 1, sizeof *list);
    uint32_t *open = NULL;
    size_t n = 0, n_nodes = UPG_N_TREES;

    v->max_depth = 1; /* a divisor */
    for (size_t id = 0; tokens && id < v->n_ids; id++) {
        const uint32_t begin = v->offsets[id], length = v->offsets[id + 1] - begin;

        if (length > 0)
            tokens[n++] = (struct token){v->bytes + begin, length, (int32_t)id};
        if (length > v->max_depth)
            v->max_depth = length;
        if (length > UPG_SHORT_TOKEN) /* may share nothing with its neighbours in its own tree */
            n_nodes += length;
    }
    if (tokens && list) {
        qsort(tokens, n, sizeof *tokens, compare_tokens);
        for (size_t t = 0; t < n; t++)
            n_nodes += tokens[t].n - (t > 0 ? common_prefix(&tokens[t - 1], &tokens[t]) : 0) + 1;
        open = calloc(v->max_depth + 1, sizeof *open);
        v->nodes = calloc(n_nodes, sizeof *v->nodes);
    }
    for (size_t tree = 0; tree < UPG_N_TREES && open && v->nodes; tree++)
        make_tree(v, tokens, n, tree, list, open);
    free(open);
    free(tokens);
    free(list);
    return v->n_nodes > 0 ? UPG_OK : upg_fail_memory(err, "a tree of tokens", n_nodes);
}

static upg_status copy_stop_ids(struct upg_vocabulary *v, const int32_t *stop_ids, size_t n,
                                upg_error *err)
{
    v->stop_ids = calloc(n + 1, sizeof *v->stop_ids);
    if (!v->stop_ids)
        return upg_fail_memory(err, "a vocabulary", n * sizeof *v->stop_ids);
    for (size_t i = 0; i < n; i++) {
        if (stop_ids[i] < 0 || (size_t)stop_ids[i] >= v->n_ids)
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "stop_ids: %d is no id of the tokenizer, which has %zu", stop_ids[i],
                            v->n_ids);
        v->stop_ids[v->n_stop_ids++] = stop_ids[i];
    }
    return UPG_OK;
}

upg_status upg_vocabulary_new(upg_vocabulary **vocabulary, const upg_tokenizer *tokenizer,
                              const int32_t *stop_ids, size_t n_stop_ids, upg_error *err)
{
    struct upg_vocabulary *v = calloc(1, sizeof *v);
    upg_status status;

    if (!v)
        return upg_fail_memory(err, "a vocabulary", sizeof *v);
    atomic_init(&v->n_users, 1);
    status = read_tokens(v, tokenizer, err);
    if (status == UPG_OK)
        status = copy_stop_ids(v, stop_ids, n_stop_ids, err);
    if (status == UPG_OK)
        status = make_trees(v, err);
    if (status == UPG_OK)
        *vocabulary = v;
    else
        upg_vocabulary_free(v);
    return status;
}
