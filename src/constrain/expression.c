/* expression.c -- constructors, which simplify and find what is there already. */
#include "constrain/expression.h"

#include "constrain/grow.h"

#include <string.h>

static upg_expr fail_expr(struct upg_exprs *x, upg_status why)
{
    if (x->failed == UPG_OK)
        x->failed = why;
    return UPG_EXPR_NONE;
}

static bool is_same(const struct upg_expr_node *p, const struct upg_expr_node *q)
{
    return p->kind == q->kind && p->a == q->a && p->b == q->b && p->c == q->c;
}

static upg_expr add_node(struct upg_exprs *x, uint32_t hash, struct upg_expr_node node)
{
    struct upg_expr_node *nodes;

    if (x->n_nodes >= x->max_nodes || node.depth > UPG_EXPR_MAX_DEPTH)
        return fail_expr(x, UPG_ERR_UNSUPPORTED);
    nodes = upg_grow(x->nodes, &x->node_capacity, x->n_nodes + 1, sizeof *nodes);
    if (!nodes)
        return fail_expr(x, UPG_ERR_MEMORY);
    x->nodes = nodes;
    if (!upg_id_table_add(&x->node_table, hash, (uint32_t)x->n_nodes))
        return fail_expr(x, UPG_ERR_MEMORY);
    x->nodes[x->n_nodes] = node;
    return (upg_expr)x->n_nodes++;
}

/* The number of a node whose operands are in its fields. */
static upg_expr intern(struct upg_exprs *x, struct upg_expr_node node)
{
    const uint32_t words[] = {node.kind, node.a, node.b, node.c};
    const uint32_t hash = upg_id_hash(words, 4);
    size_t cursor = SIZE_MAX;
    uint32_t id;

    while ((id = upg_id_table_next(&x->node_table, hash, &cursor)) != UPG_NO_ID)
        if (is_same(&x->nodes[id], &node))
            return id;
    return add_node(x, hash, node);
}

/* The number of an OR or AND of list[n], which is sorted. */
static upg_expr intern_list(struct upg_exprs *x, struct upg_expr_node node, const upg_expr *list,
                            size_t n)
{
    const uint32_t hash = upg_id_hash(list, n) ^ node.kind;
    size_t cursor = SIZE_MAX;
    uint32_t id, *lists;

    while ((id = upg_id_table_next(&x->node_table, hash, &cursor)) != UPG_NO_ID) {
        const struct upg_expr_node *found = &x->nodes[id];

        if (found->kind == node.kind && found->b == n &&
            memcmp(x->lists + found->a, list, n * sizeof *list) == 0)
            return id;
    }
    if (x->n_lists + n > 8 * x->max_nodes)
        return fail_expr(x, UPG_ERR_UNSUPPORTED);
    lists = upg_grow(x->lists, &x->list_capacity, x->n_lists + n, sizeof *lists);
    if (!lists)
        return fail_expr(x, UPG_ERR_MEMORY);
    x->lists = lists;
    memcpy(lists + x->n_lists, list, n * sizeof *list);
    node.a = (uint32_t)x->n_lists;
    node.b = (uint32_t)n;
    x->n_lists += n;
    return add_node(x, hash, node);
}

upg_status upg_exprs_init(struct upg_exprs *x, size_t max_nodes, upg_error *err)
{
    *x = (struct upg_exprs){.max_nodes = max_nodes, .work_left = UPG_EXPR_MAX_WORK};
    intern(x, (struct upg_expr_node){.kind = UPG_EXPR_KIND_NONE});
    intern(x, (struct upg_expr_node){.kind = UPG_EXPR_KIND_EPSILON, .flags = UPG_EXPR_NULLABLE});
    intern(x, (struct upg_expr_node){.kind = UPG_EXPR_KIND_ALL, .flags = UPG_EXPR_NULLABLE});
    if (x->failed != UPG_OK) {
        upg_exprs_clear(x);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a grammar");
    }
    return UPG_OK;
}

