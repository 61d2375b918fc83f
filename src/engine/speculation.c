/* speculation.c -- see speculation.h. */
#include "engine/speculation.h"

enum {
    MIN_MATCH = 2,
    MAX_MATCH = 4,
    FORGET_AFTER = 512 /* steps: an estimate not used for so long may have become wrong */
};

/* Upper ends of ranges of rows; each range has one mean. */
static const size_t range_end[UPG_COST_POINTS] = {1,  2,  3,  4,  5,  6,  7,   8,   9,  12,
                                                  16, 24, 32, 48, 64, 96, 128, 192, 256};

/* Number of equal tokens at the ends of ids[a] and ids[b], at most MAX_MATCH. */
static size_t match_length(const int32_t *ids, size_t a, size_t b)
{
    size_t n = 0;

    while (n < MAX_MATCH && n < a && ids[a - 1 - n] == ids[b - 1 - n])
        n++;
    return n;
}

size_t upg_draft_find(const int32_t *ids, size_t n, int32_t *draft, size_t max)
{
    size_t best = 0, best_end = 0;

    for (size_t end = n; end-- > 1 && best < MAX_MATCH;) {
        if (ids[end - 1] != ids[n - 1])
            continue;
        const size_t length = match_length(ids, end, n);
        if (length > best) {
            best = length;
            best_end = end;
        }
    }
    if (best < MIN_MATCH)
        return 0;
    for (size_t i = 0; i < max; i++) /* a text that repeats itself goes on doing so */
        draft[i] = best_end + i < n ? ids[best_end + i] : draft[best_end + i - n];
    return max;
}

void upg_step_costs_add(struct upg_step_costs *costs, size_t n_rows, double seconds)
{
    size_t i = 0;

    while (i + 1 < UPG_COST_POINTS && range_end[i] < n_rows)
        i++;
    costs->n_steps++;
    if (costs->points[i].last_used == 0 ||
        costs->n_steps - costs->points[i].last_used > FORGET_AFTER) {
        costs->points[i].n_rows = (double)n_rows;
        costs->points[i].seconds = seconds;
    } else { /* a step that was interrupted counts as twice the usual */
        const double limit = 2 * costs->points[i].seconds;

        costs->points[i].n_rows += ((double)n_rows - costs->points[i].n_rows) / 8;
        costs->points[i].seconds +=
            ((seconds < limit ? seconds : limit) - costs->points[i].seconds) / 8;
    }
    costs->points[i].last_used = costs->n_steps;
}

double upg_step_costs_expect(const struct upg_step_costs *costs, size_t n_rows)
{
    const double x = (double)n_rows;
    double below_rows = 0, below = 0; /* the known point in front; more rows never take less time */

    for (size_t i = 0; i < UPG_COST_POINTS; i++) {
        const double rows = costs->points[i].n_rows;
        double seconds = costs->points[i].seconds;

        if (costs->points[i].last_used == 0 ||
            costs->n_steps - costs->points[i].last_used > FORGET_AFTER)
            continue;
        seconds = seconds > below ? seconds : below;
        if (x <= rows)
            return below == 0 ? seconds
                              : below + (seconds - below) * (x - below_rows) / (rows - below_rows);
        below_rows = rows;
        below = seconds;
    }
    return below == 0 ? 0 : below * x / below_rows;
}

size_t upg_draft_length(const struct upg_step_costs *costs, size_t n_rows, double n_tokens,
                        double p, size_t max)
{
    const double plain = upg_step_costs_expect(costs, n_rows);
    double best_rate, right = 1, n_right = 0;
    size_t best = 0;

    if (plain <= 0)
        return 0;
    best_rate = 1.02 * n_tokens / plain; /* not for what is lost in the noise */
    for (size_t n = 1; n <= max; n++) {
        right *= p;
        n_right += right;
        const double rate = (n_tokens + n_right) / upg_step_costs_expect(costs, n_rows + n);
        if (rate > best_rate) {
            best_rate = rate;
            best = n;
        }
    }
    return best;
}
