/* conversation.c -- messages, their tokens, and making room for more. */
#include "cli/conversation.h"

#include "cli/generation.h"
#include "cli/message.h"

#include <stdlib.h>
#include <string.h>

upg_status conversation_open(struct conversation *conversation, const struct opened *opened,
                             upg_error *err)
{
    memset(conversation, 0, sizeof *conversation);
    conversation->tokenizer = upg_model_tokenizer(opened->model);
    conversation->context = opened->context;
    conversation->engine = opened->engine;
    return upg_sequence_new(&conversation->sequence, opened->engine, err);
}

static void message_clear(upg_message *message)
{
    free((char *)message->role);
    free((char *)message->content);
    free((char *)message->tools);
}

void conversation_remove(struct conversation *conversation, size_t first, size_t n)
{
    upg_message *messages = conversation->messages;

    for (size_t i = first; i < first + n; i++)
        message_clear(&messages[i]);
    if (n > 0)
        memmove(messages + first, messages + first + n,
                (conversation->n_messages - first - n) * sizeof *messages);
    conversation->n_messages -= n;
}

void conversation_close(struct conversation *conversation)
{
    conversation_remove(conversation, 0, conversation->n_messages);
    free(conversation->messages);
    upg_tokens_clear(&conversation->held);
    upg_sequence_free(conversation->sequence);
    memset(conversation, 0, sizeof *conversation);
}

/* Put a copy of a message before message number i. */
static upg_status insert(struct conversation *conversation, size_t i, const upg_message *message,
                         upg_error *err)
{
    upg_message copy = {.role = strdup(message->role),
                        .content = strdup(message->content),
                        .tools = message->tools ? strdup(message->tools) : NULL};
    upg_message *messages =
        realloc(conversation->messages, (conversation->n_messages + 1) * sizeof *messages);

    if (messages)
        conversation->messages = messages;
    if (!messages || !copy.role || !copy.content || (message->tools && !copy.tools)) {
        message_clear(&copy);
        return fail_memory(err, "a message");
    }
    memmove(messages + i + 1, messages + i, (conversation->n_messages - i) * sizeof *messages);
    messages[i] = copy;
    conversation->n_messages++;
    return UPG_OK;
}

upg_status conversation_add(struct conversation *conversation, const char *role,
                            const char *content, upg_error *err)
{
    const upg_message message = {.role = role, .content = content};

    return insert(conversation, conversation->n_messages, &message, err);
}

bool conversation_has_system(const struct conversation *conversation)
{
    return conversation->n_messages > 0 && strcmp(conversation->messages[0].role, "system") == 0;
}

upg_status conversation_set_system(struct conversation *conversation, const char *text,
                                   upg_error *err)
{
    const upg_message message = {.role = "system", .content = text};

    if (conversation_has_system(conversation))
        conversation_remove(conversation, 0, 1);
    return *text ? insert(conversation, 0, &message, err) : UPG_OK;
}

static upg_status render(const struct conversation *conversation, upg_tokens *ids, upg_error *err)
{
    ids->n = 0;
    return upg_chat_render(conversation->tokenizer, conversation->messages,
                           conversation->n_messages, 1, ids, NULL, err);
}

upg_status conversation_replace(struct conversation *conversation, const upg_message *messages,
                                size_t n, upg_error *err)
{
    struct conversation other = {.tokenizer = conversation->tokenizer};
    upg_tokens ids = {0};
    upg_status status = UPG_OK;

    for (size_t i = 0; i < n && status == UPG_OK; i++) {
        if (i > 0 && strcmp(messages[i].role, "system") == 0)
            status = fail(err, UPG_ERR_FORMAT, "message %zu: a system message comes first", i);
        else
            status = insert(&other, i, &messages[i], err);
    }
    if (status == UPG_OK && n > 0)
        status = render(&other, &ids, err);
    upg_tokens_clear(&ids);
    if (status == UPG_OK) {
        const struct conversation old = *conversation;

        conversation->messages = other.messages;
        conversation->n_messages = other.n_messages;
        other.messages = old.messages;
        other.n_messages = old.n_messages;
    }
    conversation_close(&other);
    return status;
}

/* The oldest turn: a user's message and what follows up to the next one.  0 if it is the last. */
static size_t oldest_turn_length(const struct conversation *conversation)
{
    size_t n = conversation_has_system(conversation) + (size_t)1;

    for (; n < conversation->n_messages; n++)
        if (strcmp(conversation->messages[n].role, "user") == 0)
            return n - conversation_has_system(conversation);
    return 0;
}