static bool copy_array(void **copy, const void *array, size_t n, size_t size)
{
    *copy = malloc(n * size + 1);
    if (*copy && n)
        memcpy(*copy, array, n * size);
    return *copy != NULL;
}

upg_status upg_exprs_copy(struct upg_exprs *copy, const struct upg_exprs *x, upg_error *err)
{
    void *nodes = NULL, *lists = NULL, *sets = NULL;

    *copy = (struct upg_exprs){
        .max_nodes = x->max_nodes, .work_left = UPG_EXPR_MAX_WORK, .failed = x->failed};
    if (copy_array(&nodes, x->nodes, x->n_nodes, sizeof *x->nodes) &&
        copy_array(&lists, x->lists, x->n_lists, sizeof *x->lists) &&
        copy_array(&sets, x->sets, x->n_sets, sizeof *x->sets) &&
        upg_id_table_copy(&copy->node_table, &x->node_table) &&
        upg_id_table_copy(&copy->set_table, &x->set_table)) {
        copy->nodes = nodes;
        copy->lists = lists;
        copy->sets = sets;
        copy->n_nodes = copy->node_capacity = x->n_nodes;
        copy->n_lists = copy->list_capacity = x->n_lists;
        copy->n_sets = copy->set_capacity = x->n_sets;
        return UPG_OK;
    }
    free(nodes);
    free(lists);
    free(sets);
    upg_exprs_clear(copy);
    return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a copy of a grammar");
}

void upg_exprs_clear(struct upg_exprs *x)
{
    free(x->nodes);
    free(x->lists);
    free(x->sets);
    free(x->scratch);
    free(x->derived);
    upg_id_table_clear(&x->node_table);
    upg_id_table_clear(&x->set_table);
    *x = (struct upg_exprs){0};
}

void upg_exprs_forget(struct upg_exprs *x)
{
    free(x->derived);
    x->derived = NULL;
}

size_t upg_exprs_n_bytes(const struct upg_exprs *x)
{
    return x->n_nodes * (sizeof *x->nodes + 4 * sizeof *x->node_table.slots) +
           x->n_lists * sizeof *x->lists + x->n_sets * sizeof *x->sets +
           (x->derived ? sizeof *x->derived << UPG_EXPR_LOG2_DERIVED : 0);
}

upg_status upg_exprs_check(const struct upg_exprs *x, const char *what, upg_error *err)
{
    if (x->failed == UPG_OK)
        return UPG_OK;
    if (x->failed == UPG_ERR_MEMORY)
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: %s", what);
    return upg_fail(err, UPG_ERR_UNSUPPORTED,
                    "%s is too large or nests too deeply: simplify it, or give smaller counts",
                    what);
}

static bool is_empty_set(const struct upg_byte_set *set)
{
    return !(set->words[0] | set->words[1] | set->words[2] | set->words[3]);
}

upg_expr upg_expr_set(struct upg_exprs *x, const struct upg_byte_set *set)
{
    uint32_t words[8], hash, id;
    size_t cursor = SIZE_MAX;
    struct upg_byte_set *sets;

    if (is_empty_set(set))
        return UPG_EXPR_NONE;
    memcpy(words, set, sizeof words);
    hash = upg_id_hash(words, 8);
    while ((id = upg_id_table_next(&x->set_table, hash, &cursor)) != UPG_NO_ID)
        if (memcmp(&x->sets[id], set, sizeof *set) == 0)
            break;
    if (id == UPG_NO_ID) {
        sets = upg_grow(x->sets, &x->set_capacity, x->n_sets + 1, sizeof *sets);
        if (!sets)
            return fail_expr(x, UPG_ERR_MEMORY);
        x->sets = sets;
        id = (uint32_t)x->n_sets;
        if (!upg_id_table_add(&x->set_table, hash, id))
            return fail_expr(x, UPG_ERR_MEMORY);
        sets[x->n_sets++] = *set;
    }
    return intern(x, (struct upg_expr_node){.kind = UPG_EXPR_KIND_BYTES, .a = id});
}

upg_expr upg_expr_range(struct upg_exprs *x, unsigned first, unsigned last)
{
    struct upg_byte_set set = {{0}};

    upg_byte_set_add(&set, first, last);
    return upg_expr_set(x, &set);
}

