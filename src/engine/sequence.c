/* sequence.c -- rows of tokens: append, forget, fork; and the step that computes them. */
#include "engine/engine.h"

#include "base/size.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

upg_status upg_sequence_new(upg_sequence **sequence, upg_engine *engine, upg_error *err)
{
    const size_t n_blocks = engine->context / UPG_KV_BLOCK + 1;
    upg_sequence *s = calloc(1, sizeof *s);
    size_t n_bytes;

    if (s && size_mul(engine->context, sizeof *s->ids, &n_bytes)) {
        s->ids = malloc(n_bytes); /* the system gives the pages when they are used */
        s->list.blocks = malloc(n_blocks * sizeof *s->list.blocks);
    }
    if (!s || !s->ids || !s->list.blocks) {
        upg_sequence_free(s);
        return upg_fail(err, UPG_ERR_MEMORY, "out of memory: a sequence of %zu tokens",
                        engine->context);
    }
    s->engine = engine;
    s->rope = &engine->rope[0];
    *sequence = s;
    return UPG_OK;
}

void upg_sequence_free(upg_sequence *sequence)
{
    if (!sequence)
        return;
    if (sequence->engine) {
        upg_kv_blocks_truncate(&sequence->engine->cache.blocks, &sequence->list, 0);
        if (sequence->engine->logits_of == sequence)
            sequence->engine->logits_of = NULL;
    }
    free(sequence->list.blocks);
    free(sequence->ids);
    free(sequence);
}

size_t upg_sequence_n_tokens(const upg_sequence *sequence)
{
    return sequence->n_tokens;
}

const int32_t *upg_sequence_ids(const upg_sequence *sequence)
{
    return sequence->ids;
}

/* Forget what the cache holds from position n_tokens on. */
static void drop_cached(upg_sequence *s, size_t n_tokens)
{
    upg_kv_blocks_truncate(&s->engine->cache.blocks, &s->list,
                           size_min(s->list.n_tokens, n_tokens));
}

void upg_sequence_drop(upg_sequence *sequence)
{
    drop_cached(sequence, 0);
}

upg_status upg_sequence_truncate(upg_sequence *sequence, size_t n_tokens, upg_error *err)
{
    if (n_tokens > sequence->n_tokens)
        return upg_fail(err, UPG_ERR_ARGUMENT, "truncate: to %zu tokens, the sequence has %zu",
                        n_tokens, sequence->n_tokens);
    sequence->n_tokens = n_tokens;
    drop_cached(sequence, n_tokens);
    return UPG_OK;
}

upg_status upg_sequence_fork(upg_sequence **copy, const upg_sequence *sequence, upg_error *err)
{
    upg_sequence *s = NULL;
    const upg_status status = upg_sequence_new(&s, sequence->engine, err);

    if (status != UPG_OK)
        return status;
    memcpy(s->ids, sequence->ids, sequence->n_tokens * sizeof *s->ids);
    s->n_tokens = sequence->n_tokens;
    s->rope = sequence->rope;
    upg_kv_blocks_share(&s->engine->cache.blocks, &s->list, &sequence->list);
    *copy = s;
    return UPG_OK;
}

void upg_sequence_push(upg_sequence *sequence, int32_t id)
{
    assert(sequence->n_tokens < sequence->engine->context);
    sequence->ids[sequence->n_tokens++] = id;
}

void upg_sequence_choose_rope(upg_sequence *sequence)
{
    const struct upg_long_rope *lr = &sequence->engine->model->config.long_rope;
    const bool is_long = lr->present && sequence->n_tokens > lr->original_context;
    const struct upg_rope *rope = &sequence->engine->rope[is_long];

    if (rope != sequence->rope)
        drop_cached(sequence, 0);
    sequence->rope = rope;
}

upg_status upg_engine_step(upg_engine *engine, const struct upg_share *shares, size_t n_shares,
                           float *logits, upg_error *err)
{
    size_t n_rows = 0, n_wanted = 0, n_grown = 0;
    upg_status status = UPG_OK;

    for (; n_grown < n_shares; n_grown++) {
        const struct upg_share *share = &shares[n_grown];
        upg_sequence *s = share->sequence;
        const size_t first = s->list.n_tokens;

        assert(share->n_logits <= share->n_rows && first + share->n_rows <= s->n_tokens);
        assert(n_rows + share->n_rows <= engine->max_rows);
        status = upg_kv_cache_grow(&engine->cache, &s->list, first + share->n_rows, err);
        if (status != UPG_OK)
            break;
        for (size_t i = 0; i < share->n_rows; i++) {
            if (i + share->n_logits >= share->n_rows)
                engine->wanted[n_wanted++] = (uint32_t)n_rows;
            engine->rows[n_rows++] = (struct upg_row){
                .list = &s->list, .rope = s->rope, .pos = first + i, .id = s->ids[first + i]};
        }
    }
    if (status == UPG_OK)
        status = upg_forward_run(&engine->forward, engine->rows, n_rows, engine->wanted, n_wanted,
                                 logits, err);
    for (size_t i = 0; status != UPG_OK && i < n_grown; i++)
        drop_cached(shares[i].sequence, shares[i].sequence->list.n_tokens - shares[i].n_rows);
    return status;
}

