/* trellis.c -- the trellis of a code in the numbering of trellis.h. */
#include "codec/trellis.h"

#include <string.h>

/* Histories are a plane's newest 6 - rate bits, newest symbol on top. */
struct histories {
    unsigned of[2];
};

/* State number: the oldest symbols of both histories are `old`, the rest is `middle`. */
static unsigned state_of(const struct upg_code *code, struct histories h)
{
    const int rate_a = code->rate[0], rate_b = code->rate[1];
    const unsigned old = (h.of[0] & ((1U << rate_a) - 1)) | (h.of[1] & ((1U << rate_b) - 1))
                                                                << rate_a;
    const unsigned middle = h.of[0] >> rate_a | h.of[1] >> rate_b << (UPG_WINDOW_BITS - 2 * rate_a);

    return middle << (rate_a + rate_b) | old;
}

/* The relabelling of `new`: what it flips in the table index. */
static unsigned way_of(const struct upg_code *code, int plane, unsigned symbol)
{
    return code->rate[plane] == 2 ? code->xor_map[plane][symbol] : symbol;
}

static int value_of(const struct upg_code *code, const unsigned window[2])
{
    int value = 0;

    for (int plane = 0; plane < 2; plane++)
        value +=
            code->table[plane][(window[plane] & 15U) ^ code->xor_map[plane][window[plane] >> 4]];
    return value;
}

/* Visit all 4096 pairs of windows, that is, all branches. */
static void add_branch(struct upg_trellis *trellis, const unsigned window[2])
{
    const struct upg_code *code = trellis->code;
    const unsigned mask = (1U << trellis->k) - 1;
    struct histories from, to;
    unsigned way = 0;

    for (int plane = 0; plane < 2; plane++) {
        const int history_bits = UPG_WINDOW_BITS - code->rate[plane];
        way |= way_of(code, plane, window[plane] >> history_bits) << (plane * code->rate[0]);
        from.of[plane] = window[plane] & ((1U << history_bits) - 1);
        to.of[plane] = window[plane] >> code->rate[plane];
    }
    const unsigned state = state_of(code, from), next = state_of(code, to);
    const unsigned slot = (state & ~mask) | way;

    trellis->next[slot] = (uint16_t)next;
    trellis->slot[next] = (uint16_t)slot;
    trellis->history[next][0] = (uint8_t)to.of[0];
    trellis->history[next][1] = (uint8_t)to.of[1];
    trellis->value[state ^ way] = (int8_t)value_of(code, window);
}

/* Number the distinct values. */
static void list_levels(struct upg_trellis *trellis)
{
    int level_at[256]; /* [value + 128] */

    memset(level_at, -1, sizeof level_at);
    for (size_t i = 0; i < trellis->n_states; i++) {
        int *level = &level_at[trellis->value[i] + 128];
        if (*level < 0) {
            *level = (int)trellis->n_levels;
            trellis->levels[trellis->n_levels++] = (int16_t)(trellis->value[i] * UPG_TRELLIS_UNIT);
        }
        trellis->level_of[i] = (uint8_t)*level;
    }
}

void upg_trellis_init(struct upg_trellis *trellis, const struct upg_code *code)
{
    memset(trellis, 0, sizeof *trellis);
    trellis->code = code;
    trellis->k = code->rate[0] + code->rate[1];
    trellis->n_states = (size_t)4096 >> trellis->k;
    trellis->n_doublings = trellis->k == 2 ? 0 : 1;
    for (unsigned a = 0; a < 64; a++)
        for (unsigned b = 0; b < 64; b++)
            add_branch(trellis, (const unsigned[2]){a, b});
    list_levels(trellis);
}