upg_expr upg_expr_text(struct upg_exprs *x, const char *text, size_t n)
{
    upg_expr e = UPG_EXPR_EPSILON;

    while (n > 0) {
        const unsigned byte = (unsigned char)text[--n];
        e = upg_expr_concat(x, upg_expr_range(x, byte, byte), e);
    }
    return e;
}

static uint16_t deeper(uint16_t depth)
{
    return depth < UINT16_MAX ? (uint16_t)(depth + 1) : depth;
}

/* a is no concatenation. */
static upg_expr link_pair(struct upg_exprs *x, upg_expr a, upg_expr b)
{
    const struct upg_expr_node p = x->nodes[a], q = x->nodes[b];
    const uint16_t depth = deeper(p.depth); /* a long chain is not deep */

    return intern(
        x, (struct upg_expr_node){.kind = UPG_EXPR_KIND_CONCAT,
                                  .flags = (uint8_t)((p.flags & q.flags & UPG_EXPR_NULLABLE) |
                                                     ((p.flags | q.flags) & ~UPG_EXPR_NULLABLE)),
                                  .depth = depth > q.depth ? depth : q.depth,
                                  .a = a,
                                  .b = b});
}

static bool push(struct upg_exprs *x, upg_expr e)
{
    upg_expr *scratch =
        upg_grow(x->scratch, &x->scratch_capacity, x->n_scratch + 1, sizeof *scratch);

    if (!scratch) {
        fail_expr(x, UPG_ERR_MEMORY);
        return false;
    }
    x->scratch = scratch;
    scratch[x->n_scratch++] = e;
    return true;
}

upg_expr upg_expr_concat(struct upg_exprs *x, upg_expr a, upg_expr b)
{
    const size_t base = x->n_scratch;

    if (a == UPG_EXPR_NONE || b == UPG_EXPR_NONE)
        return UPG_EXPR_NONE;
    if (a == UPG_EXPR_EPSILON)
        return b;
    if (b == UPG_EXPR_EPSILON)
        return a;
    if (a == UPG_EXPR_ALL && b == UPG_EXPR_ALL)
        return UPG_EXPR_ALL;
    for (; x->nodes[a].kind == UPG_EXPR_KIND_CONCAT; a = x->nodes[a].b)
        if (!push(x, x->nodes[a].a))
            return UPG_EXPR_NONE;
    b = link_pair(x, a, b);
    while (x->n_scratch > base && b != UPG_EXPR_NONE)
        b = link_pair(x, x->scratch[--x->n_scratch], b);
    x->n_scratch = base;
    return b;
}

upg_expr upg_expr_concat3(struct upg_exprs *x, upg_expr a, upg_expr b, upg_expr c)
{
    return upg_expr_concat(x, a, upg_expr_concat(x, b, c));
}

static int compare_ids(const void *p, const void *q)
{
    const upg_expr a = *(const upg_expr *)p, b = *(const upg_expr *)q;

    return a < b ? -1 : a > b;
}

/* Sort scratch[base ..] and drop what is there twice; returns how many are left. */
static size_t sort_operands(struct upg_exprs *x, size_t base)
{
    upg_expr *list = x->scratch + base;
    const size_t n = x->n_scratch - base;
    size_t n_kept = 0;

    if (n > 1)
        qsort(list, n, sizeof *list, compare_ids);
    for (size_t i = 0; i < n; i++)
        if (n_kept == 0 || list[n_kept - 1] != list[i])
            list[n_kept++] = list[i];
    x->n_scratch = base + n_kept;
    return n_kept;
}

/* Push the operands of `kind` that e is made of: those of an inner node of the same kind, or e. */
static bool push_operands(struct upg_exprs *x, enum upg_expr_kind kind, upg_expr e)
{
    const struct upg_expr_node node = x->nodes[e];
    bool pushed = true;

    if (node.kind != kind)
        return push(x, e);
    for (uint32_t i = 0; i < node.b && pushed; i++)
        pushed = push(x, x->lists[node.a + i]);
    return pushed;
}

