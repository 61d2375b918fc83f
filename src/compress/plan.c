/* plan.c -- cutting slots into parts, and the greedy choice of bits.
 *
 * Greedy is exact here but for the last part that does not fit: what a further bit gains falls with
 * each bit (0.053, 0.014, then four bits at 0.001 of the loss), so gains per byte are taken in
 * falling order.
 *
 * The prediction multiplies by what error feedback leaves of the loss, a constant measured on the
 * reference models (docs/quality.md). */
#include "compress/plan.h"

#include "codec/codec.h"
#include "model/slots.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_BITS = 2, MIN_SPLIT_VOCABULARY = 4096 };

static const double feedback_leaves = 0.45;

double upg_plan_nmse(int k)
{
    return k == 2 ? 0.0720 : k == 3 ? 0.0189 : k == 4 ? 0.0052 : 0.0002;
}

/* What a part may have after k; 0 at the end. */
static int next_bits(int k)
{
    return k < 4 ? k + 1 : k < UPG_PLAIN_BITS ? UPG_PLAIN_BITS : 0;
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t padded_rows(const size_t *n_rows, size_t n_parts)
{
    size_t sum = 0;

    for (size_t i = 0; i < n_parts; i++)
        sum += round_up(n_rows[i], UPG_ROW_BLOCK);
    return sum;
}

/* The finest cut whose padding stays below 1/32 of the rows, else the one with the least. */
static size_t choose_cut(const size_t cuts[][UPG_MAX_PARTS], const size_t *n_parts, size_t n_cuts)
{
    size_t best = 0;

    for (size_t i = 0; i < n_cuts; i++) {
        const size_t rows = padded_rows(cuts[i], n_parts[i]);
        size_t exact = 0;
        for (size_t part = 0; part < n_parts[i]; part++)
            exact += cuts[i][part];
        if (rows - exact <= exact / 32)
            return i;
        if (rows < padded_rows(cuts[best], n_parts[best]))
            best = i;
    }
    return best;
}

static void set_parts(struct upg_plan_slot *slot, const size_t *n_rows, size_t n_parts)
{
    slot->n_parts = n_parts;
    for (size_t i = 0; i < n_parts; i++)
        slot->part[i].n_rows = n_rows[i];
}

static void cut_slot(struct upg_plan_slot *slot, const struct upg_slot *from,
                     const struct upg_config *config)
{
    const size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    const size_t all = from->n_rows;

    slot->n_cols = from->n_cols;
    if (from->kind == UPG_SLOT_QKV) {
        const size_t cuts[][UPG_MAX_PARTS] = {{q, kv, kv}, {q, 2 * kv, 0}, {all, 0, 0}};
        const size_t n_parts[] = {3, 2, 1};
        const size_t i = choose_cut(cuts, n_parts, 3);
        set_parts(slot, cuts[i], n_parts[i]);
    } else if (from->kind == UPG_SLOT_GATE_UP) {
        const size_t cuts[][UPG_MAX_PARTS] = {{all / 2, all / 2, 0}, {all, 0, 0}};
        const size_t n_parts[] = {2, 1};
        const size_t i = choose_cut(cuts, n_parts, 2);
        set_parts(slot, cuts[i], n_parts[i]);
    } else if (from->kind == UPG_SLOT_HEAD && all >= MIN_SPLIT_VOCABULARY) {
        const size_t first = round_up(all / 8, UPG_ROW_BLOCK);
        const size_t second = round_up(all / 2, UPG_ROW_BLOCK) - first;
        const size_t cut[] = {first, second, all - first - second};
        set_parts(slot, cut, 3);
    } else {
        set_parts(slot, &all, 1);
    }
}

upg_status upg_plan_start(struct upg_plan *plan, const struct upg_model *model, int k,
                          upg_error *err)
{
    memset(plan, 0, sizeof *plan);
    plan->n_slots = upg_n_slots(&model->config);
    plan->slots = calloc(plan->n_slots, sizeof *plan->slots);
    if (!plan->slots)
        return upg_fail_memory(err, "the plan", plan->n_slots * sizeof *plan->slots);
    for (size_t i = 0; i < plan->n_slots; i++) {
        const struct upg_slot slot = upg_slot_of(model, i);
        cut_slot(&plan->slots[i], &slot, &model->config);
        for (size_t part = 0; part < plan->slots[i].n_parts; part++)
            plan->slots[i].part[part].k = k;
    }
    return UPG_OK;
}

/* Bytes of a part with k bits a weight, besides the scales that packed parts have.  Plain rows are
 * not padded, and have wider scales. */
static uint64_t part_bytes(const struct upg_plan_slot *slot, size_t part, int k)
{
    const uint64_t n_rows = slot->part[part].n_rows;

    if (k == UPG_PLAIN_BITS)
        return n_rows * (slot->n_cols + sizeof(float));
    return round_up(n_rows, UPG_ROW_BLOCK) * round_up(slot->n_cols, UPG_COL_UNIT) / 8 * (uint64_t)k;
}

uint64_t upg_plan_code_bytes(const struct upg_plan *plan)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < plan->n_slots; i++)
        for (size_t part = 0; part < plan->slots[i].n_parts; part++)
            sum += part_bytes(&plan->slots[i], part, plan->slots[i].part[part].k);
    return sum;
}

