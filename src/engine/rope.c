/* rope.c -- frequencies in float64 rounded once; angles in float32, as the official code has them.
 *
 * At large positions an angle is a large float32, so its rounding shows in the logits.  A product
 * in float64 would be more exact, and further from the code that the models were trained with. */
#include "engine/rope.h"

#include <math.h>

upg_status upg_rope_init(struct upg_rope *rope, const struct upg_config *config, bool long_factors,
                         struct upg_arena *arena, upg_error *err)
{
    const struct upg_long_rope *lr = &config->long_rope;
    const size_t n_pairs = config->rotary_dim / 2;

    rope->n_pairs = n_pairs;
    rope->interleaved = config->interleaved_pairs;
    rope->magnitude = lr->present ? lr->magnitude : 1.0;
    rope->inverse = upg_arena_alloc(arena, n_pairs, sizeof *rope->inverse);
    if (!rope->inverse)
        return upg_fail_memory(err, "rotary frequencies", n_pairs * sizeof *rope->inverse);
    for (size_t i = 0; i < n_pairs; i++) {
        const double exponent = 2.0 * (double)i / (double)config->rotary_dim;
        double factor = 1.0;

        if (lr->present)
            factor = (double)(long_factors ? lr->long_factor[i] : lr->short_factor[i]);
        rope->inverse[i] = (float)(1.0 / (factor * pow(config->rope_theta, exponent)));
    }
    return UPG_OK;
}

void upg_rope_angles(const struct upg_rope *rope, size_t pos, float *cosine, float *sine)
{
    for (size_t i = 0; i < rope->n_pairs; i++) {
        const float angle = (float)pos * rope->inverse[i];

        cosine[i] = (float)(rope->magnitude * cos((double)angle));
        sine[i] = (float)(rope->magnitude * sin((double)angle));
    }
}

void upg_rope_rotate(const struct upg_rope *rope, float *x, const float *cosine, const float *sine)
{
    const size_t step = rope->interleaved ? 2 : 1, distance = rope->interleaved ? 1 : rope->n_pairs;

    for (size_t i = 0; i < rope->n_pairs; i++) {
        float *first = x + i * step, *second = first + distance;
        const float a = *first, b = *second;

        *first = a * cosine[i] - b * sine[i];
        *second = b * cosine[i] + a * sine[i];
    }
}