static upg_expr finish_list(struct upg_exprs *x, enum upg_expr_kind kind, size_t base)
{
    const size_t n = sort_operands(x, base);
    struct upg_expr_node node = {.kind = (uint8_t)kind};
    bool any_nullable = false, all_nullable = true;
    upg_expr e;

    for (size_t i = 0; i < n; i++) {
        const struct upg_expr_node *child = &x->nodes[x->scratch[base + i]];
        const bool nullable = child->flags & UPG_EXPR_NULLABLE;

        any_nullable |= nullable;
        all_nullable &= nullable;
        node.flags |= child->flags & (uint8_t)~UPG_EXPR_NULLABLE;
        if (deeper(child->depth) > node.depth)
            node.depth = deeper(child->depth);
    }
    if (kind == UPG_EXPR_KIND_AND)
        node.flags |= UPG_EXPR_BOOLEAN;
    if (kind == UPG_EXPR_KIND_AND ? all_nullable : any_nullable)
        node.flags |= UPG_EXPR_NULLABLE;
    if (n == 1) {
        e = x->scratch[base];
    } else { /* interning leaves scratch where it is */
        e = intern_list(x, node, x->scratch + base, n);
    }
    x->n_scratch = base;
    return e;
}

/* Merge the byte sets of scratch[base ..] into one: their union, or for AND their intersection. */
static void merge_sets(struct upg_exprs *x, enum upg_expr_kind kind, size_t base)
{
    const bool is_and = kind == UPG_EXPR_KIND_AND;
    struct upg_byte_set merged = {{0}};
    size_t n_sets = 0, n_kept = base;

    for (size_t i = base; i < x->n_scratch; i++) {
        const struct upg_expr_node *node = &x->nodes[x->scratch[i]];

        if (node->kind != UPG_EXPR_KIND_BYTES) {
            x->scratch[n_kept++] = x->scratch[i];
            continue;
        }
        for (size_t w = 0; w < 4; w++) {
            const uint64_t word = x->sets[node->a].words[w];
            if (is_and && n_sets > 0)
                merged.words[w] &= word;
            else
                merged.words[w] |= word;
        }
        n_sets++;
    }
    if (n_sets == 0)
        return;
    x->n_scratch = n_kept;
    push(x, upg_expr_set(x, &merged)); /* there was room for it */
}

/* An operand of OR that begins with a counted repetition: body{min,max} rest. */
struct counted {
    upg_expr body, rest, whole;
    uint32_t min, max;
};

static bool read_counted(const struct upg_exprs *x, upg_expr e, struct counted *counted)
{
    const struct upg_expr_node *node = &x->nodes[e];
    const struct upg_expr_node *first = node;

    counted->rest = UPG_EXPR_EPSILON;
    counted->whole = e;
    if (node->kind == UPG_EXPR_KIND_CONCAT) {
        counted->rest = node->b;
        first = &x->nodes[node->a];
    }
    counted->body = first->a;
    counted->min = first->b;
    counted->max = first->c;
    return first->kind == UPG_EXPR_KIND_REPEAT;
}

static int compare_counted(const void *p, const void *q)
{
    const struct counted *a = p, *b = q;

    if (a->body != b->body)
        return a->body < b->body ? -1 : 1;
    if (a->rest != b->rest)
        return a->rest < b->rest ? -1 : 1;
    if (a->min != b->min)
        return a->min < b->min ? -1 : 1;
    return a->max < b->max ? -1 : a->max > b->max;
}

/* Replace neighbours of list[n], which is sorted, by one where their counts meet: a{2}b |
 * a{3,5}b is a{2,5}b.  Otherwise a repetition that may begin anywhere would have an operand for
 * each beginning. Pushes what is left. */
static void push_merged(struct upg_exprs *x, const struct counted *list, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct counted run = list[i];
        size_t k = i + 1;

        for (; k < n && list[k].body == run.body && list[k].rest == run.rest &&
               (run.max == UPG_EXPR_UNBOUNDED || list[k].min <= run.max + 1);
             k++)
            run.max = list[k].max > run.max ? list[k].max : run.max;
        push(x, k == i + 1
                    ? run.whole
                    : upg_expr_concat(x, upg_expr_repeat(x, run.body, run.min, run.max), run.rest));
        i = k;
    }
}

