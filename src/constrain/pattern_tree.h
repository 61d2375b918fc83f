/* pattern_tree.h -- a parsed pattern. */
#ifndef UPG_CONSTRAIN_PATTERN_TREE_H
#define UPG_CONSTRAIN_PATTERN_TREE_H

#include "constrain/char_set.h"

enum upg_pattern_kind {
    UPG_PATTERN_SET,      /* a character of `set` */
    UPG_PATTERN_SEQUENCE, /* the children one after the other */
    UPG_PATTERN_CHOICE,   /* one of the children */
    UPG_PATTERN_REPEAT,   /* min to max times the child */
    UPG_PATTERN_START,    /* ^ */
    UPG_PATTERN_END,      /* $ */
    UPG_PATTERN_AHEAD,    /* (?=child) */
    UPG_PATTERN_NOT_AHEAD /* (?!child) */
};

struct upg_pattern_node {
    enum upg_pattern_kind kind;
    struct upg_char_set set;
    uint32_t child, next; /* first child, next sibling; UPG_NO_ID: none */
    uint32_t min, max;
    bool zero_width; /* has an anchor or a look-ahead in it */
};

/* Start from {0}. */
struct upg_pattern_tree {
    struct upg_pattern_node *nodes; /* [n] */
    size_t n, capacity;
    uint32_t root;
};

/* UPG_ERR_FORMAT or UPG_ERR_UNSUPPORTED name the place; the tree is to be cleared in any case. */
upg_status upg_pattern_parse(struct upg_pattern_tree *tree, const char *where, const char *text,
                             size_t n, upg_error *err);
void upg_pattern_tree_clear(struct upg_pattern_tree *tree);

#endif
