/* vocabulary.h -- the tokens of a model as a tree of bytes.
 *
 * A tree lies in an array in preorder: a walk goes forward through memory, and passes over what
 * begins with a wrong byte by one jump.  Short tokens and the few long ones have a tree each: what
 * can be seen within 16 bytes is the same in many more states than what can be seen within 100. */
#ifndef UPG_CONSTRAIN_VOCABULARY_H
#define UPG_CONSTRAIN_VOCABULARY_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Control tokens are no text.  A grammar names one by this byte, which no UTF-8 text has, its id in
 * decimal digits, and UPG_TOKEN_MARK_END; the tree has them under the same bytes. */
enum { UPG_TOKEN_MARK = 0xFF, UPG_TOKEN_MARK_END = ']' };

struct upg_trie_node {
    uint32_t end;   /* first node that is not below this one */
    int32_t token;  /* -1: no token ends here */
    uint16_t depth; /* bytes up to and with this one; 0 is the root */
    uint8_t byte;   /* the last of them */
};

/* The trees: tokens of up to UPG_SHORT_TOKEN bytes, and longer ones. */
enum { UPG_N_TREES = 2, UPG_SHORT_TOKEN = 16 };

struct upg_vocabulary {
    atomic_size_t n_users;
    struct upg_trie_node *nodes; /* [n_nodes] one tree behind the other */
    size_t n_nodes;
    struct {
        uint32_t root;  /* the tree is nodes[root .. nodes[root].end) */
        uint32_t depth; /* the greatest of a node */
    } trees[UPG_N_TREES];
    char *bytes;       /* of all tokens, one after the other */
    uint32_t *offsets; /* [n_ids + 1] token id has bytes[offsets[id] .. offsets[id + 1]) */
    size_t n_ids;
    size_t max_depth; /* of a node */
    int32_t *stop_ids;
    size_t n_stop_ids;
    struct {
        int32_t id;
        char *text; /* C string */
    } * control;    /* [n_control] tokens that a grammar can name */
    size_t n_control;
};

/* Id of the control token that is exactly text[n]; -1 if there is none. */
int32_t upg_vocabulary_find_control(const struct upg_vocabulary *vocabulary, const char *text,
                                    size_t n);

/* The node below `node` for a byte; 0: there is none. */
uint32_t upg_vocabulary_child(const struct upg_vocabulary *vocabulary, uint32_t node, uint8_t byte);

bool upg_vocabulary_is_stop(const struct upg_vocabulary *vocabulary, int32_t id);

/* One more user; each is to call upg_vocabulary_free(). */
void upg_vocabulary_keep(struct upg_vocabulary *vocabulary);

#endif