/* Merge the counted repetitions of scratch[base ..]. */
static void merge_counted(struct upg_exprs *x, size_t base)
{
    struct counted one, few[32], *list = few;
    size_t n = 0, n_kept = base;

    for (size_t i = base; i < x->n_scratch; i++)
        n += read_counted(x, x->scratch[i], &one);
    if (n < 2)
        return;
    if (n > 32)
        list = malloc(n * sizeof *list);
    if (!list) {
        fail_expr(x, UPG_ERR_MEMORY);
        return;
    }
    n = 0;
    for (size_t i = base; i < x->n_scratch; i++)
        if (read_counted(x, x->scratch[i], &one))
            list[n++] = one;
        else
            x->scratch[n_kept++] = x->scratch[i];
    x->n_scratch = n_kept;
    qsort(list, n, sizeof *list, compare_counted);
    push_merged(x, list, n);
    if (list != few)
        free(list);
}

upg_expr upg_expr_or(struct upg_exprs *x, const upg_expr *list, size_t n)
{
    const size_t base = x->n_scratch;
    bool has_epsilon = false, has_nullable = false;
    size_t n_kept = base;

    for (size_t i = 0; i < n; i++) {
        if (list[i] == UPG_EXPR_ALL) {
            x->n_scratch = base;
            return UPG_EXPR_ALL;
        }
        if (list[i] != UPG_EXPR_NONE && !push_operands(x, UPG_EXPR_KIND_OR, list[i]))
            goto failed;
    }
    merge_sets(x, UPG_EXPR_KIND_OR, base);
    merge_counted(x, base);
    for (size_t i = base; i < x->n_scratch; i++) {
        const upg_expr e = x->scratch[i];

        if (e == UPG_EXPR_EPSILON) {
            has_epsilon = true;
        } else {
            has_nullable |= upg_expr_is_nullable(x, e);
            x->scratch[n_kept++] = e;
        }
    }
    x->n_scratch = n_kept;
    if (has_epsilon && !has_nullable && !push(x, UPG_EXPR_EPSILON))
        goto failed;
    if (x->n_scratch > base)
        return finish_list(x, UPG_EXPR_KIND_OR, base);
failed:
    x->n_scratch = base;
    return UPG_EXPR_NONE;
}

upg_expr upg_expr_or2(struct upg_exprs *x, upg_expr a, upg_expr b)
{
    const upg_expr list[] = {a, b};

    return upg_expr_or(x, list, 2);
}

upg_expr upg_expr_and(struct upg_exprs *x, const upg_expr *list, size_t n)
{
    const size_t base = x->n_scratch;
    bool is_epsilon = false, all_nullable = true;

    for (size_t i = 0; i < n; i++) {
        if (list[i] == UPG_EXPR_NONE)
            goto empty;
        is_epsilon |= list[i] == UPG_EXPR_EPSILON;
        all_nullable &= upg_expr_is_nullable(x, list[i]);
        if (list[i] != UPG_EXPR_ALL && !push_operands(x, UPG_EXPR_KIND_AND, list[i]))
            goto empty;
    }
    if (is_epsilon) {
        x->n_scratch = base;
        return all_nullable ? UPG_EXPR_EPSILON : UPG_EXPR_NONE;
    }
    merge_sets(x, UPG_EXPR_KIND_AND, base);
    if (x->n_scratch == base)
        return UPG_EXPR_ALL;
    for (size_t i = base; i < x->n_scratch; i++)
        if (x->scratch[i] == UPG_EXPR_NONE)
            goto empty;
    return finish_list(x, UPG_EXPR_KIND_AND, base);
empty:
    x->n_scratch = base;
    return UPG_EXPR_NONE;
}

upg_expr upg_expr_and2(struct upg_exprs *x, upg_expr a, upg_expr b)
{
    const upg_expr list[] = {a, b};

    return upg_expr_and(x, list, 2);
}