static const double *rows_of(const struct upg_sensitivity *s, size_t slot, size_t n_layers)
{
    if (slot == 0)
        return s->embedding;
    if (slot > UPG_N_LAYER_MAPS * n_layers)
        return s->head;
    return s->layer[(slot - 1) / UPG_N_LAYER_MAPS][(slot - 1) % UPG_N_LAYER_MAPS];
}

static void set_losses(struct upg_plan *plan, const struct upg_sensitivity *s, size_t n_layers)
{
    for (size_t i = 0; i < plan->n_slots; i++) {
        const double *rows = rows_of(s, i, n_layers);
        size_t row = 0;
        for (size_t part = 0; part < plan->slots[i].n_parts; part++) {
            struct upg_plan_part *p = &plan->slots[i].part[part];
            for (size_t end = row + p->n_rows; row < end; row++)
                p->loss += rows[row];
            /* An embedding row is looked up, not multiplied: there is nothing to feed back. */
            if (i > 0 || s->head == NULL)
                p->loss *= feedback_leaves;
        }
    }
}

/* The part whose next bit buys most for its bytes among those that fit; false if none does. */
static bool raise_best(struct upg_plan *plan, uint64_t room, uint64_t *spent)
{
    struct upg_plan_part *best = NULL;
    double best_gain = 0.0;
    uint64_t best_bytes = 0;

    for (size_t i = 0; i < plan->n_slots; i++)
        for (size_t part = 0; part < plan->slots[i].n_parts; part++) {
            struct upg_plan_part *p = &plan->slots[i].part[part];
            const int k = next_bits(p->k);
            const uint64_t bytes =
                k ? part_bytes(&plan->slots[i], part, k) - part_bytes(&plan->slots[i], part, p->k)
                  : 0;
            double gain;
            if (!k || bytes > room)
                continue;
            gain = p->loss * (upg_plan_nmse(p->k) - upg_plan_nmse(k)) / (double)bytes;
            if (!best || gain > best_gain) {
                best = p;
                best_gain = gain;
                best_bytes = bytes;
            }
        }
    if (!best)
        return false;
    best->k = next_bits(best->k);
    *spent = best_bytes;
    return true;
}

upg_status upg_plan_make(struct upg_plan *plan, const struct upg_model *model,
                         const struct upg_sensitivity *sensitivity, uint64_t fixed_bytes,
                         uint64_t max_bytes, upg_error *err)
{
    upg_status status = upg_plan_start(plan, model, MIN_BITS, err);
    uint64_t spent;

    if (status != UPG_OK)
        return status;
    plan->n_file_bytes = fixed_bytes + upg_plan_code_bytes(plan);
    if (plan->n_file_bytes > max_bytes) {
        status = upg_fail(err, UPG_ERR_ARGUMENT,
                          "size: %llu bytes are asked for, %d bits everywhere take %llu; ask for a "
                          "larger file",
                          (unsigned long long)max_bytes, MIN_BITS,
                          (unsigned long long)plan->n_file_bytes);
        upg_plan_clear(plan);
        return status;
    }
    set_losses(plan, sensitivity, model->config.n_layers);
    while (raise_best(plan, max_bytes - plan->n_file_bytes, &spent))
        plan->n_file_bytes += spent;
    for (size_t i = 0; i < plan->n_slots; i++)
        for (size_t part = 0; part < plan->slots[i].n_parts; part++)
            plan->predicted_kl +=
                plan->slots[i].part[part].loss * upg_plan_nmse(plan->slots[i].part[part].k);
    return UPG_OK;
}

struct upg_coded_map upg_plan_map(const struct upg_plan *plan, size_t slot, uint64_t seed)
{
    const struct upg_plan_slot *planned = &plan->slots[slot];
    const bool is_embedding = slot == 0;
    struct upg_coded_map map = {.n_parts = planned->n_parts, .n_cols = planned->n_cols};

    for (size_t i = 0; i < map.n_parts; i++) {
        map.part[i].k = planned->part[i].k;
        map.part[i].n_rows = planned->part[i].n_rows;
    }
    upg_coded_map_layout(&map, seed * 1000003u + 8 * slot, !is_embedding);
    return map;
}

void upg_plan_clear(struct upg_plan *plan)
{
    free(plan->slots);
    memset(plan, 0, sizeof *plan);
}
