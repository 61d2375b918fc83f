/* family.c -- what the members of the Phi-4 family are known to be.
 *
 * Files of these models circulate in many hands, and a wrong constant still gives fluent text.  So
 * a config that has a member's shape must have that member's constants.  Values: config.json of
 * microsoft/phi-4, Phi-4-reasoning, Phi-4-reasoning-plus, Phi-4-mini-instruct, Phi-4-mini-reasoning
 * on the Hugging Face hub. */
#include "model/config.h"

#include <math.h>
#include <string.h>

enum { MINI_FACTORS = 48 };

static const float mini_long_factor[MINI_FACTORS] = {1,
                                                     1.118320672f,
                                                     1.250641126f,
                                                     1.398617824f,
                                                     1.564103225f,
                                                     1.74916897f,
                                                     1.956131817f,
                                                     2.187582649f,
                                                     2.446418898f,
                                                     2.735880826f,
                                                     3.059592084f,
                                                     3.421605075f,
                                                     3.826451687f,
                                                     4.279200023f,
                                                     4.785517845f,
                                                     5.351743533f,
                                                     5.984965424f,
                                                     6.693110555f,
                                                     7.485043894f,
                                                     8.370679318f,
                                                     9.36110372f,
                                                     10.4687158f,
                                                     11.70738129f,
                                                     13.09260651f,
                                                     14.64173252f,
                                                     16.37415215f,
                                                     18.31155283f,
                                                     20.47818807f,
                                                     22.90118105f,
                                                     25.61086418f,
                                                     28.64115884f,
                                                     32.03f,
                                                     32.1f,
                                                     32.13f,
                                                     32.23f,
                                                     32.6f,
                                                     32.61f,
                                                     32.64f,
                                                     32.66f,
                                                     32.7f,
                                                     32.71f,
                                                     32.93f,
                                                     32.97f,
                                                     33.28f,
                                                     33.49f,
                                                     33.5f,
                                                     44.16f,
                                                     47.77f};

#define TWELVE_ONES 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
static const float mini_short_factor[MINI_FACTORS] = {TWELVE_ONES, TWELVE_ONES, TWELVE_ONES,
                                                      TWELVE_ONES};

/* One row a set of constants.  The shape, up to n_vocab, says who it is; rows of one shape differ
 * in their context. */
static const struct member {
    const char *name;
    size_t d_model, d_ff, n_layers, n_heads, n_kv_heads, n_vocab;
    size_t context;
    size_t head_dim, rotary_dim;
    double rope_theta, norm_eps;
    bool tied_embeddings;
    size_t original_context; /* of LongRoPE; 0: plain RoPE */
    double magnitude;        /* sqrt(1 + ln(32) / ln(4096)) */
} members[] = {
    {"phi-4", 5120, 17920, 40, 40, 10, 100352, 16384, 128, 128, 250000, 1e-5, false, 0, 0},
    {"phi-4-reasoning", 5120, 17920, 40, 40, 10, 100352, 32768, 128, 128, 500000, 1e-5, false, 0,
     0},
    {"phi-4-mini", 3072, 8192, 32, 24, 8, 200064, 131072, 128, 96, 10000, 1e-5, true, 4096,
     1.1902380714238083},
};

static bool has_shape(const struct upg_config *config, const struct member *member)
{
    return config->d_model == member->d_model && config->d_ff == member->d_ff &&
           config->n_layers == member->n_layers && config->n_heads == member->n_heads &&
           config->n_kv_heads == member->n_kv_heads && config->n_vocab == member->n_vocab;
}

/* GGUF files keep constants in float32. */
static bool is_close(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(b);
}

static upg_status fail_member(upg_error *err, const char *where, const struct member *member,
                              const char *field, double found, double expected)
{
    return upg_fail(err, UPG_ERR_FORMAT,
                    "%s: %s: is %.10g; this has the shape of %s, which has %.10g; get the original "
                    "files",
                    where, field, found, member->name, expected);
}

static upg_status check_factors(const float *found, const float *expected, size_t n,
                                const char *where, const struct member *member, const char *field,
                                upg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const double value = expected ? (double)expected[i] : 1;
        if (!is_close((double)found[i], value))
            return upg_fail(
                err, UPG_ERR_FORMAT,
                "%s: rope_scaling.%s[%zu]: is %.10g; this has the shape of %s, which has "
                "%.10g; get the original files",
                where, field, i, (double)found[i], member->name, value);
    }
    return UPG_OK;
}

static upg_status check_member(const struct upg_config *config, const struct member *member,
                               const char *where, upg_error *err)
{
    const struct upg_long_rope *rope = &config->long_rope;
    const struct {
        const char *field;
        double found, expected;
    } checks[] = {
        {"max_position_embeddings", (double)config->context, (double)member->context},
        {"head_dim", (double)config->head_dim, (double)member->head_dim},
        {"rotated width of a head", (double)config->rotary_dim, (double)member->rotary_dim},
        {"rope_theta", config->rope_theta, member->rope_theta},
        {"rms_norm_eps", config->norm_eps, member->norm_eps},
        {"tie_word_embeddings", config->tied_embeddings, member->tied_embeddings},
        {"original_max_position_embeddings", rope->present ? (double)rope->original_context : 0,
         (double)member->original_context},
        {"rope_scaling attention factor", rope->present ? rope->magnitude : 0, member->magnitude},
    };
    upg_status status;

    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (!is_close(checks[i].found, checks[i].expected))
            return fail_member(err, where, member, checks[i].field, checks[i].found,
                               checks[i].expected);
    if (!rope->present)
        return UPG_OK;
    status =
        check_factors(rope->short_factor, NULL, MINI_FACTORS, where, member, "short_factor", err);
    if (status == UPG_OK)
        status = check_factors(rope->long_factor, mini_long_factor, MINI_FACTORS, where, member,
                               "long_factor", err);
    return status;
}

upg_status upg_config_check_family(const struct upg_config *config, const char *where,
                                   upg_error *err)
{
    const struct member *candidate = NULL;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (has_shape(config, &members[i]) && (!candidate || config->context == members[i].context))
            candidate = &members[i];
    return candidate ? check_member(config, candidate, where, err) : UPG_OK;
}

bool upg_config_of_member(struct upg_config *config, const char *name)
{
    const struct member *m = NULL;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(members[i].name, name) == 0)
            m = &members[i];
    if (!m)
        return false;
    *config = (struct upg_config){.architecture = "Phi3ForCausalLM",
                                  .n_layers = m->n_layers,
                                  .d_model = m->d_model,
                                  .d_ff = m->d_ff,
                                  .n_heads = m->n_heads,
                                  .n_kv_heads = m->n_kv_heads,
                                  .head_dim = m->head_dim,
                                  .rotary_dim = m->rotary_dim,
                                  .n_vocab = m->n_vocab,
                                  .context = m->context,
                                  .rope_theta = m->rope_theta,
                                  .norm_eps = m->norm_eps,
                                  .tied_embeddings = m->tied_embeddings};
    if (m->original_context > 0)
        config->long_rope = (struct upg_long_rope){.present = true,
                                                   .original_context = m->original_context,
                                                   .short_factor = mini_short_factor,
                                                   .long_factor = mini_long_factor,
                                                   .magnitude = m->magnitude};
    return true;
}