upg_expr upg_expr_not(struct upg_exprs *x, upg_expr a)
{
    const struct upg_expr_node node = x->nodes[a];

    if (x->failed != UPG_OK) /* the complement of a failure would be everything */
        return UPG_EXPR_NONE;
    if (a == UPG_EXPR_NONE)
        return UPG_EXPR_ALL;
    if (a == UPG_EXPR_ALL)
        return UPG_EXPR_NONE;
    if (node.kind == UPG_EXPR_KIND_NOT)
        return node.a;
    return intern(x, (struct upg_expr_node){
                         .kind = UPG_EXPR_KIND_NOT,
                         .flags = (uint8_t)((node.flags ^ UPG_EXPR_NULLABLE) | UPG_EXPR_BOOLEAN),
                         .depth = deeper(node.depth),
                         .a = a});
}

upg_expr upg_expr_optional(struct upg_exprs *x, upg_expr a)
{
    return upg_expr_or2(x, a, UPG_EXPR_EPSILON);
}

static bool is_any_byte(const struct upg_exprs *x, upg_expr e)
{
    static const struct upg_byte_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

    return x->nodes[e].kind == UPG_EXPR_KIND_BYTES &&
           memcmp(&x->sets[x->nodes[e].a], &all, sizeof all) == 0;
}

static bool is_large_count(uint32_t min, uint32_t max)
{
    return min > UPG_EXPR_SMALL_COUNT || (max > UPG_EXPR_SMALL_COUNT && max != UPG_EXPR_UNBOUNDED);
}

upg_expr upg_expr_repeat(struct upg_exprs *x, upg_expr a, uint32_t min, uint32_t max)
{
    const struct upg_expr_node node = x->nodes[a];

    if (min > max)
        return UPG_EXPR_NONE;
    if (a == UPG_EXPR_NONE)
        return min == 0 ? UPG_EXPR_EPSILON : UPG_EXPR_NONE;
    if (max == 0 || a == UPG_EXPR_EPSILON)
        return UPG_EXPR_EPSILON;
    if (node.flags & UPG_EXPR_NULLABLE)
        min = 0;
    if (a == UPG_EXPR_ALL || (min == 0 && max == UPG_EXPR_UNBOUNDED && is_any_byte(x, a)))
        return UPG_EXPR_ALL;
    if (max == 1)
        return min == 1 ? a : upg_expr_optional(x, a);
    if (node.kind == UPG_EXPR_KIND_REPEAT && node.c == UPG_EXPR_UNBOUNDED && node.b <= 1) {
        if (node.b == 0) /* (a*){..} is a* */
            return a;
        if (max == UPG_EXPR_UNBOUNDED) /* (a+){min,} is a{min,} */
            return upg_expr_repeat(x, node.a, min, max);
    }
    return intern(x, (struct upg_expr_node){
                         .kind = UPG_EXPR_KIND_REPEAT,
                         .flags = (uint8_t)((node.flags & ~UPG_EXPR_NULLABLE) |
                                            (min == 0 ? UPG_EXPR_NULLABLE : 0) |
                                            (is_large_count(min, max) ? UPG_EXPR_COUNTED : 0)),
                         .depth = deeper(node.depth),
                         .a = a,
                         .b = min,
                         .c = max});
}

upg_expr upg_expr_remainder(struct upg_exprs *x, uint32_t modulus, uint32_t remainder,
                            uint32_t places)
{
    uint64_t scaled = remainder;

    for (uint32_t i = 0; i < places % UPG_EXPR_BEHIND_POINT; i++) /* the digits left out are 0 */
        scaled = scaled * 10 % modulus;
    return intern(x,
                  (struct upg_expr_node){
                      .kind = UPG_EXPR_KIND_REMAINDER,
                      .flags = (uint8_t)((scaled == 0 ? UPG_EXPR_NULLABLE : 0) | UPG_EXPR_BOOLEAN),
                      .a = modulus,
                      .b = remainder,
                      .c = places});
}