/* Render the conversation; drop the oldest turns until `room` tokens are left for the answer, or
 * only the last turn is left. */
static upg_status render_with_room(struct conversation *conversation, size_t room, upg_tokens *ids,
                                   size_t *n_dropped, upg_error *err)
{
    const size_t context = conversation->context;
    upg_status status = render(conversation, ids, err);
    size_t n;

    *n_dropped = 0;
    while (status == UPG_OK && ids->n + room > context &&
           (n = oldest_turn_length(conversation)) > 0) {
        conversation_remove(conversation, conversation_has_system(conversation), n);
        *n_dropped += n;
        status = render(conversation, ids, err);
    }
    if (status == UPG_OK && ids->n >= context)
        status = fail(err, UPG_ERR_CONTEXT,
                      "the message makes a prompt of %zu tokens, the context has %zu; shorten it "
                      "or give a larger --ctx",
                      ids->n, context);
    return status;
}

/* Keep in the sequence what it has in common with ids; at least one id is left to append. */
static upg_status keep_common(struct conversation *conversation, const upg_tokens *ids,
                              upg_error *err)
{
    upg_tokens *held = &conversation->held;
    size_t n = 0;

    while (n < held->n && n + 1 < ids->n && held->ids[n] == ids->ids[n])
        n++;
    held->n = n;
    return upg_sequence_truncate(conversation->sequence, n, err);
}

/* After a generation: restore invariant (1), whatever happened. */
static upg_status note_held(struct conversation *conversation, const upg_tokens *prompt,
                            const upg_tokens *generated, upg_error *err)
{
    upg_tokens *held = &conversation->held;
    const size_t n_sequence = upg_sequence_n_tokens(conversation->sequence);
    upg_status status = upg_tokens_append(held, prompt->ids, prompt->n, err);

    if (status == UPG_OK)
        status = upg_tokens_append(held, generated->ids, generated->n, err);
    if (held->n > n_sequence)
        held->n = n_sequence;
    else if (held->n < n_sequence)
        upg_sequence_truncate(conversation->sequence, held->n, NULL);
    return status;
}

upg_status conversation_save_cache(const struct conversation *conversation, const char *path,
                                   upg_error *err)
{
    return upg_sequence_save(conversation->sequence, path, err);
}

upg_status conversation_load_cache(struct conversation *conversation, const char *path,
                                   upg_error *err)
{
    upg_tokens *held = &conversation->held;
    upg_sequence *loaded = NULL;
    upg_status status = upg_sequence_truncate(conversation->sequence, 0, err);

    held->n = 0; /* the engine's cache need not have room for both */
    if (status == UPG_OK)
        status = upg_sequence_load(&loaded, conversation->engine, path, err);
    if (status == UPG_OK)
        status =
            upg_tokens_append(held, upg_sequence_ids(loaded), upg_sequence_n_tokens(loaded), err);
    if (status != UPG_OK) {
        upg_sequence_free(loaded);
        return status;
    }
    upg_sequence_free(conversation->sequence);
    conversation->sequence = loaded;
    return UPG_OK;
}

/* A quarter of the context, or what the user wants, up to half of it. */
static size_t wanted_room(const struct conversation *conversation, const struct settings *settings)
{
    const size_t half = conversation->context / 2;

    if (settings->max_tokens == 0)
        return half / 2;
    return settings->max_tokens < half ? (size_t)settings->max_tokens : half;
}

upg_status conversation_ask(struct conversation *conversation, const char *question,
                            const struct settings *settings, uint64_t seed, bool stream,
                            struct answer *answer, upg_error *err)
{
    upg_tokens ids = {0}, rest;
    upg_status status = conversation_add(conversation, "user", question, err), noted;

    memset(answer, 0, sizeof *answer);
    if (status != UPG_OK)
        return status;
    status = render_with_room(conversation, wanted_room(conversation, settings), &ids,
                              &answer->n_dropped, err);
    if (status == UPG_OK)
        status = keep_common(conversation, &ids, err);
    if (status == UPG_OK) {
        rest =
            (upg_tokens){.ids = ids.ids + conversation->held.n, .n = ids.n - conversation->held.n};
        status = generate(conversation->sequence, &rest, settings, NULL, seed, stream,
                          &answer->generation, err);
        noted = note_held(conversation, &rest, &answer->generation.ids, err);
        status = status == UPG_OK ? noted : status;
    }
    if (status == UPG_OK)
        status = conversation_add(conversation, "assistant", answer->generation.text, err);
    if (status != UPG_OK)
        conversation_remove(conversation, conversation->n_messages - 1, 1);
    upg_tokens_clear(&ids);
    return status;
}
