/* kv_codes.c -- coded sides are laid out as kernels.h says, for its coded_keys() and
 * coded_values(). */
#include "engine/kv_codes.h"

#include "base/half.h"
#include "base/size.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { HALF_GROUP = UPG_KV_GROUP / 2 };

_Static_assert((int)UPG_KV_BLOCK == UPG_CODED_TOKENS && (int)UPG_KV_GROUP == UPG_CODED_GROUP,
               "kernels read these sides");

bool upg_kv_allows(upg_kv_type type, size_t head_dim)
{
    return !upg_kv_is_coded(type) || head_dim == 64 || head_dim == 128 || head_dim == 256;
}

static size_t scale_bytes(size_t head_dim)
{
    return UPG_KV_BLOCK * (head_dim / UPG_KV_GROUP) * sizeof(uint16_t);
}

bool upg_kv_side_bytes(upg_kv_type type, size_t head_dim, size_t *n_bytes)
{
    switch (type) {
    case UPG_KV_F32: return size_mul(UPG_KV_BLOCK * sizeof(float), head_dim, n_bytes);
    case UPG_KV_F16: return size_mul(UPG_KV_BLOCK * sizeof(uint16_t), head_dim, n_bytes);
    case UPG_KV_Q8: *n_bytes = scale_bytes(head_dim) + UPG_KV_BLOCK * head_dim; return true;
    default: *n_bytes = scale_bytes(head_dim) + UPG_KV_BLOCK * head_dim / 2; return true;
    }
}

/* Float16 that is never infinite. */
static uint16_t saturated_f16(float x)
{
    const float limit = 65504.0f;

    return upg_f32_to_f16(x > limit ? limit : x < -limit ? -limit : x);
}

/* One group of a token: its scale, and a code of 8 bits each. */
struct group {
    uint16_t scale;
    uint8_t codes[UPG_KV_GROUP];
};

static struct group encode_group(upg_kv_type type, const float *x)
{
    const float steps = type == UPG_KV_Q8 ? 127 : 7.5f;
    struct group group = {0};
    float greatest = 0, scale;
    bool finite = true;

    for (size_t i = 0; i < UPG_KV_GROUP; i++) {
        finite = finite && isfinite(x[i]);
        greatest = fmaxf(greatest, fabsf(x[i]));
    }
    group.scale = finite ? saturated_f16(greatest / steps) : upg_f32_to_f16(NAN);
    scale = upg_f16_to_f32(group.scale);
    for (size_t i = 0; i < UPG_KV_GROUP && finite; i++) {
        const float value = scale > 0 ? x[i] / scale : 0;

        if (type == UPG_KV_Q8)
            group.codes[i] = (uint8_t)(int8_t)lrintf(fmaxf(-127, fminf(127, value)));
        else
            group.codes[i] = (uint8_t)lrintf(fmaxf(0, fminf(15, value + 7.5f)));
    }
    return group;
}

static void store_coded_key(upg_kv_type type, uint8_t *side, size_t head_dim, size_t token,
                            const float *x)
{
    const size_t n_groups = head_dim / UPG_KV_GROUP;
    uint16_t *scales = (uint16_t *)(void *)side;
    uint8_t *codes = side + scale_bytes(head_dim);

    for (size_t g = 0; g < n_groups; g++) {
        const struct group group = encode_group(type, x + g * UPG_KV_GROUP);
        const size_t index = token * n_groups + g;

        scales[index] = group.scale;
        if (type == UPG_KV_Q8)
            memcpy(codes + index * UPG_KV_GROUP, group.codes, UPG_KV_GROUP);
        else
            for (size_t i = 0; i < HALF_GROUP; i++)
                codes[index * HALF_GROUP + i] =
                    (uint8_t)(group.codes[i] | group.codes[i + HALF_GROUP] << 4);
    }
}

static void store_coded_value(upg_kv_type type, uint8_t *side, size_t head_dim, size_t token,
                              const float *x)
{
    uint16_t *scales = (uint16_t *)(void *)side;
    uint8_t *codes = side + scale_bytes(head_dim);

    for (size_t g = 0; g < head_dim / UPG_KV_GROUP; g++) {
        const struct group group = encode_group(type, x + g * UPG_KV_GROUP);

        scales[g * UPG_KV_BLOCK + token] = group.scale;
        if (type == UPG_KV_Q8)
            for (size_t i = 0; i < UPG_KV_GROUP; i++)
                codes[(g * UPG_KV_GROUP + i) * UPG_KV_BLOCK + token] = group.codes[i];
        else
            for (size_t i = 0; i < HALF_GROUP; i++)
                codes[(g * HALF_GROUP + i) * UPG_KV_BLOCK + token] =
                    (uint8_t)(group.codes[i] | group.codes[i + HALF_GROUP] << 4);
    }
}

void upg_kv_store_key(upg_kv_type type, void *side, size_t head_dim, size_t token, const float *x)
{
    if (type == UPG_KV_F32)
        memcpy((float *)side + token * head_dim, x, head_dim * sizeof *x);
    else if (type == UPG_KV_F16)
        for (size_t i = 0; i < head_dim; i++)
            ((uint16_t *)side)[token * head_dim + i] = saturated_f16(x[i]);
    else
        store_coded_key(type, side, head_dim, token, x);
}

void upg_kv_store_value(upg_kv_type type, void *side, size_t head_dim, size_t token, const float *x)
{
    if (type == UPG_KV_F32)
        for (size_t i = 0; i < head_dim; i++)
            ((float *)side)[i * UPG_KV_BLOCK + token] = x[i];
    else if (type == UPG_KV_F16)
        for (size_t i = 0; i < head_dim; i++)
            ((uint16_t *)side)[i * UPG_KV_BLOCK + token] = saturated_f16(x[i]);
    else
        store_coded_value(type, side, head_dim, token, x);
}