upg_status upg_engine_reserve_logits(upg_engine *engine, size_t n_rows, upg_error *err)
{
    size_t n;

    engine->n_logits = 0;
    engine->logits_of = NULL;
    if (n_rows <= engine->logits_capacity)
        return UPG_OK;
    free(engine->logits);
    engine->logits = NULL;
    engine->logits_capacity = 0;
    if (size_mul(n_rows, engine->model->config.n_vocab, &n))
        engine->logits = upg_aligned_alloc(n, sizeof *engine->logits);
    if (!engine->logits)
        return upg_fail(err, UPG_ERR_MEMORY,
                        "out of memory: logits of %zu tokens; ask for fewer at a time", n_rows);
    engine->logits_capacity = n_rows;
    return UPG_OK;
}

upg_status upg_sequence_compute(upg_sequence *s, size_t n_logits, upg_progress_fn progress,
                                void *progress_context, upg_error *err)
{
    upg_engine *engine = s->engine;
    const size_t n_vocab = engine->model->config.n_vocab;
    upg_status status;
    size_t first, n_done = 0; /* rows of logits */

    assert(n_logits <= s->n_tokens);
    upg_sequence_choose_rope(s);
    drop_cached(s, s->n_tokens - n_logits); /* logits of cached tokens: compute these again */
    first = s->list.n_tokens;
    status = upg_kv_cache_check_room(&engine->cache, &s->list, s->n_tokens, err);
    if (status == UPG_OK)
        status = upg_engine_reserve_logits(engine, n_logits, err);
    while (status == UPG_OK && s->list.n_tokens < s->n_tokens) {
        const size_t n_left = s->n_tokens - s->list.n_tokens;
        const size_t n_rows = size_min(n_left, engine->chunk_rows);
        const size_t n_after = n_left - n_rows; /* rows of later steps */
        const size_t n_wanted = n_logits > n_after ? size_min(n_logits - n_after, n_rows) : 0;
        const struct upg_share share = {.sequence = s, .n_rows = n_rows, .n_logits = n_wanted};

        status = upg_engine_step(engine, &share, 1, engine->logits + n_done * n_vocab, err);
        n_done += n_wanted;
        if (status == UPG_OK && progress &&
            progress(progress_context, "prefill", s->list.n_tokens - first, s->n_tokens - first))
            status = upg_fail(err, UPG_ERR_CANCELLED, "cancelled after %zu of %zu tokens",
                              s->list.n_tokens - first, s->n_tokens - first);
    }
    if (status == UPG_OK && n_logits > 0) {
        engine->n_logits = n_logits;
        engine->logits_of = s;
    }
    return status;
}

static upg_status check_append(const upg_sequence *s, const int32_t *ids, size_t n, size_t n_logits,
                               upg_error *err)
{
    const size_t n_vocab = s->engine->model->config.n_vocab, context = s->engine->context;

    if (n == 0)
        return upg_fail(err, UPG_ERR_ARGUMENT, "append: no tokens");
    if (n_logits > n)
        return upg_fail(err, UPG_ERR_ARGUMENT, "append: logits of %zu tokens asked for, %zu given",
                        n_logits, n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= n_vocab)
            return upg_fail(err, UPG_ERR_ARGUMENT,
                            "append: token %zu is id %d, the vocabulary has 0 .. %zu", i, ids[i],
                            n_vocab - 1);
    if (n > context - s->n_tokens)
        return upg_fail(err, UPG_ERR_CONTEXT,
                        "context: %zu tokens and %zu new ones are more than %zu; use a larger "
                        "context or a shorter text",
                        s->n_tokens, n, context);
    return UPG_OK;
}

upg_status upg_sequence_append(upg_sequence *sequence, const int32_t *ids, size_t n,
                               size_t n_logits, upg_progress_fn progress, void *progress_context,
                               upg_error *err)
{
    const size_t n_before = sequence->n_tokens;
    upg_status status = check_append(sequence, ids, n, n_logits, err);

    if (status != UPG_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        upg_sequence_push(sequence, ids[i]);
    status = upg_sequence_compute(sequence, n_logits, progress, progress_context, err);
    if (status != UPG_OK) {
        sequence->n_tokens = n_before;
        drop_cached(sequence, n_before);
    }
    return status;
}

const float *upg_sequence_logits(const upg_sequence *sequence, size_t *n_rows)
{
    const upg_engine *engine = sequence->engine;
    const bool valid = engine->logits_of == sequence;

    if (n_rows)
        *n_rows = valid ? engine->n_logits : 0;
    return valid ? engine->logits : NULL;
}
